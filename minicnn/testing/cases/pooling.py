"""Cases of pooling: windows that overlap, skip, are padded, dilated or rounded up, on narrow and on wide rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample, case


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Values of both signs that are at least 0.04 apart, so that no maximum is near a tie."""
    n = int(np.prod(shape))
    values = 0.05 * (rng.permutation(n) - n / 2) + 0.005 * rng.uniform(-1, 1, n)
    return values.reshape(shape)


def _image(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in (rng.integers(1, 3), rng.integers(1, 3), rng.integers(3, 8), rng.integers(3, 8)))


def _window(rng: np.random.Generator, size: tuple[int, ...], *, dilated: bool = False) -> dict[str, Any]:
    """Options of a window that fits: kernel, stride, padding, ceil mode and perhaps dilation."""
    kernel, stride, padding, dilation = [], [], [], []
    for n in size[-2:]:
        d = int(rng.integers(1, 3)) if dilated else 1
        k = int(rng.integers(1, min(3, (n - 1) // d + 1) + 1))
        kernel.append(k)
        dilation.append(d)
        stride.append(int(rng.integers(1, 4)))
        padding.append(int(rng.integers(0, k // 2 + 1)))
    options: dict[str, Any] = {
        "kernel_size": tuple(kernel),
        "stride": tuple(stride),
        "padding": tuple(padding),
        "ceil_mode": bool(rng.integers(2)),
    }
    return options | ({"dilation": tuple(dilation)} if dilated else {})


@case("max_pool2d", torch="torch.nn.functional.max_pool2d", order=3, kinks=True)
def _max_pool2d(rng: np.random.Generator) -> Sample:
    shape = _image(rng)
    return Sample((distinct(rng, shape),), _window(rng, shape, dilated=True))


@case("max_pool2d", variant="default_stride", torch="torch.nn.functional.max_pool2d", order=3, kinks=True)
def _max_pool2d_default_stride(rng: np.random.Generator) -> Sample:
    return Sample((distinct(rng, _image(rng)), int(rng.integers(1, 4))))


@case("max_pool2d", variant="wide", torch="torch.nn.functional.max_pool2d", kinks=True)
def _max_pool2d_wide(rng: np.random.Generator) -> Sample:
    """Rows long enough for the passes over whole rows."""
    shape = (1, 1, 5, int(rng.integers(40, 46)))
    options = _window(rng, shape, dilated=True)
    options["stride"] = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    return Sample((distinct(rng, shape),), options)


@case("max_pool2d", variant="indices", torch="torch.nn.functional.max_pool2d", kinks=True)
def _max_pool2d_indices(rng: np.random.Generator) -> Sample:
    shape = _image(rng)[1:]
    return Sample((distinct(rng, shape),), _window(rng, shape, dilated=True) | {"return_indices": True})


@case("max_pool1d", torch="torch.nn.functional.max_pool1d", kinks=True)
def _max_pool1d(rng: np.random.Generator) -> Sample:
    shape = (2, int(rng.integers(1, 4)), int(rng.integers(4, 20)))
    options = {name: v[1] if isinstance(v, tuple) else v for name, v in _window(rng, shape, dilated=True).items()}
    return Sample((distinct(rng, shape),), options | {"return_indices": bool(rng.integers(2))})


@case("adaptive_max_pool2d", torch="torch.nn.functional.adaptive_max_pool2d", order=3, kinks=True)
def _adaptive_max_pool2d(rng: np.random.Generator) -> Sample:
    out = (int(rng.integers(1, 5)), None if rng.integers(4) == 0 else int(rng.integers(1, 9)))
    return Sample((distinct(rng, _image(rng)), out), {"return_indices": bool(rng.integers(2))})


@case("max_unpool2d", torch="torch.nn.functional.max_unpool2d", order=3)
def _max_unpool2d(rng: np.random.Generator) -> Sample:
    """One place in each of the windows, which do not overlap."""
    n, c, h, w, k = (int(v) for v in rng.integers(1, 4, 5))
    extra = [int(v) for v in rng.integers(0, k, 2)]
    size = (h * k + extra[0], w * k + extra[1])
    rows = np.arange(h)[:, None] * k + rng.integers(0, k, (n, c, h, w))
    columns = np.arange(w) * k + rng.integers(0, k, (n, c, h, w))
    return Sample(
        (rng.standard_normal((n, c, h, w)), rows * size[1] + columns), {"kernel_size": k, "output_size": size}
    )


def _torch_channel_max_pool(
    x: Any, channels: int, kernel_size: Any = 1, stride: Any = None, padding: Any = 0, channel_stride: Any = None
) -> Any:
    import torch

    y = torch.nn.functional.max_pool2d(x, kernel_size, stride, padding)
    return y.unfold(-3, channels, channel_stride or channels).amax(-1)


@case("channel_max_pool", torch=_torch_channel_max_pool, order=3, kinks=True)
def _channel_max_pool(rng: np.random.Generator) -> Sample:
    d, groups = (int(v) for v in rng.integers(1, 4, 2))
    step = int(rng.integers(1, d + 1)) if rng.integers(2) else None
    shape = (2, d + (groups - 1) * (step or d), 4, int(rng.integers(3, 6)))
    options = _window(rng, shape)
    del options["ceil_mode"]
    return Sample((distinct(rng, shape), d), options | {"channel_stride": step})


def _torch_maxout(x: Any, pieces: int, dim: int = 1) -> Any:
    return x.unflatten(dim, (-1, pieces)).amax(dim % x.ndim + 1)


@case("maxout", torch=_torch_maxout, kinks=True)
def _maxout(rng: np.random.Generator) -> Sample:
    pieces, groups = (int(v) for v in rng.integers(1, 4, 2))
    shape = ((3, pieces * groups), (2, pieces * groups, 3), (2, 2, 3, pieces * groups))[int(rng.integers(3))]
    return Sample((distinct(rng, shape), pieces), {"dim": -1 if len(shape) == 4 else 1})


@case("avg_pool2d", torch="torch.nn.functional.avg_pool2d")
def _avg_pool2d(rng: np.random.Generator) -> Sample:
    shape = _image(rng)
    options = _window(rng, shape) | {"count_include_pad": bool(rng.integers(2))}
    if rng.integers(3) == 0:
        options["divisor_override"] = int(rng.integers(1, 7))
    return Sample((rng.standard_normal(shape),), options)


@case("avg_pool2d", variant="wide", torch="torch.nn.functional.avg_pool2d")
def _avg_pool2d_wide(rng: np.random.Generator) -> Sample:
    shape = (1, 5, int(rng.integers(40, 46)))
    options = _window(rng, shape) | {"count_include_pad": bool(rng.integers(2))}
    options["stride"] = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    return Sample((rng.standard_normal(shape),), options)


@case("avg_pool2d", variant="halving", torch="torch.nn.functional.avg_pool2d", order=3)
def _avg_pool2d_halving(rng: np.random.Generator) -> Sample:
    """The 2x2 windows of LeNet; odd sizes leave a row or column out."""
    return Sample((rng.standard_normal(_image(rng)), 2))


@case("avg_pool1d", torch="torch.nn.functional.avg_pool1d")
def _avg_pool1d(rng: np.random.Generator) -> Sample:
    shape = (2, int(rng.integers(1, 4)), int(rng.integers(4, 20)))
    options = {name: v[1] if isinstance(v, tuple) else v for name, v in _window(rng, shape).items()}
    return Sample((rng.standard_normal(shape),), options | {"count_include_pad": bool(rng.integers(2))})


def _torch_sum_pool2d(x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> Any:
    import torch

    return torch.nn.functional.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, divisor_override=1)


@case("sum_pool2d", torch=_torch_sum_pool2d)
def _sum_pool2d(rng: np.random.Generator) -> Sample:
    shape = _image(rng)
    return Sample((rng.standard_normal(shape),), _window(rng, shape))


@case("lp_pool2d", torch="torch.nn.functional.lp_pool2d")
def _lp_pool2d(rng: np.random.Generator) -> Sample:
    shape = _image(rng)
    options = _window(rng, shape)
    del options["padding"]
    return Sample((rng.uniform(0.5, 2, shape), (1.0, 2.0, 3.0, 2.5)[int(rng.integers(4))]), options)


@case("lp_pool2d", variant="signed", torch="torch.nn.functional.lp_pool2d")
def _lp_pool2d_signed(rng: np.random.Generator) -> Sample:
    x = rng.uniform(0.5, 2, (2, 4, 6)) * rng.choice([-1, 1], (2, 4, 6))
    return Sample((x, 2.0, 2))


@case("adaptive_avg_pool2d", torch="torch.nn.functional.adaptive_avg_pool2d", order=3)
def _adaptive_avg_pool2d(rng: np.random.Generator) -> Sample:
    out = (int(rng.integers(1, 5)), None if rng.integers(4) == 0 else int(rng.integers(1, 9)))
    return Sample((rng.standard_normal(_image(rng)), out))


def _torch_global_avg_pool2d(x: Any, keepdim: bool = False) -> Any:
    return x.mean((-2, -1), keepdim=keepdim)


@case("global_avg_pool2d", torch=_torch_global_avg_pool2d)
def _global_avg_pool2d(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal(_image(rng)),), {"keepdim": bool(rng.integers(2))})
