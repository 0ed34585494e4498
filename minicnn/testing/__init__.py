"""Checking gradients: the checker, its report, and the cases that every op ships with."""

from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.report import Finding, GradientError, Report

__all__ = ["Finding", "GradientError", "Report", "gradcheck"]
