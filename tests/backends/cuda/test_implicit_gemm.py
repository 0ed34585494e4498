"""Tiles and fragments of the implicit product: every variant, cut into parts, off the grid of loads, sanitized."""

from types import SimpleNamespace

import numpy as np
import pytest

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cuda import convolution as table
from minicnn.backends.cuda import recording, seam
from minicnn.backends.cuda.convolution import implicit_gemm, thresholds
from minicnn.backends.cuda.device import CupyRuntime
from minicnn.backends.cuda.emulator import compiler
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype
from tests.backends.cuda.convolutions import PROBLEMS, TF32, arrays, check, defined, on_device

pytestmark = pytest.mark.usefixtures("cuts_of_this_test")


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


def test_numbers_beyond_the_kernels_ints_are_refused():
    p = Problem(70000, 1, 1, 1, 128, 128, 128, 128, 3, 3, 1, 1, 1, 1)
    assert "more than 1073741824" in table.ALGORITHMS["implicit_gemm"].cannot("weight_grad", p)
    p = Problem(1, 1, 1, 5_000_000, 8, 8, 6, 6, 3, 3)
    assert "too many" in table.ALGORITHMS["implicit_gemm"].cannot("forward", p)


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
