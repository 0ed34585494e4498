"""Optimisers, learning-rate schedules, gradient clipping and weight averages, under PyTorch's names."""

from minicnn.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from minicnn.optim.averages import EMA, SWA
from minicnn.optim.clip import clip_grad_norm_, clip_grad_value_
from minicnn.optim.grad_scaler import GradScaler
from minicnn.optim.lbfgs import LBFGS
from minicnn.optim.optimizer import Optimizer
from minicnn.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupCosineLR,
)
from minicnn.optim.sgd import LARS, SGD

__all__ = [
    "EMA",
    "LARS",
    "LBFGS",
    "SGD",
    "SWA",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "GradScaler",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]
