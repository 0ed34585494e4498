"""Every algorithm of the CPU room: equal results, bounded memory, small errors, one result for any thread count."""

import tracemalloc

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


def resized(p, **changes):
    """The problem with other options, the same zeros on both sides, and an image that the window fits into."""
    p = p._replace(**changes)
    extent = [(p.kernel_h - 1) * p.dilation_h + 1, (p.kernel_w - 1) * p.dilation_w + 1]
    high, wide = max(p.in_h, extent[0] - 2 * p.top), max(p.in_w, extent[1] - 2 * p.left)
    out_h, out_w = (high + 2 * p.top - extent[0]) // p.stride_h + 1, (wide + 2 * p.left - extent[1]) // p.stride_w + 1
    return p._replace(in_h=high, in_w=wide, out_h=out_h, out_w=out_w)


def claimed(name, seed):
    """A drawn problem that the algorithm can do, with as many of the options as it claims."""
    p = drawn(seed)
    windows = (
        {},
        {"kernel_h": 1, "kernel_w": 1},
        {"groups": p.in_channels, "out_channels": p.in_channels * (1 + seed % 3)},
        {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1},
        {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "groups": 1},
    )
    for changes in windows:
        found = resized(p, **changes) if changes else p
        if not any(room.ALGORITHMS[name].cannot(which, found) for which in PASSES):
            return found
    raise AssertionError(f"{name} refuses all of them")


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
    p = claimed(name, seed)
    for got, expected in zip(passes(name, p, *arrays(p)), passes("naive", p, *arrays(p)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-10 * max(1, np.abs(expected).max()))


SEAMS = {  # sizes at which the algorithms cut their work
    "images that share a product": Problem(7, 1, 6, 5, 9, 8, 9, 8, 3, 3, 1, 1, 1, 1),
    "images that share a product, strided": Problem(13, 2, 4, 6, 12, 11, 6, 6, 3, 3, 2, 2, 1, 1),
    "several blocks of channels": Problem(2, 1, 300, 3, 24, 23, 24, 23, 3, 3, 1, 1, 1, 1),
    "several bands of rows": Problem(1, 1, 2, 3, 90, 70, 30, 35, 3, 5, 3, 2, 1, 2),
    "several pieces of a row": Problem(1, 1, 1, 2, 2, 5000, 2, 5000, 1, 3, 1, 1, 0, 1),
    "rows of a channel of its own": Problem(2, 3, 3, 6, 150, 140, 75, 70, 3, 3, 2, 2, 1, 1),
    "pixels in place": Problem(3, 2, 12, 10, 40, 31, 40, 31, 1, 1),
    "pixels of one image": Problem(1, 1, 40, 30, 7, 7, 7, 7, 1, 1),
    "pixels of small maps": Problem(30, 1, 5, 9, 7, 6, 7, 6, 1, 1),
    "pixels of small maps, strided": Problem(9, 1, 5, 9, 14, 15, 7, 8, 1, 1, 2, 2),
    "pixels with stride and zeros around": Problem(2, 1, 4, 6, 50, 60, 18, 31, 1, 1, 3, 2, 1, 1),
}


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("name", FAST)
def test_no_seam_shows_where_work_is_cut(name, seam):
    p = SEAMS[seam]
    if any(room.ALGORITHMS[name].cannot(which, p) for which in PASSES):
        pytest.skip("refused")
    for got, expected in zip(passes(name, p, *arrays(p)), passes("naive", p, *arrays(p)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-10 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", FAST)
def test_no_images_give_no_outputs_and_zero_weight_gradients(name):
    p = claimed(name, 3)._replace(images=0)
    y, gx, gw = passes(name, p, *arrays(p))
    assert (y.shape, gx.shape) == (p.y_shape, p.x_shape)
    np.testing.assert_array_equal(gw, np.zeros(p.w_shape))


@pytest.mark.parametrize("name", room.ALGORITHMS)
def test_a_fused_relu_is_the_maximum_with_zero_and_keeps_nan(name):
    module, dense = room.ALGORITHMS[name], Problem(3, 1, 4, 5, 3, 4, 1, 1, 3, 4)
    for p in (
        [dense] if name == "dense" else [claimed(name, 1), SEAMS["pixels in place"], SEAMS["pixels of small maps"]]
    ):
        if module.cannot("forward", p):
            continue
        x, w, _, bias = arrays(p)
        plain = module.forward(x, w, bias, p)
        assert plain.min() < 0 < plain.max()
        np.testing.assert_allclose(module.forward(x, w, bias, p, relu=True), np.maximum(plain, 0), atol=1e-12)
        bias[-1] = np.nan
        assert np.isnan(module.forward(x, w, bias, p, relu=True)[:, -1]).all()


def test_what_an_algorithm_cannot_do_is_refused_with_the_reason():
    p = Problem(1, 2, 4, 4, 5, 5, 3, 3, 3, 3)
    with pytest.raises(ValueError, match="'pointwise' cannot do the pass 'forward': the kernel is 3x3, not 1x1"):
        room.resolve("pointwise", "forward", p)
    with pytest.raises(ValueError, match="'depthwise' cannot do .*: there are 2 groups for 4 input channels"):
        room.resolve("depthwise", "weight_grad", p)


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
    "small maps": Problem(8, 1, 96, 64, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
    "pixels": Problem(4, 1, 256, 64, 28, 28, 28, 28, 1, 1),
    "pixels, strided": Problem(4, 1, 128, 64, 28, 28, 14, 14, 1, 1, 2, 2),
    "channel by channel": Problem(4, 32, 32, 32, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", FAST)
def test_float32_stays_within_the_stated_error_also_for_sums_of_one_sign(name, layer):
    p, bound = LAYERS[layer], room.ALGORITHMS[name].ERROR
    if any(room.ALGORITHMS[name].cannot(which, p) for which in PASSES):
        pytest.skip("refused")
    for shift in (0.0, 3.0):
        single = [(a + shift).astype(np.float32) for a in arrays(p)]
        double = passes("im2col", p, *[a.astype(np.float64) for a in single])
        for got, expected in zip(passes(name, p, *single), double, strict=True):
            assert got.dtype == np.float32
            assert error(got, expected) <= bound


LONG = {
    "many channels": Problem(1, 1, 4096, 6, 6, 6, 6, 6, 3, 3, 1, 1, 1, 1),
    "wide windows": Problem(1, 1, 2048, 6, 9, 9, 3, 3, 7, 7),
    "as many as direct takes": Problem(1, 1, 2048 // 9, 6, 12, 12, 12, 12, 3, 3, 1, 1, 1, 1),
    "large windows": Problem(1, 1, 4, 4, 96, 96, 96, 96, 31, 31, 1, 1, 15, 15),
}


@pytest.mark.parametrize("layer", LONG)
@pytest.mark.parametrize("name", FAST)
def test_long_sums_stay_within_the_stated_error_or_are_refused(name, layer):
    p, module = LONG[layer], room.ALGORITHMS[name]
    for shift in (0.0, 3.0):
        x, w, gy, bias = [(a + shift).astype(np.float32) for a in arrays(p)]
        for which, given in (("forward", (x, w, bias)), ("input_grad", (gy, w)), ("weight_grad", (gy, x))):
            if module.cannot(which, p) is None:
                single = getattr(module, which)(*given, p)
                double = getattr(room.ALGORITHMS["im2col"], which)(*[a.astype(np.float64) for a in given], p)
                assert error(single, double) <= module.ERROR, which


def test_direct_says_that_a_sum_is_too_long():
    with pytest.raises(ValueError, match=r"'direct' cannot .*: sums of 36864 products .* \[1x4096x6x6 -> 6, 3x3 pad"):
        room.resolve("direct", "forward", LONG["many channels"])
    assert room.ALGORITHMS["direct"].cannot("forward", LONG["as many as direct takes"]) is None


LAYERS_FFT = {
    "few channels": Problem(9, 1, 16, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
    "one window": Problem(64, 1, 16, 120, 5, 5, 1, 1, 5, 5),
    "512 maps": Problem(9, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("layer", LAYERS_FFT)
def test_the_thread_count_does_not_change_a_spectrum(layer):
    p, before, found = LAYERS_FFT[layer], threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            mc.set_num_threads(count)
            found.append(passes("fft", p, *arrays(p, np.float32)))
    finally:
        mc.set_num_threads(before)
    for results in zip(*found, strict=True):
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)


def test_large_windows_go_through_spectra_as_far_as_precision_lets_them():
    p = Problem(1, 1, 16, 16, 96, 96, 96, 96, 31, 31, 1, 1, 15, 15)
    for which in PASSES:
        assert room.choose(which, p) == "fft"
        assert "spectra" in room.explain(which, p).reason
        assert room.choose(which, p._replace(kernel_h=5, kernel_w=5, top=2, left=2)) == "direct"
        with pytest.raises(ValueError, match="no rule takes an algorithm with an error of at most 2e-07 in float32"):
            room.choose(which, p, 2e-7)
    small, chosen = Problem(1, 1, 4, 4, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1), 5e-6
    with pytest.raises(ValueError, match="the least is 5e-06"):
        room.choose("forward", small, 2e-7)
    assert room.choose("forward", small, chosen) == "direct"


@pytest.mark.parametrize("problem", [2, "small maps", "pixels, strided", "channel by channel"])
@pytest.mark.parametrize("name", FAST)
def test_the_thread_count_does_not_change_a_bit(name, problem):
    p = claimed(name, problem) if isinstance(problem, int) else LAYERS[problem]
    if any(room.ALGORITHMS[name].cannot(which, p) for which in PASSES):
        pytest.skip("refused")
    before = threads.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            mc.set_num_threads(count)
            found.append(passes(name, p, *arrays(p, np.float32)))
    finally:
        mc.set_num_threads(before)
    for results in zip(*found, strict=True):
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)


BIG = {
    "window": Problem(32, 1, 64, 64, 224, 224, 224, 224, 3, 3, 1, 1, 1, 1),
    "pixels": Problem(32, 1, 2048, 512, 14, 14, 7, 7, 1, 1, 2, 2),
    "channels": Problem(32, 64, 64, 64, 224, 224, 224, 224, 3, 3, 1, 1, 1, 1),
    "small maps": Problem(256, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("layer", BIG)
@pytest.mark.parametrize("name", [name for name in FAST if name != "fft"])
def test_workspace_stays_below_64_mebibytes_a_thread(name, layer):
    for which in PASSES:
        if not room.ALGORITHMS[name].cannot(which, BIG[layer]):
            assert room.ALGORITHMS[name].workspace(which, BIG[layer], 4) <= threads.get_num_threads() << 26


HUGE = (  # of which some algorithm once took several times its share
    Problem(1, 1, 1, 512, 256, 256, 256, 256, 3, 3, 1, 1, 1, 1),
    Problem(1, 1, 3, 1024, 512, 512, 512, 512, 3, 3, 1, 1, 1, 1),
    Problem(1, 1, 256, 256, 8, 4096, 8, 4096, 3, 3, 1, 1, 1, 1),
    Problem(1, 1, 64, 64, 8, 16384, 8, 16384, 3, 3, 1, 1, 1, 1),
    Problem(8, 1, 2048, 2048, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
    Problem(8, 1, 4096, 4096, 7, 7, 7, 7, 1, 1),
    Problem(8, 1, 512, 4096, 7, 7, 1, 1, 7, 7),
    Problem(8, 1, 512, 4096, 8, 8, 2, 2, 7, 7),
    Problem(64, 1, 4, 4096, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
    Problem(8, 1, 512, 512, 14, 14, 14, 14, 3, 3, 1, 1, 1, 1),
    Problem(1, 1, 2, 2, 4000, 4000, 1000, 1000, 3, 3, 1, 1, 0, 0, 1500, 1500),
    Problem(2, 4096, 4096, 4096, 101, 101, 1, 1, 101, 101),
)


def larger(seed):
    """A drawn problem with channels and maps as large as networks have them, or larger."""
    p, rng = drawn(seed), np.random.default_rng(seed)
    ci, co = (int(2 ** rng.uniform(0, 11)) for _ in range(2))
    sizes = [int(2 ** rng.uniform(0, 12)) for _ in range(2)]
    kernel = (3, 3) if seed % 2 else (p.kernel_h, p.kernel_w)
    step = 1 if seed % 2 else p.stride_h
    changes = {"in_channels": p.groups * ci, "out_channels": p.groups * co, "in_h": sizes[0], "in_w": sizes[1]}
    p = p._replace(groups=1 if seed % 2 else p.groups, stride_h=step, stride_w=step, **changes)
    return resized(p, kernel_h=kernel[0], kernel_w=kernel[1])


@pytest.mark.parametrize("name", [name for name in room.ALGORITHMS if name not in {"fft", "naive"}])
def test_no_pass_states_more_scratch_memory_than_the_bound(name):
    module, done = room.ALGORITHMS[name], 0
    before = threads.get_num_threads()
    try:
        for p in (*HUGE, *BIG.values(), *(larger(seed) for seed in range(100))):
            for which in PASSES:
                for item in (4, 8):
                    if module.cannot(which, p) is None:
                        for count in (1, 2, 5):
                            mc.set_num_threads(count)
                            assert module.workspace(which, p, item) <= count * item << 24, (which, p)
                            done += 1
    finally:
        mc.set_num_threads(before)
    assert done


@pytest.mark.parametrize("p", HUGE)
def test_the_automatic_choice_keeps_the_bound(p):
    for which in PASSES:
        module = room.ALGORITHMS[room.choose(which, p)]
        assert module.workspace(which, p, 4) <= threads.get_num_threads() << 26


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", FAST)
def test_no_pass_takes_more_than_the_workspace_it_states(name, layer):
    p, module = LAYERS[layer], room.ALGORITHMS[name]
    if any(module.cannot(which, p) for which in PASSES):
        pytest.skip("refused")
    x, w, gy, bias = arrays(p, np.float32)
    for which, given in (("forward", (x, w, bias)), ("input_grad", (gy, w)), ("weight_grad", (gy, x))):
        getattr(module, which)(*given, p)  # compiled, and its plans made
        tracemalloc.start()
        try:
            result = getattr(module, which)(*given, p)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak - result.nbytes <= module.workspace(which, p, 4) + 50_000  # and a few objects of Python


@pytest.mark.parametrize("name", FAST)
def test_non_contiguous_arrays_are_taken_and_left_alone(name):
    p = claimed(name, 0)
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
    assert room.choose("forward", Problem(8, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1)) == "winograd"
    assert room.choose("forward", Problem(8, 1, 512, 512, 7, 7, 4, 4, 3, 3, 2, 2, 1, 1)) == "im2col"
    assert room.choose("weight_grad", Problem(8, 64, 64, 64, 9, 9, 9, 9, 3, 3, 1, 1, 1, 1)) == "depthwise"
    assert room.choose("input_grad", Problem(8, 1, 64, 32, 9, 9, 9, 9, 1, 1)) == "pointwise"
