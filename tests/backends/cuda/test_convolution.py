"""Every algorithm of the GPU's room equals the definition at every seam: tiles, blocks, chunks, parts, phases."""

import numpy as np
import pytest

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cuda import convolution as table
from minicnn.backends.cuda.convolution import thresholds
from tests.backends.cuda.convolutions import NAMES, POSSIBLE, PROBLEMS, TF32, arrays, check, defined, on_device

pytestmark = pytest.mark.usefixtures("cuts_of_this_test")


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


@pytest.mark.parametrize("name", ["im2col", "pointwise", "winograd", "winograd_f2"])
def test_a_small_workspace_cuts_the_work_and_changes_nothing(backend, name, monkeypatch):
    for workspace in (3000, 12000):  # single rows or tiles; several images
        monkeypatch.setattr(thresholds, "WORKSPACE", workspace)
        for problem in ("groups of windows", "all options", "pixels of small maps", "pixels apart"):
            check(backend, name, PROBLEMS[problem])


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
