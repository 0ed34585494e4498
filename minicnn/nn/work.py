"""What one sample costs in each kind of layer: connections, multiply-accumulates, and how far a unit sees.

One entry for each layer type that weighs or windows its input; `layer_work.register` adds more, for a user's own
layers too. Types without an entry work point by point and cost nothing here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

from minicnn.core.types import Shape
from minicnn.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from minicnn.nn.linear import Linear
from minicnn.nn.local import LocallyConnected2d, MaskedConv2d
from minicnn.nn.module import Module
from minicnn.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    ChannelMaxPool,
    GlobalAvgPool2d,
    LPPool2d,
    MaxPool2d,
    SumPool2d,
    TrainableSubsampling,
)
from minicnn.nn.rbf import RBF
from minicnn.nn.resample import Upsample

__all__ = ["Reach", "Work", "layer_work"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a unit sees, in pixels of the layer's input, and how far apart neighbouring units look.

    Attributes
    ----------
    extent : tuple of int, or None
        Rows and columns; None for the whole map.
    step : tuple of float
        Stride; below 1 where the layer upsamples.
    """

    extent: tuple[int, ...] | None
    step: tuple[float, ...] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Work:
    """Cost of one layer for one sample.

    Attributes
    ----------
    connections : int
        Links: Σ over units of (inputs + bias).
    macs : int
        Multiply-accumulates.
    reach : Reach or None
        None for a layer that works point by point.
    fixed : bool
        Whether the links are not trained.
    """

    connections: int = 0
    macs: int = 0
    reach: Reach | None = None
    fixed: bool = False


def _pair(value: object) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[arg-type]


def _window(kernel: object, stride: object, dilation: object = 1) -> Reach:
    spans = zip(_pair(kernel), _pair(dilation), strict=True)
    return Reach(tuple(d * (k - 1) + 1 for k, d in spans), tuple(map(float, _pair(stride))))


@singledispatch
def layer_work(layer: Module, x: Shape, y: Shape) -> Work:
    """Cost of `layer` for one sample.

    Parameters
    ----------
    layer : Module
        Its type picks the rule; register another with ``@layer_work.register``.
    x, y : tuple of int
        Shapes of input and output, the batch axis included.
    """
    return Work()


@layer_work.register
def _linear(layer: Linear, x: Shape, y: Shape) -> Work:
    units = math.prod(y[1:])
    macs = units * layer.in_features
    return Work(macs + units * (layer.bias is not None), macs, Reach(None) if len(x) == 2 else None)


@layer_work.register(Conv1d)
@layer_work.register(Conv2d)
def _convolution(layer: Conv1d | Conv2d, x: Shape, y: Shape) -> Work:
    units = math.prod(y[1:])
    macs = units * (layer.in_channels // layer.groups) * math.prod(layer.kernel_size)
    if layer.axes == 1:
        return Work(macs + units * (layer.bias is not None), macs)
    reach = _window(layer.kernel_size, layer.stride, layer.dilation)
    return Work(macs + units * (layer.bias is not None), macs, reach)


@layer_work.register
def _masked(layer: MaskedConv2d, x: Shape, y: Shape) -> Work:
    positions = math.prod(y[2:])
    macs = positions * layer.links * math.prod(layer.kernel_size)
    bias = math.prod(y[1:]) * (layer.bias is not None)
    return Work(macs + bias, macs, _window(layer.kernel_size, layer.stride, layer.dilation))


@layer_work.register
def _locally_connected(layer: LocallyConnected2d, x: Shape, y: Shape) -> Work:
    units = math.prod(y[1:])
    macs = units * layer.in_channels * math.prod(layer.kernel_size)
    return Work(macs + units * (layer.bias is not None), macs, _window(layer.kernel_size, layer.stride))


@layer_work.register(ConvTranspose1d)
@layer_work.register(ConvTranspose2d)
def _transposed(layer: ConvTranspose1d | ConvTranspose2d, x: Shape, y: Shape) -> Work:
    macs = math.prod(x[1:]) * (layer.out_channels // layer.groups) * math.prod(layer.kernel_size)
    links = macs + math.prod(y[1:]) * (layer.bias is not None)
    if layer.axes == 1:
        return Work(links, macs)
    spans = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
    extent = tuple(-(-(d * (k - 1) + 1) // s) for k, d, s in spans)
    return Work(links, macs, Reach(extent, tuple(1.0 / s for s in layer.stride)))


@layer_work.register
def _subsampling(layer: TrainableSubsampling, x: Shape, y: Shape) -> Work:
    units = math.prod(y[1:])
    links = units * (math.prod(_pair(layer.kernel_size)) + 1)
    return Work(links, units, _window(layer.kernel_size, layer.stride))  # one product of the weight and the sum


@layer_work.register
def _rbf(layer: RBF, x: Shape, y: Shape) -> Work:
    links = math.prod(layer.codes.shape)
    return Work(links, links, Reach(None), fixed=True)


@layer_work.register(AvgPool2d)
@layer_work.register(SumPool2d)
@layer_work.register(LPPool2d)
@layer_work.register(ChannelMaxPool)
def _pool(layer: AvgPool2d | SumPool2d | LPPool2d | ChannelMaxPool, x: Shape, y: Shape) -> Work:
    return Work(reach=_window(layer.kernel_size, layer.stride))


@layer_work.register
def _max_pool(layer: MaxPool2d, x: Shape, y: Shape) -> Work:
    return Work(reach=_window(layer.kernel_size, layer.stride, layer.dilation))


@layer_work.register(AdaptiveAvgPool2d)
@layer_work.register(AdaptiveMaxPool2d)
def _adaptive(layer: Module, x: Shape, y: Shape) -> Work:
    sizes = list(zip(x[2:], y[2:], strict=True))
    return Work(reach=Reach(tuple(-(-i // o) for i, o in sizes), tuple(i / o for i, o in sizes)))


@layer_work.register
def _global(layer: GlobalAvgPool2d, x: Shape, y: Shape) -> Work:
    return Work(reach=Reach(None))


@layer_work.register
def _upsample(layer: Upsample, x: Shape, y: Shape) -> Work:
    if len(x) != 4:
        return Work()
    seen = {"nearest": 1, "nearest-exact": 1, "bicubic": 4}.get(layer.mode, 2)
    return Work(reach=Reach((seen, seen), tuple(i / o for i, o in zip(x[2:], y[2:], strict=True))))
