"""Every algorithm of the CPU room: equal results, bounded memory, small errors, one result for any thread count."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cpu import convolution as room
from minicnn.backends.cpu import threads

FAST = [name for name in room.ALGORITHMS if name not in {"naive", "dense"}]  # dense: one window only, below


def drawn(seed):
    """A problem with all options at once, asymmetric padding too."""
    rng = np.random.default_rng(seed)
    groups, ci, co = (int(v) for v in (rng.integers(1, 4), rng.integers(1, 4), rng.integers(1, 9)))
    kernel, stride, dilation = rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    before, after = rng.integers(0, 4, 2), rng.integers(0, 4, 2)
    extent = dilation * (kernel - 1) + 1
    size = np.maximum(rng.integers(1, (12, 40)), np.maximum(extent - before - after, 1))
    out = (size + before + after - extent) // stride + 1
    pairs = np.concatenate([size, out, kernel, stride, before, dilation])
    return Problem(int(rng.integers(1, 10)), groups, groups * ci, groups * co, *(int(v) for v in pairs))


def arrays(p, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (p.x_shape, p.w_shape, p.y_shape, (p.out_channels,))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def passes(name, p, x, w, gy, bias):
    return (
        room.forward(x, w, bias, p, name),
        room.input_grad(gy, w, p, name),
        room.weight_grad(gy, x, p, name),
    )


def error(got, expected):
    return np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", FAST)
def test_all_algorithms_equal_the_definition(name, seed):
    p = drawn(seed)
    for got, expected in zip(passes(name, p, *arrays(p)), passes("naive", p, *arrays(p)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-10 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("sizes", [(64, 16, 120, 5, 5), (3, 2, 4, 1, 7), (5, 700, 900, 1, 1), (0, 2, 3, 4, 4)])
def test_a_window_that_covers_the_image_is_one_matrix_product(sizes):
    n, ci, co, h, w = sizes
    p = Problem(n, 1, ci, co, h, w, 1, 1, h, w)
    assert {room.choose(which, p) for which in PASSES} == {"dense"}
    given = arrays(p)
    for got, expected in zip(passes("dense", p, *given), passes("im2col", p, *given), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize(
    "p",
    [
        Problem(1, 1, 1, 1, 5, 5, 1, 1, 3, 3, dilation_h=2, dilation_w=2),
        Problem(1, 2, 2, 2, 5, 5, 1, 1, 5, 5),
        Problem(1, 1, 1, 1, 5, 5, 3, 3, 5, 5, top=1, left=1),
        Problem(1, 1, 1, 1, 5, 5, 2, 1, 4, 5),
    ],
)
def test_any_other_window_is_not_dense(p):
    with pytest.raises(ValueError, match="'dense' cannot do the pass 'forward': one window without padding"):
        room.resolve("dense", "forward", p)


LAYERS = {
    "first": Problem(8, 1, 1, 6, 32, 32, 28, 28, 5, 5),
    "deep": Problem(2, 1, 128, 16, 14, 14, 14, 14, 3, 3, 1, 1, 1, 1),
    "long sums": Problem(1, 1, 3, 4, 200, 200, 200, 200, 3, 3, 1, 1, 1, 1),
    "strided": Problem(2, 1, 3, 16, 64, 64, 15, 15, 11, 11, 4, 4, 2, 2),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", FAST)
def test_float32_stays_within_five_millionths_also_for_sums_of_one_sign(name, layer):
    p = LAYERS[layer]
    for shift in (0.0, 3.0):
        single = [(a + shift).astype(np.float32) for a in arrays(p)]
        double = passes("im2col", p, *[a.astype(np.float64) for a in single])
        for got, expected in zip(passes(name, p, *single), double, strict=True):
            assert got.dtype == np.float32
            assert error(got, expected) <= 5e-6


@pytest.mark.parametrize("name", FAST)
def test_the_thread_count_does_not_change_a_bit(name):
    p = Problem(9, 2, 4, 14, 17, 19, 9, 10, 3, 3, 2, 2, 1, 1)
    before = threads.get_num_threads()
    try:
        mc.set_num_threads(1)
        alone = passes(name, p, *arrays(p, np.float32))
        mc.set_num_threads(2)
        shared = passes(name, p, *arrays(p, np.float32))
    finally:
        mc.set_num_threads(before)
    for one, two in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", FAST)
def test_workspace_stays_far_below_a_lowered_batch(name, which):
    p = Problem(32, 1, 64, 64, 224, 224, 224, 224, 3, 3, 1, 1, 1, 1)
    lowered = 4 * p.images * p.taps * p.out_h * p.out_w
    assert room.ALGORITHMS[name].workspace(which, p, 4) < lowered / 100


@pytest.mark.parametrize("name", FAST)
def test_non_contiguous_arrays_are_taken_and_left_alone(name):
    p = Problem(2, 1, 2, 3, 6, 7, 4, 5, 3, 3)
    x, w, gy, bias = arrays(p)
    turned = [np.asfortranarray(a) for a in (x, w, gy, bias)]
    copies = [a.copy() for a in turned]
    for got, expected in zip(passes(name, p, *turned), passes(name, p, x, w, gy, bias), strict=True):
        np.testing.assert_array_equal(got, expected)
    for a, b in zip(turned, copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_long_rows_are_left_to_the_algorithm_that_divides_them():
    p = Problem(1, 1, 64, 64, 1, 10**6, 1, 10**6, 1, 3, 1, 1, 0, 1)
    for which in PASSES:
        assert room.choose(which, p) == "im2col"
        assert room.ALGORITHMS["im2col"].workspace(which, p, 4) < 10**8
        with pytest.raises(ValueError, match=f"'direct' cannot do the pass '{which}': one row"):
            room.resolve("direct", which, p)


def test_the_rules_choose_a_known_algorithm_for_every_pass():
    for seed in range(30):
        for which in PASSES:
            name = room.choose(which, drawn(seed))
            assert name in FAST and room.ALGORITHMS[name].cannot(which, drawn(seed)) is None
    assert room.choose("forward", LAYERS["first"]) == "direct"
    assert room.choose("forward", Problem(8, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1)) == "im2col"
