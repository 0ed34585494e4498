"""Every algorithm of the GPU's room equals the definition at every seam: tiles, blocks, chunks, parts, phases."""

from types import SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cpu import convolution as cpu
from minicnn.backends.cuda import convolution as table
from minicnn.backends.cuda import recording, seam
from minicnn.backends.cuda.convolution import implicit_gemm, thresholds
from minicnn.backends.cuda.device import CupyRuntime
from minicnn.backends.cuda.emulator import compiler
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype

TF32 = "implicit_gemm_tf32"
NAMES = [name for name in table.ALGORITHMS if name != TF32]


@pytest.fixture(autouse=True)
def cuts_of_this_test():
    implicit_gemm._cut.cache_clear()
    yield
    implicit_gemm._cut.cache_clear()


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


@pytest.mark.parametrize(("name", "problem"), POSSIBLE)
def test_all_algorithms_equal_the_definition(backend, name, problem):
    check(backend, name, PROBLEMS[problem])


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_within_the_stated_error(backend, name):
    for problem in ("many channels", "all options", "a filter a channel", "pixels", "one window"):
        check(backend, name, PROBLEMS[problem], table.ALGORITHMS[name].ERROR, np.float32)


@pytest.mark.parametrize("name", [*NAMES, TF32])
def test_float16_is_summed_in_float32(backend, name):
    """Only results are rounded, but for im2col's columns of an input gradient and NumPy's product of two matrices."""
    exact = name not in {"im2col", "dense"}
    for problem in ("groups of windows", "a filter a channel", "pixels of small maps", "one window"):
        check(backend, name, PROBLEMS[problem], 6e-4 if exact else 4e-3, np.float16)


@pytest.fixture
def launched(backend, monkeypatch):
    """The names of the kernels that the test launches."""
    names, run = [], backend.runtime.run
    monkeypatch.setattr(backend.runtime, "run", lambda kernel, *how: (names.append(kernel.name), run(kernel, *how)))
    return names


def test_halves_take_the_kernels_of_tensor_cores_where_there_are_some(backend, monkeypatch, launched):
    for has, suffix in ((True, "_tf32"), (False, "_small")):
        monkeypatch.setattr(backend.runtime, "has_tf32", has)
        launched.clear()
        check(backend, "implicit_gemm", PROBLEMS["groups of windows"], 6e-4, np.float16)
        assert {f"{which}{suffix}" for which in PASSES} == {name for name in launched if name != "sum_parts"}


@pytest.mark.parametrize(("capability", "has"), [("75", False), ("80", True), ("121", True)])
def test_a_device_is_asked_once_what_it_can_do(capability, has):
    asked, runtime = [], CupyRuntime.__new__(CupyRuntime)

    def device_now():
        asked.append(capability)
        return SimpleNamespace(compute_capability=capability)

    runtime.namespace = SimpleNamespace(cuda=SimpleNamespace(Device=device_now))
    assert [runtime.has_tf32, runtime.has_tf32] == [has, has]
    assert len(asked) == 1


@pytest.mark.parametrize("variant", ["", "_narrow"])
def test_tiles_of_every_shape_equal_the_definition(backend, monkeypatch, variant):
    monkeypatch.setattr(implicit_gemm, "PLAIN", (variant,))
    for p in (
        Problem(4, 1, 66, 130, 7, 6, 7, 6, 3, 3, 1, 1, 1, 1),
        Problem(5, 2, 140, 134, 9, 11, 5, 4, 2, 3, 2, 3, 1, 1),
        Problem(3, 1, 72, 130, 6, 12, 6, 12, 3, 3, 1, 1, 1, 4, 1, 4),
    ):
        check(backend, "implicit_gemm", p)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_literal_variant_equals_the_definition(backend, problem):
    p, literal = PROBLEMS[problem], implicit_gemm.of("_1", 0)
    x, w, gy, bias = given = arrays(p)
    dx, dw, dgy, dbias = map(backend.arrays.asarray, given)
    for which, taken in (("forward", (dx, dw, dbias)), ("input_grad", (dgy, dw)), ("weight_grad", (dgy, dx))):
        with seam.on(backend.runtime):
            got = getattr(literal, which)(*taken, p)
        expected = defined(which, p, x, w, gy, bias)
        np.testing.assert_allclose(backend.to_host(got), expected, atol=1e-12 * np.abs(expected).max(), err_msg=which)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("problem", ["whole fours", "fours in rows apart", "four taps", "pixels", "many channels"])
