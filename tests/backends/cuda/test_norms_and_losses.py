"""What the cases are too small for: slices, several blocks, means far from zero, NaN, wrong labels, odd addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.backends.cpu import activations as cpu_activations
from minicnn.backends.cpu import local_normalization as cpu_local
from minicnn.backends.cpu import losses as cpu_losses
from minicnn.backends.cpu import normalization as cpu_norms
from minicnn.backends.cuda import normalization, seam, softmax
from minicnn.core import rng

VIEWS = {
    "batch": (3, 1, 4, 1, 35),
    "batch of vectors": (40, 1, 5, 1, 1),
    "batch of short rows": (9, 1, 3, 1, 4),
    "instance": (1, 6, 4, 1, 21),
    "layer": (1, 50, 1, 300, 1),
    "group": (1, 4, 3, 2, 18),
    "one sample": (1, 1, 1, 7, 1),
}


def there(backend: Any, *arrays: Any) -> list[Any]:
    return [None if a is None else backend.arrays.asarray(a) for a in arrays]


def drawn(view: tuple[int, ...], dtype: Any, centre: float = 0.0) -> tuple[Any, Any, Any, Any]:
    source = np.random.default_rng(1)
    x, gy = (source.standard_normal(view) + centre).astype(dtype), source.standard_normal(view).astype(dtype)
    weight, bias = source.standard_normal((2, *view[2:4])).astype(dtype)
    return x, gy, weight, bias


def both(backend: Any, view: tuple[int, ...], arrays: tuple[Any, Any, Any, Any], eps: float = 1e-5) -> tuple[Any, Any]:
    """Outputs and gradients of the device and of the CPU."""
    x, gy, weight, bias = arrays
    y, mean, var = cpu_norms.normalize(x, weight, bias, view, eps)
    theirs = [y, mean, var, *cpu_norms.normalize_grad(gy, x, weight, mean, var, view, eps)]
    dx, dgy, dweight, dbias = there(backend, x, gy, weight, bias)
    dy, dmean, dvar = backend.normalization.normalize(dx, dweight, dbias, view, eps)
    mine = [dy, dmean, dvar, *backend.normalization.normalize_grad(dgy, dx, dweight, dmean, dvar, view, eps)]
    return [backend.to_host(a) for a in mine], theirs


def assert_close(mine: Any, theirs: Any, tolerance: float) -> None:
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0))))


@pytest.mark.parametrize("sliced", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_norms_agree_in_one_block_or_in_slices(
    backend: Any, name: str, sliced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sliced:
        monkeypatch.setattr(normalization, "SLICE", 16)
    for dtype, tolerance in ((np.float64, 1e-11), (np.float32, 1e-5)):
        assert_close(*both(backend, VIEWS[name], drawn(VIEWS[name], dtype)), tolerance)


@pytest.mark.parametrize("sliced", [False, True])
def test_a_mean_far_from_zero_costs_no_digits(backend: Any, sliced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if sliced:
        monkeypatch.setattr(normalization, "SLICE", 64)
    view = (4, 1, 2, 1, 50)
    x, *others = drawn(view, np.float32, 1e4)
    (y, mean, var, *_), _ = both(backend, view, (x, *others))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 3, 4)), rtol=1e-7)
    np.testing.assert_allclose(var, wide.var((0, 1, 3, 4)), rtol=1e-5)
    centred = wide - wide.mean((0, 1, 3, 4), keepdims=True)
    weight, bias = (a.reshape(1, 1, 2, 1, 1) for a in others[1:])
    exact = centred / np.sqrt(wide.var((0, 1, 3, 4), keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("centre", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("outer", [1, 40])
def test_one_reading_gives_mean_and_variance_as_float64_does(backend: Any, centre: float, outer: int) -> None:
    """Rows of 700 and 28 000 elements, one block each; an element far from all others comes first in the second row."""
    view = (outer, 2, 2, 1, 700)
    x, *_ = drawn(view, np.float32, centre)
    x[0, 1, 0, 0, 0] = centre + 300.0
    (dx,) = there(backend, x)
    _, mean, var = (backend.to_host(a) for a in backend.normalization.normalize(dx, None, None, view, 1e-5))
    wide = x.astype(np.float64)
    exact = wide.mean((0, 3, 4)).ravel()
    np.testing.assert_allclose(mean, exact, rtol=6e-8, atol=1e-7)  # what rounding it to float32 leaves
    np.testing.assert_allclose(var, wide.var((0, 3, 4)).ravel(), rtol=1e-6)


def test_rows_beyond_a_grids_second_axis_and_long_lines(backend: Any) -> None:
    x = np.arange(3 * 5 * 4000, dtype=np.float32).reshape(3, 5, 4000) % 97
    scale, shift = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    for view, array in (((3, 1, 5, 1, 4000), x), ((3, 1, 5, 1, 1), x[..., 0]), ((0, 1, 5, 1, 4), x[:0, :, :4])):
        mine = backend.to_host(backend.normalization.scale_shift(*there(backend, array, scale, shift), view))
        np.testing.assert_allclose(mine, cpu_norms.scale_shift(array, scale, shift, view), rtol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 3), (9, 9)])
def test_channel_windows_reach_over_the_ends(backend: Any, before: int, after: int) -> None:
    source = np.random.default_rng(2)
    x, gy = source.standard_normal((2, 2, 5, 3, 7))
    mine = backend.to_host(backend.local_normalization.channel_window_sum(*there(backend, x), before, after))
    reach = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    inside = np.where(np.tri(5, dtype=bool), reach <= before, reach <= after).astype(float)  # [c, j]: j in c's window
    np.testing.assert_allclose(mine, np.einsum("cj,njhw->nchw", inside, x), atol=1e-14)
    np.testing.assert_allclose(mine, cpu_local.channel_window_sum(x, before, after), atol=1e-14)
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 2e-6)):
        given, slope = x.astype(dtype), gy.astype(dtype)
        y, s = cpu_local.local_response_norm(given, before, after, 0.3, 0.75, 2.0)
        gx = cpu_local.local_response_norm_grad(slope, given, s, before, after, 0.3, 0.75)
        dy, ds = backend.local_normalization.local_response_norm(*there(backend, given), before, after, 0.3, 0.75, 2.0)
        dgx = backend.local_normalization.local_response_norm_grad(
            *there(backend, slope, given), ds, before, after, 0.3, 0.75
        )
        assert_close([backend.to_host(a) for a in (dy, ds, dgx)], [y, s, gx], tolerance)
        exact = 2.0 + 0.3 * np.einsum("cj,njhw->nchw", inside, x * x)
        np.testing.assert_allclose(y, x * exact**-0.75, rtol=tolerance * 10)
        outer = np.einsum("jc,njhw->nchw", inside, gy * x * exact**-1.75)
        np.testing.assert_allclose(gx, gy * exact**-0.75 - 0.45 * x * outer, atol=tolerance * 10)


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "positions"), [(3, 1), (40, 1), (1, 1), (70, 1), (1027, 1), (5, 30), (1, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_many_rows(backend: Any, classes: int, positions: int, dtype: Any) -> None:
    source, rows = np.random.default_rng(5), 23
    z = (source.standard_normal((rows, classes, positions)) * 5).astype(dtype)
    labels = source.integers(0, classes, (rows, positions))
    labels[source.random(labels.shape) < 0.2] = -100
    gy = source.standard_normal(labels.shape).astype(dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for weight, smoothing in ((None, 0.0), (source.random(classes).astype(dtype), 0.1), (None, 0.3)):
        losses, p, *sums = cpu_losses.softmax_cross_entropy(z, labels, weight, -100, smoothing)
        mine = backend.losses.softmax_cross_entropy(*there(backend, z, labels, weight), -100, smoothing)
        assert_close([backend.to_host(a) for a in mine[:2]], [losses, p], tolerance)
        np.testing.assert_allclose(mine[2:], sums, rtol=1e-5)
        assert mine[5] == -1
        for g in (gy, gy[:1, :1].reshape(())):
            expected = cpu_losses.softmax_cross_entropy_grad(g, p, labels, weight, -100, smoothing, 0.5)
            given = there(backend, g, p, labels, weight)
            found = backend.losses.softmax_cross_entropy_grad(*given, -100, smoothing, 0.5)
            assert_close([backend.to_host(found)], [expected], tolerance)


@pytest.mark.parametrize("positions", [1, 3])
def test_the_first_wrong_label_is_found_among_several_blocks(backend: Any, positions: int) -> None:
    z, labels = np.zeros((600, 2, positions), np.float32), np.zeros((600, positions), np.int64)
    labels[411:500, -1] = 7
    expected = cpu_losses.softmax_cross_entropy(z, labels, None, -100, 0.0)[5]
    found = backend.losses.softmax_cross_entropy(*there(backend, z, labels), None, -100, 0.0)[5]
    assert found == expected == 412 * positions - 1


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_block_for_a_row_and_a_warp_for_a_row_give_the_same_softmax(
    backend: Any, rows: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = np.random.default_rng(6)
    z, gy = (source.standard_normal((2, rows, 1500)) * 4).astype(dtype)
    z[1, 1499], z[2, 3] = -np.inf, np.nan
    labels = source.integers(0, 1500, (rows, 1))
    tolerance = {2: 2e-3, 4: 1e-5, 8: 1e-12}[z.itemsize]
    wide = z.astype(np.float64)
    exact = np.exp(wide - wide.max(1, keepdims=True))
    exact /= exact.sum(1, keepdims=True)
    slope = exact * (gy - (gy * exact).sum(1, keepdims=True))
    with np.errstate(divide="ignore"):
        logs = -np.log(exact)  # infinite where a class is impossible
    smoothed = 0.9 * logs[np.arange(rows), labels[:, 0]] + 0.1 * logs.mean(1)
    for few, width in ((softmax.FEW, 256), (0, 32)):
        monkeypatch.setattr(softmax, "FEW", few)
        assert softmax.row_threads(rows, 1500, 1) == width
        dz, dgy, dlabels = there(backend, z, gy, labels)
        p = backend.softmax.softmax(dz, 1)
        gz = backend.softmax.softmax_grad(dgy, p, 1)
        losses, q, *_ = backend.losses.softmax_cross_entropy(dz.reshape(rows, 1500, 1), dlabels, None, -100, 0.1)
        np.testing.assert_allclose(backend.to_host(p), exact, rtol=tolerance, atol=tolerance * 1e-3)
        np.testing.assert_array_equal(backend.to_host(q)[:, :, 0], backend.to_host(p))
        np.testing.assert_allclose(backend.to_host(gz), slope, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(backend.to_host(losses)[:, 0], smoothed, rtol=tolerance)


def test_a_block_takes_a_row_only_if_rows_are_long_and_few() -> None:
    assert softmax.row_threads(8, 1024, 1) == 256
    assert softmax.row_threads(8, 1023, 1) == softmax.row_threads(softmax.FEW, 1024, 1) == 32
    assert softmax.row_threads(8, 1024, 2) == softmax.row_threads(8, 1, 1) == 1


@pytest.mark.parametrize("positions", [1, 2])
def test_rows_that_are_not_finite(backend: Any, positions: int) -> None:
    inf, nan = np.inf, np.nan
    rows = [
        [0, nan, 1],
        [inf, 0, 0],
        [-inf, 0, 3],
        [-inf, -inf, -inf],
        [0, -inf, -inf],
        [1e30, -1e30, 0],
        [-inf, -inf, 2],
    ]
    z = np.repeat(np.array(rows, np.float32)[:, :, None], positions, 2)
    labels = np.zeros((len(rows), positions), np.int64)
    losses, p, *sums = cpu_losses.softmax_cross_entropy(z, labels, None, -100, 0.0)
    mine = backend.losses.softmax_cross_entropy(*there(backend, z, labels), None, -100, 0.0)
    np.testing.assert_allclose(backend.to_host(mine[0]), losses, rtol=1e-6)
    np.testing.assert_allclose(backend.to_host(mine[1]), p, rtol=1e-6)
    np.testing.assert_allclose(mine[2:5], sums[:3])


def test_a_small_loss_keeps_its_digits(backend: Any) -> None:
    z, labels = np.array([[[20.0], [0.0]]], np.float32), np.zeros((1, 1), np.int64)
    found = backend.losses.softmax_cross_entropy(*there(backend, z, labels), None, -100, 0.0)
    assert found[2] == pytest.approx(np.log1p(np.exp(-20.0)), rel=1e-6)


def test_nothing_to_lose(backend: Any) -> None:
    for shape in ((0, 3, 1), (2, 3, 0)):
        z, labels = np.zeros(shape, np.float32), np.zeros((shape[0], shape[2]), np.int64)
        given = there(backend, z, labels)
        losses, p, total, mass, mean, bad = backend.losses.softmax_cross_entropy(*given, None, -100, 0.0)
        assert (losses.shape, p.shape, total, mass, bad) == (labels.shape, shape, 0.0, 0.0, -1)
        assert np.isnan(mean)


# -- streaming kernels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1023, 1025])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packs_end_where_the_array_does_and_need_no_alignment(backend: Any, count: int, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal(count + 1).astype(dtype)
    if count > 2:
        x[2] = np.nan
    (whole,) = there(backend, x)
    unaligned = whole[1:]
    np.testing.assert_array_equal(backend.to_host(backend.activations.relu(unaligned)), cpu_activations.relu(x[1:]))
    assert backend.to_host(whole)[0] == x[0]
    y = backend.arrays.empty_like(unaligned)
    with seam.on(backend.runtime):
        seam.elementwise("activations.relu_1", count, unaligned, y, count)
    np.testing.assert_array_equal(backend.to_host(y), cpu_activations.relu(x[1:]))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (2, 3, 1, 4)])
def test_a_bias_and_a_rectifier_in_one_pass(backend: Any, shape: tuple[int, ...]) -> None:
    source = np.random.default_rng(0)
    x, bias = source.standard_normal(shape), source.standard_normal(shape[1])
    expected = x + bias.reshape(-1, *(1,) * (len(shape) - 2))
    dx, dbias = there(backend, x, bias)
    np.testing.assert_allclose(backend.to_host(backend.activations.add_bias(dx, dbias)), expected)
    same = backend.activations.add_bias(dx, dbias, relu=True, out=dx)
    assert same is dx
    np.testing.assert_allclose(backend.to_host(dx), np.maximum(expected, 0))


@pytest.mark.parametrize("threshold", [0, 1, 1 << 31, (1 << 32) - 1, 1 << 32])
def test_masks_are_the_generators_words(backend: Any, threshold: int) -> None:
    key, call, n = rng.key_of((3 << 40) + 5, "dropout"), (1 << 33) + 7, 1030
    mask = backend.to_host(backend.random.mask((n,), threshold, key, call))
    np.testing.assert_array_equal(mask, rng.bits(key, call, n).astype(np.int64) >= threshold)


@pytest.mark.parametrize("count", [0, 1, 70_000])
def test_the_norm_of_several_blocks(backend: Any, count: int) -> None:
    x = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    expected = float(np.linalg.norm(x.astype(np.float64)))
    assert float(backend.updates.norm(*there(backend, x))) == pytest.approx(expected, rel=1e-12)


def test_a_parameter_that_is_not_contiguous_is_written_all_the_same(backend: Any) -> None:
    w, g = np.arange(12.0).reshape(3, 4), np.ones((4, 3))
    whole, slope = there(backend, w, g)
    with seam.on(backend.runtime):
        view = whole.T
        backend.updates.sgd(view, slope, None, 0.5, 0.0, 0.0, 0.0, False, False)
    np.testing.assert_array_equal(backend.to_host(whole), w - 0.5)


def test_half_precision_runs_through_the_same_kernels(backend: Any) -> None:
    x = np.linspace(-3, 3, 37).astype(np.float16)
    view = (1, 1, 1, 37, 1)
    (dx,) = there(backend, x)
    np.testing.assert_allclose(backend.to_host(backend.activations.sigmoid(dx)), 1 / (1 + np.exp(-x)), rtol=2e-3)
    np.testing.assert_allclose(backend.to_host(backend.elementwise.erf(dx)), cpu_erf(x), atol=1e-3)
    y, mean, var = (backend.to_host(a) for a in backend.normalization.normalize(dx, None, None, view, 1e-5))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(y, (wide - wide.mean()) / wide.std(), atol=2e-3)
    assert (y.dtype, mean.dtype) == (np.float16, np.float16)
    np.testing.assert_allclose(var, [wide.var()], rtol=1e-3)


def cpu_erf(x: Any) -> Any:
    from minicnn.backends.cpu import elementwise

    return elementwise.erf(x)
