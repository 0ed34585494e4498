"""Metrics on plain arrays."""

from minicnn.metrics.classification import (
    accuracy,
    confusion_matrix,
    precision_recall,
    roc_auc,
    roc_curve,
    top_k_accuracy,
)

__all__ = ["accuracy", "confusion_matrix", "precision_recall", "roc_auc", "roc_curve", "top_k_accuracy"]