def test_an_array_that_begins_off_the_grid_of_loads_changes_nothing(backend, monkeypatch, problem, dtype):
    p, given = PROBLEMS[problem], arrays(PROBLEMS[problem], dtype)

    def shifted(a):
        return backend.arrays.asarray(np.append(dtype(7), a))[1:].reshape(a.shape)

    for variant in implicit_gemm.PLAIN:
        monkeypatch.setattr(implicit_gemm, "PLAIN", (variant,))
        implicit_gemm._cut.cache_clear()
        for name in ["implicit_gemm", TF32][: 1 if dtype == np.float64 else 2]:
            for which in PASSES:
                left, right = {"forward": (1, 0), "input_grad": (1, 2), "weight_grad": (2, 0)}[which]
                whole = on_device(backend, name, which, p, *given)
                for moved in ((left,), (right,), (left, right)):
                    some = [shifted(a) if i in moved else backend.arrays.asarray(a) for i, a in enumerate(given)]
                    x, w, gy, bias = some
                    taken = {"forward": (x, w, bias), "input_grad": (gy, w), "weight_grad": (gy, x)}[which]
                    got = backend.to_host(getattr(backend.convolution, which)(*taken, p, name))
                    np.testing.assert_array_equal(got, whole, err_msg=f"{name} {which} {moved}")


@pytest.mark.parametrize("problem", ["all options", "stride beyond the window", "whole fours"])
def test_fragments_of_tensor_cores_are_put_together_rightly(backend, problem):
    p = PROBLEMS[problem]
    check(backend, TF32, p, table.ALGORITHMS[TF32].ERROR, np.float32)
    whole = [np.rint(4 * a).astype(np.float32) for a in arrays(p)]  # exact in 10 bits: no rounding may show
    for which in PASSES:
        np.testing.assert_array_equal(on_device(backend, TF32, which, p, *whole), defined(which, p, *whole))


def test_tensor_cores_round_factors_to_ten_bits_and_keep_what_is_not_finite(backend):
    p = Problem(1, 1, 1, 1, 1, 4, 1, 4, 1, 1)
    values = np.array([1 + 2.0**-11, 1 + 2.0**-12, np.inf, np.nan], np.float32).reshape(p.x_shape)
    got = on_device(backend, TF32, "forward", p, values, np.ones(p.w_shape, np.float32), None, None)
    np.testing.assert_array_equal(got.ravel(), np.array([1 + 2.0**-10, 1, np.inf, np.nan], np.float32))


def test_tensor_cores_refuse_float64_and_are_never_chosen(backend):
    p = PROBLEMS["many channels"]
    with pytest.raises(TypeError, match="'implicit_gemm_tf32' rounds to 10 bits"):
        on_device(backend, TF32, "forward", p, *arrays(p))
    assert TF32 in table.DEVICE_ONLY
    assert all(table.choose(which, q) != TF32 for which in PASSES for q in PROBLEMS.values())


@pytest.mark.parametrize("name", ["im2col", "pointwise", "winograd", "winograd_f2"])
def test_a_small_workspace_cuts_the_work_and_changes_nothing(backend, name, monkeypatch):
    for workspace in (3000, 12000):  # single rows or tiles; several images
        monkeypatch.setattr(thresholds, "WORKSPACE", workspace)
        for problem in ("groups of windows", "all options", "pixels of small maps", "pixels apart"):
            check(backend, name, PROBLEMS[problem])


PRODUCTS = {  # of each image by itself, of several gathered, of pixels apart
    "many images": Problem(37, 1, 6, 5, 3, 4, 3, 4, 1, 1),
    "many images in groups": Problem(37, 2, 6, 10, 4, 4, 4, 4, 1, 1),
    "few pixels": Problem(7, 1, 20, 19, 2, 3, 2, 3, 1, 1),
    "pixels apart": Problem(9, 1, 3, 5, 9, 8, 4, 5, 1, 1, 3, 2, 1, 1),
    "windows": Problem(5, 2, 4, 6, 7, 6, 7, 6, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize(
    ("name", "problem"), [(name, q) for name in ("pointwise", "im2col") for q in PRODUCTS if can(name, PRODUCTS[q])]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 5e-6), (np.float16, 4e-3)])
