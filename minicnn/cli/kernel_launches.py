"""The launches that ``minicnn kernels sanitize`` records: every case of every op, and what no case launches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import optim
from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import load_emulated, recording, seam, sources
from minicnn.backends.cuda.convolution import finishing, implicit_gemm
from minicnn.core.tensor import tensor
from minicnn.core.windows import Window2d
from minicnn.testing import parity
from minicnn.testing.cases.case import all_cases

UNLAUNCHED = {  # kernels that are not replayed, and why
    "activations.relu_1": "the literal variant, which is there to be read",
    **{
        f"convolution_gemm.{which}{tile}": "a tile for large convolutions only: tests/backends/cuda replays them"
        for which in ("forward", "input_grad", "weight_grad")
        for tile in ("", "_narrow")
    },
}


def record(folder: Path, stems: list[str], copies: int) -> set[str]:
    """Record what these files are launched with, and give the kernels' names.

    In float32; files whose text asks for the size of an element are other programs in float64 and float16, and are
    recorded in these as well.
    """
    launched: set[str] = set()
    for real in ("float32", "float64", "float16"):
        wanted = [s for s in stems if real == "float32" or re.search(r"sizeof\((real|acc)\)", sources.text(s))]
        if not wanted:
            continue
        with recording.recording(folder, copies=copies, stems=wanted) as written:
            _convolutions(np.dtype(real))  # before the cases: the recorder keeps the first few launches of a kernel
            _larger_than_cases(np.dtype(real))
            for case in all_cases():
                parity.run(case, 0, real, "cuda-emulated")
            _atomics(np.dtype(real))
            _optimizers(real)
        launched |= written
    return launched


def _atomics(real: np.dtype[Any]) -> None:
    """The scatters by atomics, with places that are hit several times, and other variants that no op calls."""
    device = load_emulated()
    rng, array = np.random.default_rng(0), device.arrays.array
    gy = array(rng.standard_normal((2, 3, 4, 4)).astype(real))
    device.pooling.scatter_planes_atomic(gy, array(rng.integers(-1, 9, gy.shape).astype(np.int32)), (5, 6))
    rows = array(rng.standard_normal((40, 3)).astype(real))
    device.indexing.add_rows_atomic(rows, array(rng.integers(0, 7, 40)), 7)
    boxes = array(np.array([[0, 1, 1, 7, 9], [1, 0, 2, 8, 8], [0, 2, 1, 9, 9.0]]))
    gy = array(rng.standard_normal((3, 2, 3, 2)).astype(real))
    device.roi.roi_align_adjoint_atomic(gy, boxes, (2, 2, 10, 11), 0.5, True, 2, None)
    x = array(rng.standard_normal((2, 2, 10, 11)).astype(real))
    device.roi.roi_pool_1(x, boxes, (3, 2), 0.5, True)
    device.roi.roi_align_1(x, boxes, (3, 2), 0.5, True, 2, None)


def _larger_than_cases(real: np.dtype[Any]) -> None:
    """Rows and windows that are cut among blocks, integers, and what only a fused layer calls."""
    device = load_emulated()
    rng, array = np.random.default_rng(0), device.arrays.array

    def drawn(*shape: int) -> Any:
        return array(rng.standard_normal(shape).astype(real))

    # a row in slices; one that a block does not hold, of packs and of single elements; several weights to a row
    for view in ((1, 1, 1, 1, 1 << 14), (1, 1, 1, 1, 6000), (1, 1, 1, 1, 6001), (1, 2, 2, 3, 40), (1, 20, 1, 9, 1)):
        size = view[0] * view[1] * view[2] * view[3] * view[4]
        x, weight, bias = drawn(size), drawn(view[2] * view[3]), drawn(view[2] * view[3])
        _, mean, var = device.normalization.normalize(x, weight, bias, view, 1e-5)
        device.normalization.normalize_grad(drawn(size), x, weight, mean, var, view, 1e-5)
        device.normalization.normalize_1(x, weight, bias, view, 1e-5)
        device.normalization.normalize_grad_1(drawn(size), x, weight, mean, var, view, 1e-5)
    for rows, classes in ((2, 1030), (3, 40)):  # a block for each row, a warp
        z, labels = drawn(rows, classes), array(rng.integers(0, classes, (rows, 1)))
        device.softmax.softmax_grad(z, device.softmax.softmax(z, 1), 1)
        _, p, *_ = device.losses.softmax_cross_entropy(z.reshape(rows, classes, 1), labels, None, -100, 0.1)
        device.losses.softmax_cross_entropy_grad(drawn(1).reshape(()), p, labels, None, -100, 0.1, 1.0)
    device.local_normalization.channel_window_sum(drawn(2, 5, 3), 2, 1)  # which second derivatives call
    device.average_pooling.adaptive_avg_pool2d(drawn(1, 2, 9, 9), (1, 1))
    device.average_pooling.avg_pool2d_adjoint_1(drawn(1, 2, 3, 2), Window2d((3, 2), (2, 2), (1, 0)), (6, 5), True, None)
    device.resample.resize_1(drawn(1, 2, 4, 5), (6, 3), "bilinear", False, (None, None), False)
    with seam.on(device.runtime):
        finishing.sum_parts(drawn(20, 3, 2, 3, 2).astype(sources.sum_type(real)), (3, 2, 3, 2), real)
    device.roi.gather_bins(drawn(1, 2, 4, 4), array(rng.integers(-1, 32, (2, 2, 3, 3))))
    device.indexing.add_flat(array(rng.integers(0, 9, 40)), array(rng.integers(0, 7, 40)), 7)
    for relu in (False, True):
        device.activations.add_bias(drawn(2, 3, 5), drawn(3), relu)


def _convolutions(real: np.dtype[Any]) -> None:
    """Every algorithm that can do a small problem."""
    device = load_emulated()
    rng, convolution = np.random.default_rng(0), device.convolution
    problems = (
        Problem(1, 1, 3, 4, 6, 7, 6, 7, 3, 3, 1, 1, 1, 1),
        Problem(2, 2, 4, 4, 5, 5, 3, 3, 3, 3, 2, 2, 1, 1),
        Problem(1, 2, 2, 4, 6, 5, 6, 5, 3, 3, 1, 1, 1, 1),  # a filter a channel: unrolled, of both strides, and not
        Problem(2, 2, 2, 2, 7, 6, 4, 3, 5, 5, 2, 2, 2, 2),
        Problem(1, 2, 2, 2, 6, 5, 5, 4, 2, 2),
        Problem(1, 1, 8, 4, 5, 4, 5, 4, 1, 1),  # whole rows of four
    )
    literal = implicit_gemm.of("_1", 0)
    for p in problems:
        x, w, gy, bias = (
            device.arrays.array(rng.standard_normal(shape).astype(real))
            for shape in (p.x_shape, p.w_shape, p.y_shape, (p.out_channels,))
        )
        for which, given in (("forward", (x, w, bias)), ("input_grad", (gy, w)), ("weight_grad", (gy, x))):
            with seam.on(device.runtime):
                getattr(literal, which)(*given, p)
        for name, module in convolution.ALGORITHMS.items():
            if name.endswith("_tf32") and real == np.float64:
                continue  # which it refuses, as it rounds
            for which, given in (("forward", (x, w, bias)), ("input_grad", (gy, w)), ("weight_grad", (gy, x))):
                if not module.cannot(which, p):
                    getattr(convolution, which)(*given, p, name)
            if p is problems[-1] and not module.cannot("forward", p):
                convolution.forward(x, w, bias, p, name, relu=True)


def _optimizers(real: str) -> None:
    for make in (optim.SGD, optim.LARS, optim.Adagrad, optim.Adadelta, optim.RMSprop, optim.Adam):
        w = tensor(np.ones((5, 3)), dtype=real, device="cuda-emulated", requires_grad=True)
        (w * w).sum().backward()
        optim.clip_grad_norm_([w], 1.0)
        make([w], lr=0.1).step()
