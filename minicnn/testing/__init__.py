"""Checking gradients: the checker, its report, and the cases that every op ships with."""

from minicnn.testing.evidence import Diagnosis, JacobianPair
from minicnn.testing.gradcheck import gradcheck, gradgradcheck
from minicnn.testing.report import Comparison, Finding, GradientError, Report

__all__ = [
    "Comparison", "Diagnosis", "Finding", "GradientError", "JacobianPair", "Report", "gradcheck", "gradgradcheck",
]