def test_sums_of_products_are_cut_and_joined(backend, monkeypatch, name, problem, dtype, tolerance):
    p = PRODUCTS[problem]
    monkeypatch.setattr(thresholds, "SHORTEST_PRODUCT", 8)
    monkeypatch.setattr(thresholds, "FEW_POSITIONS", 12)
    for blocks, workspace in (
        (64, 1 << 28),
        (20, 1 << 28),
        (20, 20000),
    ):  # all parts at once; several turns; small chunks
        monkeypatch.setattr(thresholds, "BLOCKS", blocks)
        monkeypatch.setattr(thresholds, "WORKSPACE", workspace)
        check(backend, name, p, tolerance, dtype)


def test_the_weight_gradient_of_pixels_copies_nothing_and_takes_images_in_even_turns(backend, monkeypatch, launched):
    p = PRODUCTS["many images"]
    monkeypatch.setattr(thresholds, "BLOCKS", 20)
    given = arrays(p)
    got = on_device(backend, "pointwise", "weight_grad", p, *given)
    np.testing.assert_allclose(got, defined("weight_grad", p, *given), atol=1e-12 * np.abs(got).max())
    assert launched == ["sum_many_parts"]
    assert table.ALGORITHMS["pointwise"].workspace("weight_grad", p, 8) == 19 * 8 * 30  # 37 images: 19 and 18


def test_large_maps_have_columns_of_their_own_and_copy_no_outputs(backend, launched):
    p = Problem(2, 2, 6, 4, 23, 24, 12, 12, 3, 3, 2, 2, 1, 1)
    check(backend, "im2col", p)
    assert launched == ["im2col", "finish", "col2im", "gather_outputs", "im2col", "sum_parts"]
    im2col = table.ALGORITHMS["im2col"]
    assert [im2col.workspace(which, p, 8) for which in PASSES[:2]] == [8 * 2 * 6 * 9 * 144] * 2


CUTS = {
    "fours": Problem(2, 1, 8, 5, 6, 8, 6, 8, 3, 3, 1, 1, 1, 1),
    "groups": Problem(3, 2, 6, 10, 7, 9, 7, 9, 3, 3, 1, 1, 1, 1),
    "phases, some without taps": Problem(2, 1, 3, 6, 9, 11, 3, 4, 2, 2, 3, 3),
    "phases, one with all taps": Problem(2, 1, 3, 5, 12, 15, 3, 5, 3, 3, 4, 2, 2, 1, 2, 2),
    "pixels": Problem(2, 1, 19, 6, 5, 4, 5, 4, 1, 1),
}


def cheap_cuts(monkeypatch, parts, variant):
    """Sums of three and more terms are cut into so many parts, as though joining cost nothing."""
    for name, value in {"SHORTEST_PRODUCT": 3, "JOIN": 0, "LAUNCH": 0, "MULTIPROCESSORS": 1 << 20}.items():
        monkeypatch.setattr(thresholds, name, value)
    monkeypatch.setattr(implicit_gemm, "MOST_PARTS", parts)
    monkeypatch.setattr(implicit_gemm, "PLAIN", (variant,))


@pytest.mark.parametrize("variant", ["_small", "_narrow", ""])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 5e-6), (np.float16, 6e-4), ("bfloat16", 5e-3)]
)
def test_sums_are_cut_into_parts_and_joined_with_bias_and_relu(
    backend, monkeypatch, launched, variant, dtype, tolerance
):
    dtype = find_dtype(dtype)
    monkeypatch.setattr(backend.runtime, "has_tf32", False)
    for parts in (3, 16):
        cheap_cuts(monkeypatch, parts, variant)
        for name, p in CUTS.items():
            implicit_gemm._cut.cache_clear()
            launched.clear()
            if dtype.itemsize > 2:
                check(backend, "implicit_gemm", p, tolerance, dtype)
            else:  # factors as the dtype has them
                given = [a.astype(dtype).astype(np.float64) for a in arrays(p)]
                for which in PASSES:
                    got = on_device(backend, "implicit_gemm", which, p, *(a.astype(dtype) for a in given))
                    expected = defined(which, p, *given)
                    np.testing.assert_allclose(got.astype(np.float64), expected, atol=tolerance * abs(expected).max())
            assert launched.count("sum_parts") + launched.count("sum_many_parts") == 3, name
            x, w, _, bias = (a.astype(dtype) for a in arrays(p))
            bias[0] = np.nan
            y = on_device(backend, "implicit_gemm", "forward", p, x, w, None, bias).astype(np.float64)
            relu = on_device(backend, "implicit_gemm", "forward", p, x, w, None, bias, relu=True).astype(np.float64)
            np.testing.assert_array_equal(relu, np.maximum(y, 0))


