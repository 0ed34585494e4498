"""Cases of convolution: strides that leave a rest, padding, dilation, groups, and kernels as large as the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample, case
from minicnn.testing.cases.draws import Floats, normal


def _ints(rng: np.random.Generator, low: int, high: int, count: int = 2) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high, count))


def _padding(rng: np.random.Generator, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """At most what leaves the last tap of the first window inside, so that every case reads its input."""
    return tuple(int(rng.integers(0, min(d * (k - 1), 2) + 1)) for k, d in zip(kernel, dilation, strict=True))


def _geometry(rng: np.random.Generator, axes: int, groups: int = 1) -> tuple[Floats, Floats, dict[str, Any]]:
    """Input, weight and options whose window fits; often the last rows and columns are met by no window."""
    n, c, o = _ints(rng, 1, 3, 3)
    stride, dilation, kernel = _ints(rng, 1, 4, axes), _ints(rng, 1, 3, axes), _ints(rng, 1, 4, axes)
    padding = _padding(rng, kernel, dilation)
    room = zip(kernel, dilation, padding, _ints(rng, 0, 4, axes), strict=True)
    size = tuple(max(d * (k - 1) + 1 - 2 * p + extra, d * (k - 1) + 1 - p) for k, d, p, extra in room)
    x = normal(rng, (n, c * groups, *size))
    w = normal(rng, (o * groups, c, *kernel))
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@case("conv2d", torch="torch.nn.functional.conv2d", order=3)
def _conv2d(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 2)
    return Sample((x, w, normal(rng, w.shape[:1])), options)


@case("conv2d", variant="groups", torch="torch.nn.functional.conv2d", order=3)
def _conv2d_groups(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 2, groups=int(rng.integers(2, 4)))
    return Sample((x, w), options)


def _rectified(*args, **options):  # type: ignore[no-untyped-def]
    """PyTorch's convolution and ReLU; called with its tensors only."""
    import torch

    return torch.nn.functional.conv2d(*args, **options).relu()


@case("conv2d_relu", torch=_rectified, order=3, kinks=True)
def _conv2d_relu(rng: np.random.Generator) -> Sample:
    """Whole numbers and biases halfway between them: no output is near the kink."""
    groups = int(rng.integers(1, 3))
    x = rng.integers(-3, 4, (2, 2 * groups, 4, 5)).astype(float)
    w = rng.integers(-3, 4, (2 * groups, 2, 3, 2)).astype(float)
    bias = rng.integers(-3, 4, 2 * groups) + 0.5
    return Sample((x, w, bias), {"stride": _ints(rng, 1, 3), "padding": (1, 0), "groups": groups})


@case("conv2d", variant="many_channels", torch="torch.nn.functional.conv2d")
def _conv2d_many_channels(rng: np.random.Generator) -> Sample:
    """Channels that fill vectors, for the algorithms that want them: one tile, or several with remainders."""
    size = (4, 4) if rng.random() < 0.5 else (17, 1)
    x, w = normal(rng, (1, 17, *size)), normal(rng, (16, 17, 3, 3))
    return Sample((x, w, normal(rng, (16,))), {"padding": 1})


@case("conv2d", variant="same", torch="torch.nn.functional.conv2d")
def _conv2d_same(rng: np.random.Generator) -> Sample:
    x = normal(rng, (1, 2, *_ints(rng, 2, 6)))  # a dilated even kernel meets nothing but zeros around a single pixel
    w = normal(rng, (2, 2, *_ints(rng, 1, 5)))
    return Sample((x, w, normal(rng, (2,))), {"padding": "same", "dilation": _ints(rng, 1, 3)})


@case("conv2d", variant="valid_one_image", torch="torch.nn.functional.conv2d")
def _conv2d_valid(rng: np.random.Generator) -> Sample:
    h, w = _ints(rng, 3, 6)
    return Sample((normal(rng, (2, h, w)), normal(rng, (3, 2, 3, 2)), None, 2, "valid"))


@case("conv2d", variant="wide", torch="torch.nn.functional.conv2d")
def _conv2d_wide(rng: np.random.Generator) -> Sample:
    """Rows longer than a vector register, more channels than a tile."""
    x = normal(rng, (1, 1, 3, int(rng.integers(68, 74))))
    return Sample((x, normal(rng, (7, 1, 2, 3))), {"stride": (1, int(rng.integers(1, 3))), "padding": (0, 1)})


