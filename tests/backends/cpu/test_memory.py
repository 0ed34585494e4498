"""Where results lie: large ones from the beginning of a cache line, and nothing else about them differs."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.cpu import memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_a_large_array_begins_with_a_line_and_is_row_major(dtype: type) -> None:
    for rows in range(1, 40):
        array = memory.empty((rows, memory.LARGE // 8 + rows), dtype)
        assert array.ctypes.data % memory.LINE == 0 or array.nbytes < memory.LARGE
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == dtype


def test_a_small_array_and_an_empty_one_are_numpys_own() -> None:
    assert memory.empty((3, 4), np.float32).base is None
    assert memory.empty((0, 1 << 20), np.float32).shape == (0, 1 << 20)
    assert memory.empty((), np.float64).shape == ()


def test_results_and_copies_of_every_kind_begin_with_a_line() -> None:
    x = mc.tensor(np.random.default_rng(0).standard_normal((8, 16, 64, 65), np.float32), requires_grad=True)
    w = mc.tensor(np.ones((16, 16, 3, 3), np.float32), requires_grad=True)
    results = [x, mc.ops.relu(x), x + x, x * 2.0, mc.ops.conv2d(x, w), mc.ops.max_pool2d(x, 3, 1), mc.ops.softmax(x, 1)]
    results += [mc.ops.batch_norm(x, None, None, training=True), mc.ops.cat([x, x], 1), x.exp()]
    for result in results:
        assert result.data.ctypes.data % memory.LINE == 0, result.node


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="references of frames are not counted")
def test_the_gradient_of_a_leaf_is_taken_over_not_copied() -> None:
    places: list[int] = []

    class Double(mc.Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 2.0

        def backward(self, gy: mc.Tensor) -> mc.Tensor:
            gx = gy * 2.0
            places.append(gx.data.ctypes.data)
            return gx

    x = mc.tensor(np.ones(1 << 19, np.float32), requires_grad=True)
    Double()(x).backward(mc.tensor(np.ones(1 << 19, np.float32)))
    assert x.grad is not None
    assert [x.grad.data.ctypes.data] == places