def test_parts_of_a_forward_pass_are_stated_as_workspace_and_stay_in_the_cache():
    p = Problem(2, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1)  # 4 tiles of 128 x 128, sums of 4608 terms
    for name in ("implicit_gemm", TF32):
        for which in ("forward", "input_grad"):
            taken = table.ALGORITHMS[name].workspace(which, p, 4)
            assert 4 * 4 * 512 * 98 <= taken <= thresholds.CACHE, name
    wide = p._replace(images=256)  # tiles enough
    assert table.ALGORITHMS["implicit_gemm"].workspace("forward", wide, 4) == 0


def test_tiles_are_chosen_for_few_rows_and_for_many():
    few = Problem(64, 1, 16, 16, 32, 32, 32, 32, 3, 3, 1, 1, 1, 1)
    many = Problem(64, 1, 256, 256, 28, 28, 28, 28, 3, 3, 1, 1, 1, 1)
    for which in PASSES:
        assert implicit_gemm._cut("", which, few).kernel.endswith("_narrow")
        assert implicit_gemm._cut("", which, many).kernel == f"convolution_gemm.{which}"
    assert implicit_gemm._cut("", "forward", few._replace(images=1)).kernel.endswith("_small")


def test_the_input_gradient_of_a_first_layer_goes_by_columns():
    p = Problem(8, 1, 3, 64, 224, 224, 112, 112, 7, 7, 2, 2, 3, 3)
    assert [table.choose(which, p) for which in PASSES] == ["implicit_gemm", "im2col", "implicit_gemm"]
    assert table.choose("input_grad", p, item=2) == "implicit_gemm"  # columns would be rounded
    assert table.choose("input_grad", p._replace(in_channels=16)) == "implicit_gemm"
    assert table.choose("input_grad", p._replace(in_channels=3, out_channels=3)) == "implicit_gemm"


TILES = {
    "a batch": Problem(7, 1, 3, 5, 9, 10, 9, 10, 3, 3, 1, 1, 1, 1),
    "groups, no padding": Problem(5, 2, 4, 6, 9, 7, 7, 5, 3, 3),
}


@pytest.mark.parametrize(("name", "tile"), [("winograd", 4), ("winograd_f2", 2)])
@pytest.mark.parametrize("problem", TILES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5), (np.float16, 6e-4)])
def test_chunks_of_tiles_that_a_cache_holds_are_cut_and_joined(
    backend, monkeypatch, name, tile, problem, dtype, tolerance
):
    p, algorithm, item = TILES[problem], table.ALGORITHMS[name], max(4, np.dtype(dtype).itemsize)
    element = (tile + 2) ** 2 * item
    monkeypatch.setattr(thresholds, "BLOCKS", 4 * (tile + 2) ** 2 * p.groups)  # four parts, if none is short
    for shortest, tiles, parts in ((1, 29, 4), (5, 11, 2), (1000, 29, 1)):
        monkeypatch.setattr(thresholds, "CACHE", element * (p.in_channels + p.out_channels) * tiles)
        monkeypatch.setattr(thresholds, "SHORTEST_PRODUCT", shortest)
        check(backend, name, p, tolerance, dtype)
        filters = element * p.out_channels * p.in_channels // p.groups
        whole = algorithm.workspace("weight_grad", p, np.dtype(dtype).itemsize) - parts * filters
        assert 0 < whole <= thresholds.CACHE * (1 + 4 * parts / tiles)  # one part's row may go on to 16 bytes


def test_transformed_filters_that_every_chunk_reads_are_not_read_more_than_once_a_cache():
    p = Problem(64, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1)
    for which in PASSES:  # U takes 38 MB, and so do the tiles of 64 images: one chunk
        assert table.ALGORITHMS["winograd"].workspace(which, p, 4) == 36 * 4 * (512 * 512 + 1024 * 256)