@case("conv1d", torch="torch.nn.functional.conv1d", order=3)
def _conv1d(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 1, groups=int(rng.integers(1, 3)))
    return Sample((x, w, normal(rng, w.shape[:1])), options | {"stride": options["stride"][0]})


def _transposed(rng: np.random.Generator, axes: int) -> Sample:
    """The sizes of a convolution, read backwards."""
    groups = int(rng.integers(1, 3))
    kernel, stride, dilation = _ints(rng, 1, 4, axes), _ints(rng, 1, 4, axes), _ints(rng, 1, 3, axes)
    size = _ints(rng, 2, 4, axes)
    padding = tuple(int(rng.integers(0, (d * (k - 1)) // 2 + 1)) for k, d in zip(kernel, dilation, strict=True))
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    n, c, o = _ints(rng, 1, 3, 3)
    x, w = normal(rng, (n, c * groups, *size)), normal(rng, (c * groups, o, *kernel))
    options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    return Sample((x, w, normal(rng, (o * groups,))), options)


@case("conv_transpose2d", torch="torch.nn.functional.conv_transpose2d", order=3)
def _conv_transpose2d(rng: np.random.Generator) -> Sample:
    return _transposed(rng, 2)


@case("conv_transpose1d", torch="torch.nn.functional.conv_transpose1d")
def _conv_transpose1d(rng: np.random.Generator) -> Sample:
    return _transposed(rng, 1)


@case("conv2d_weight_grad", torch="torch.nn.grad.conv2d_weight", order=3)
def _conv2d_weight_grad(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 2, groups=int(rng.integers(1, 3)))
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            x.shape[2:], w.shape[2:], options["stride"], options["padding"], options["dilation"], strict=True
        )
    ]
    return Sample((x, w.shape, normal(rng, (x.shape[0], w.shape[0], *out))), options)


@case("masked_conv2d")
def _masked_conv2d(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 2)
    options.pop("groups")
    mask = rng.random(w.shape[:2]) < 0.6
    mask[0, 0] = True
    return Sample((x, w, mask, normal(rng, w.shape[:1])), options)


@case("unfold", torch="torch.nn.functional.unfold")
def _unfold(rng: np.random.Generator) -> Sample:
    x, w, options = _geometry(rng, 2)
    return Sample((x, w.shape[2:]), {name: options[name] for name in ("dilation", "padding", "stride")})


@case("fold", torch="torch.nn.functional.fold")
def _fold(rng: np.random.Generator) -> Sample:
    kernel, stride, dilation = _ints(rng, 1, 4), _ints(rng, 1, 4), _ints(rng, 1, 3)
    windows, padding = _ints(rng, 1, 4), _padding(rng, kernel, dilation)
    numbers = zip(windows, stride, dilation, kernel, padding, strict=True)
    size = tuple(max((n - 1) * s + d * (k - 1) + 1 - 2 * p, d * (k - 1) + 1 - p) for n, s, d, k, p in numbers)
    numbers = zip(size, stride, dilation, kernel, padding, strict=True)
    count = int(np.prod([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, s, d, k, p in numbers]))
    columns = normal(rng, (int(rng.integers(1, 3)), 2 * kernel[0] * kernel[1], count))
    return Sample((columns, size, kernel, dilation, padding, stride))


@case("locally_connected2d")
def _locally_connected2d(rng: np.random.Generator) -> Sample:
    n, c, o = _ints(rng, 1, 3, 3)
    kernel, stride, out = _ints(rng, 1, 3), _ints(rng, 1, 3), _ints(rng, 1, 3)
    padding = _padding(rng, kernel, (1, 1))
    numbers = zip(out, stride, kernel, padding, strict=True)
    size = tuple(max((m - 1) * s + k - 2 * p, k - p) for m, s, k, p in numbers)
    numbers = zip(size, stride, kernel, padding, strict=True)
    out = tuple((m + 2 * p - k) // s + 1 for m, s, k, p in numbers)
    w = normal(rng, (*out, o, c, *kernel))
    return Sample((normal(rng, (n, c, *size)), w, normal(rng, (o, *out)), stride, padding))
