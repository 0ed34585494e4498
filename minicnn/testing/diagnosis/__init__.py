"""Diagnosis: from two Jacobians that differ to the bug that made them differ."""

from minicnn.testing.diagnosis.findings import from_finding
from minicnn.testing.diagnosis.table import diagnose, diagnose_all

__all__ = ["diagnose", "diagnose_all", "from_finding"]