@pytest.mark.parametrize("name", ["implicit_gemm", "depthwise"])
def test_parts_of_a_weight_gradient_are_joined(backend, name, monkeypatch):
    monkeypatch.setattr(thresholds, "SHORTEST_SUM", 1)
    monkeypatch.setattr(thresholds, "LONGEST_SUM", 11)
    for problem in ("a filter a channel", "two filters a channel, long rows"):
        p = PROBLEMS[problem]._replace(images=23)
        item = 8 * p.out_channels * p.taps
        assert table.ALGORITHMS[name].workspace("weight_grad", p, 8) >= (2 if name == "depthwise" else 30) * item
        check(backend, name, p)


@pytest.mark.parametrize(("name", "problem"), [pair for pair in POSSIBLE if pair[1] != "many channels"])
def test_no_images_give_no_outputs_and_zero_weight_gradients(backend, name, problem):
    p = PROBLEMS[problem]._replace(images=0)
    given = arrays(p)
    assert on_device(backend, name, "forward", p, *given).shape == p.y_shape
    assert on_device(backend, name, "input_grad", p, *given).shape == p.x_shape
    np.testing.assert_array_equal(on_device(backend, name, "weight_grad", p, *given), np.zeros(p.w_shape))


@pytest.mark.parametrize("name", NAMES)
def test_a_fused_relu_is_the_maximum_with_zero_and_keeps_nan(backend, name):
    for problem in ("groups of windows", "a filter a channel", "pixels", "pixels of small maps", "one window"):
        p = PROBLEMS[problem]
        if table.ALGORITHMS[name].cannot("forward", p):
            continue
        x, w, _, bias = arrays(p)
        plain = on_device(backend, name, "forward", p, x, w, None, bias)
        assert plain.min() < 0 < plain.max()
        np.testing.assert_allclose(plain, defined("forward", p, x, w, None, bias), atol=1e-12 * np.abs(plain).max())
        rectified = on_device(backend, name, "forward", p, x, w, None, bias, relu=True)
        np.testing.assert_array_equal(rectified, np.maximum(plain, 0))
        bias[-1] = np.nan
        assert np.isnan(on_device(backend, name, "forward", p, x, w, None, bias, relu=True)[:, -1]).all()


@pytest.mark.parametrize("name", [*NAMES, TF32])
def test_what_an_algorithm_cannot_do_is_refused_with_the_reason(backend, name):
    for p in PROBLEMS.values():
        for which in PASSES:
            reason = table.ALGORITHMS[name].cannot(which, p)
            if reason is None:
                assert backend.convolution.resolve(name, which, p) == name
            else:
                with pytest.raises(ValueError, match=f"'{name}' cannot do the pass '{which}': "):
                    on_device(backend, name, which, p, *arrays(p))


def test_numbers_beyond_the_kernels_ints_are_refused():
    p = Problem(70000, 1, 1, 1, 128, 128, 128, 128, 3, 3, 1, 1, 1, 1)
    assert "more than 1073741824" in table.ALGORITHMS["implicit_gemm"].cannot("weight_grad", p)
    p = Problem(1, 1, 1, 5_000_000, 8, 8, 6, 6, 3, 3)
    assert "too many" in table.ALGORITHMS["implicit_gemm"].cannot("forward", p)


def test_a_name_holds_for_tensors_of_the_device_and_only_for_its_own_algorithms(device):
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    with mc.conv_algorithm("implicit_gemm"):
        y = mc.ops.conv2d(mc.tensor(x, device=device), mc.tensor(w, device=device, requires_grad=True))
        assert y.node.algorithms.forward == y.node.algorithms.weight_grad == "implicit_gemm"
        with pytest.raises(ValueError, match="no algorithm 'implicit_gemm' on cpu"):
            mc.ops.conv2d(mc.tensor(x), mc.tensor(w))
    with mc.conv_algorithm("direct"), pytest.raises(ValueError, match="no algorithm 'direct' on a GPU"):
        mc.ops.conv2d(mc.tensor(x, device=device), mc.tensor(w, device=device))


