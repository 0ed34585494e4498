"""Problems that reach every seam of the convolution algorithms, and one pass beside its definition."""

import numpy as np

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cpu import convolution as cpu
from minicnn.backends.cuda import convolution as table

TF32 = "implicit_gemm_tf32"
NAMES = [name for name in table.ALGORITHMS if name != TF32]
PROBLEMS = {
    "partial tiles": Problem(2, 1, 5, 70, 9, 8, 9, 8, 3, 3, 1, 1, 1, 1),
    "many channels": Problem(3, 1, 66, 67, 7, 6, 7, 6, 3, 3, 1, 1, 1, 1),
    "all options": Problem(2, 2, 6, 10, 11, 13, 4, 8, 3, 2, 3, 2, 1, 2, 2, 1),
    "stride and dilation share a factor": Problem(2, 1, 3, 4, 12, 15, 3, 5, 3, 3, 4, 2, 2, 1, 2, 3),
    "stride beyond the window": Problem(1, 1, 3, 2, 10, 11, 4, 3, 1, 2, 3, 4, 0, 1),
    "one side of zeros": Problem(1, 1, 2, 3, 5, 6, 6, 8, 2, 4, 1, 1, 0, 3),
    "padding beyond the window": Problem(1, 1, 2, 2, 4, 5, 10, 9, 3, 3, 1, 1, 4, 3),
    "groups of windows": Problem(3, 2, 6, 4, 7, 9, 7, 9, 3, 3, 1, 1, 1, 1),
    "a filter a channel": Problem(3, 5, 5, 5, 9, 10, 5, 5, 3, 3, 2, 2, 1, 1),
    "two filters a channel, long rows": Problem(2, 3, 3, 6, 4, 25, 4, 13, 2, 11, 1, 1, 0, 0, 1, 1),
    "pixels": Problem(2, 2, 6, 8, 17, 16, 17, 16, 1, 1),
    "pixels of small maps": Problem(5, 1, 7, 9, 4, 3, 4, 3, 1, 1),
    "pixels apart": Problem(2, 1, 4, 6, 9, 8, 4, 5, 1, 1, 3, 2, 1, 1),
    "one window": Problem(5, 1, 3, 7, 4, 5, 1, 1, 4, 5),
    "whole fours": Problem(2, 2, 8, 6, 6, 12, 6, 12, 3, 3, 1, 1, 1, 4, 1, 4),
    "fours in rows apart": Problem(2, 1, 4, 66, 9, 8, 5, 8, 3, 1, 2, 1, 1, 0),
    "four taps": Problem(2, 1, 3, 5, 6, 9, 5, 8, 2, 2),
}


def arrays(p, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (p.x_shape, p.w_shape, p.y_shape, (p.out_channels,))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def on_device(backend, name, which, p, x, w, gy, bias, **options):
    """One pass by that algorithm, as a host array."""
    x, w, gy, bias = (None if a is None else backend.arrays.asarray(a) for a in (x, w, gy, bias))
    given = {"forward": (x, w, bias), "input_grad": (gy, w), "weight_grad": (gy, x)}[which]
    return backend.to_host(getattr(backend.convolution, which)(*given, p, name, **options))


def defined(which, p, x, w, gy, bias):
    x, w, gy, bias = (None if a is None else a.astype(np.float64) for a in (x, w, gy, bias))
    given = {"forward": (x, w, bias), "input_grad": (gy, w), "weight_grad": (gy, x)}[which]
    return getattr(cpu, which)(*given, p, "naive")


def check(backend, name, p, tolerance=1e-12, dtype=np.float64):
    given = arrays(p, dtype)
    for which in PASSES:
        if table.ALGORITHMS[name].cannot(which, p) is None:
            expected = defined(which, p, *given)
            got = on_device(backend, name, which, p, *given)
            assert got.dtype == dtype
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, atol=tolerance * max(1, np.abs(expected).max()), err_msg=which)


def can(name, p):
    return any(table.ALGORITHMS[name].cannot(which, p) is None for which in PASSES)


POSSIBLE = [(name, problem) for problem, p in PROBLEMS.items() for name in NAMES if can(name, p)]
