"""Training any model: the trainer, progress, logs, curves, checkpoints that resume bit for bit."""

from minicnn.training.checkpoints import CheckpointFile, read_checkpoint
from minicnn.training.curves import plot_curves
from minicnn.training.interrupts import TrainingInterrupted
from minicnn.training.logs import RunLog, read_log
from minicnn.training.progress import Bar, Lines, Reporter, Silent, reporter
from minicnn.training.trainer import Trainer

__all__ = [
    "Bar",
    "CheckpointFile",
    "Lines",
    "Reporter",
    "RunLog",
    "Silent",
    "Trainer",
    "TrainingInterrupted",
    "plot_curves",
    "read_checkpoint",
    "read_log",
    "reporter",
]