def test_rules_say_why_and_a_table_goes_before_them():
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    chosen = {
        "winograd": p, "implicit_gemm": p._replace(stride_h=2, out_h=28), "pointwise": PROBLEMS["pixels"],
        "depthwise": PROBLEMS["a filter a channel"], "dense": PROBLEMS["one window"],
    }  # fmt: skip
    for name, problem in chosen.items():
        assert {table.choose(which, problem) for which in PASSES} == {name}
        assert len(table.explain("forward", problem).reason) > 20
    assert table.choose("forward", p, 5e-6) == "winograd_f2"
    assert table.choose("forward", p, 1e-7) == "naive"
    with pytest.raises(ValueError, match="error of at most 1e-08 in float32; the least is 1e-07"):
        table.choose("forward", p, 1e-8)
    try:
        table.use_table({("forward", p): "im2col"})
        assert table.choose("forward", p) == "im2col"
        assert table.choose("input_grad", p) == "winograd"
    finally:
        table.use_table({})


def test_halves_are_not_multiplied_as_float32_by_rule(backend):
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    assert {table.choose(which, p, item=2) for which in PASSES} == {"implicit_gemm"}
    assert not any("winograd" in table.choose(which, q, item=2) for which in PASSES for q in PROBLEMS.values())
    x, w = np.ones((1, 32, 4, 4), np.float16), np.ones((32, 32, 3, 3), np.float16)
    x, w = (mc.tensor(a, device="cuda-emulated", requires_grad=True) for a in (x, w))
    y = mc.ops.conv2d(x, w, padding=1)
    assert y.node.algorithms[:3] == ("implicit_gemm",) * 3
    assert mc.ops.conv2d(x.float(), w.float(), padding=1).node.algorithms[:3] == ("winograd",) * 3
    with mc.conv_algorithm("winograd"):
        np.testing.assert_allclose(mc.ops.conv2d(x, w, padding=1).detach().numpy(), y.detach().numpy(), rtol=2e-3)


def test_a_table_serves_halves_or_the_others():
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    for item, found in ((4, {2: "implicit_gemm", 4: "im2col", 8: "im2col"}),
                        (2, {2: "im2col", 4: "winograd", 8: "winograd"})):  # fmt: skip
        try:
            table.use_table({("forward", p): "im2col"}, item)
            assert {size: table.choose("forward", p, item=size) for size in found} == found
        finally:
            table.use_table({})


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_claims_more_workspace_than_the_limit(name):
    big = {
        "window": Problem(32, 1, 64, 64, 224, 224, 224, 224, 3, 3, 1, 1, 1, 1),
        "pixels": Problem(32, 1, 2048, 512, 14, 14, 7, 7, 1, 1, 2, 2),
        "channels": Problem(32, 64, 64, 64, 224, 224, 224, 224, 3, 3, 1, 1, 1, 1),
    }
    for p in big.values():
        for which in PASSES:
            if not table.ALGORITHMS[name].cannot(which, p):
                filters = 64 * 2 * p.out_channels * p.taps  # Winograd's transformed filters come on top
                assert table.ALGORITHMS[name].workspace(which, p, 4) <= thresholds.WORKSPACE + filters


SHORT = {  # few terms: every barrier is one of 256 threads of the system
    "several blocks": Problem(1, 1, 2, 66, 7, 10, 7, 10, 2, 1, 1, 1, 1, 0),
    "large tiles": Problem(1, 1, 65, 65, 6, 11, 6, 11, 1, 1),
    "large tiles in fours": Problem(1, 1, 68, 65, 6, 12, 6, 12, 1, 1),
    "a filter a channel": Problem(2, 2, 2, 2, 5, 5, 3, 3, 3, 3, 2, 2, 1, 1),
    "tiles of images": Problem(2, 1, 2, 3, 5, 6, 5, 6, 3, 3, 1, 1, 1, 1),
    "pixels": Problem(1, 1, 3, 2, 16, 16, 16, 16, 1, 1),
}


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
@pytest.mark.parametrize("variant", ["", "_narrow"])
def test_sanitizers_find_no_race_and_no_overrun_in_the_tiles_for_large_problems(monkeypatch, tmp_path, variant):
    emulated = find_device("cuda-emulated").backend
    monkeypatch.setattr(implicit_gemm, "PLAIN", (variant,))
    with recording.recording(tmp_path, copies=3, stems=["convolution_gemm"]) as launched:
        for p in SHORT.values():
            check(emulated, "implicit_gemm", p, 1e-2, np.float32)
    assert launched >= {f"convolution_gemm.{which}{variant}" for which in PASSES}
    for sanitizer in recording.SANITIZERS:
        for finding in recording.replay(tmp_path, sanitizer):
            assert finding.clean, (finding.stem, sanitizer, finding.report)
