"""Winograd's transforms are identities, its passes equal the definition, and its rounding stays where it is stated."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cpu import convolution as room
from minicnn.backends.cpu import threads
from minicnn.backends.cpu.convolution import winograd
from minicnn.backends.cpu.convolution import winograd_kernels as kernels

NAMES = ["winograd", "winograd_f2"]
MATRICES = {4: (kernels.B4, kernels.G4, kernels.A4), 2: (kernels.B2, kernels.G2, kernels.A2)}
SIZES = {
    "odd everything": Problem(2, 1, 5, 7, 9, 11, 9, 11, 3, 3, 1, 1, 1, 1),
    "no padding": Problem(3, 1, 20, 33, 7, 6, 5, 4, 3, 3),
    "more padding than the kernel needs": Problem(1, 1, 3, 4, 5, 5, 9, 9, 3, 3, 1, 1, 3, 4),
    "asymmetric padding": Problem(1, 1, 3, 70, 33, 40, 35, 42, 3, 3, 1, 1, 2, 2),
    "one pixel": Problem(1, 1, 2, 2, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1),
    "many channels": Problem(1, 1, 150, 90, 10, 10, 10, 10, 3, 3, 1, 1, 1, 1),
    "rows longer than a vector": Problem(1, 1, 17, 16, 6, 70, 6, 70, 3, 3, 1, 1, 1, 1),
}


def drawn(p, dtype=np.float64, low=None):
    rng = np.random.default_rng(3)
    shapes = (p.x_shape, p.w_shape, p.y_shape, (p.out_channels,))
    return [(rng.standard_normal(s) if low is None else rng.uniform(low, 1, s)).astype(dtype) for s in shapes]


def passes(name, p, x, w, gy, bias):
    module = room.ALGORITHMS[name]
    return module.forward(x, w, bias, p), module.input_grad(gy, w, p), module.weight_grad(gy, x, p)


@pytest.fixture(params=["by tiles", "by channels"])
def sharing(request, monkeypatch):
    """Both ways of sharing the work, whatever the size would choose."""
    by_channels = request.param == "by channels"
    monkeypatch.setattr(winograd, "FEW", 0 if by_channels else 10**9)
    monkeypatch.setattr(winograd, "PRIVATE", 0 if by_channels else 10**9)
    monkeypatch.setattr(winograd, "SHARED", 1)  # several blocks of tiles


@pytest.mark.parametrize("tile", [2, 4])
def test_the_matrices_compute_a_correlation_exactly(tile):
    b, g, a = (np.array(matrix) for matrix in MATRICES[tile])
    rng = np.random.default_rng(0)
    d, w = rng.standard_normal(tile + 2), rng.standard_normal(3)
    np.testing.assert_allclose(a @ ((g @ w) * (b @ d)), np.correlate(d, w, "valid"), atol=1e-14)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_pass_equals_the_definition(name, sizes, sharing):
    p = SIZES[sizes]
    for got, expected in zip(passes(name, p, *drawn(p)), passes("naive", p, *drawn(p)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("low", [None, 0.0], ids=["normal", "non-negative"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_keeps_the_stated_error(name, low):
    p = Problem(4, 1, 128, 64, 28, 28, 28, 28, 3, 3, 1, 1, 1, 1)
    single = drawn(p, np.float32, low)
    double = passes("winograd_f2", p, *[a.astype(np.float64) for a in single])
    for got, expected in zip(passes(name, p, *single), double, strict=True):
        assert got.dtype == np.float32
        assert np.abs(got - expected).max() <= room.ALGORITHMS[name].ERROR * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_gives_empty_results_and_a_zero_weight_gradient(name):
    p = Problem(0, 1, 3, 4, 5, 5, 5, 5, 3, 3, 1, 1, 1, 1)
    y, gx, gw = passes(name, p, *drawn(p))
    assert y.shape == (0, 4, 5, 5) and gx.shape == (0, 3, 5, 5) and not gw.any()


@pytest.mark.parametrize("name", NAMES)
def test_relu_is_fused_and_leaves_nan(name):
    p = SIZES["odd everything"]
    x, w, _, bias = drawn(p)
    x[0, 0, 4, 4] = np.nan
    y = room.forward(x, w, bias, p, name)
    np.testing.assert_array_equal(room.forward(x, w, bias, p, name, relu=True), np.maximum(y, 0))
    assert np.isnan(y).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_thread_count_does_not_change_a_bit(name):
    p, before = SIZES["many channels"], threads.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            mc.set_num_threads(count)
            results.append(passes(name, p, *drawn(p, np.float32)))
    finally:
        mc.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [(8, 64, 224), (8, 512, 14), (2, 1024, 14)])
def test_the_workspace_is_at_most_64_mib_a_thread(name, which, sizes):
    n, c, size = sizes
    p = Problem(n, 1, c, 512, size, size, size, size, 3, 3, 1, 1, 1, 1)
    module = room.ALGORITHMS[name]
    if module.cannot(which, p) is None:
        assert 0 < module.workspace(which, p, 4) <= threads.get_num_threads() << 26


@pytest.mark.parametrize(
    ("p", "reason"),
    [
        (Problem(1, 1, 4, 4, 5, 5, 5, 5, 5, 5, 1, 1, 2, 2), "the kernel must be 3x3, got 5x5"),
        (Problem(1, 1, 4, 4, 7, 7, 3, 3, 3, 3, 2, 2), "stride and dilation must be 1"),
        (Problem(1, 2, 4, 4, 5, 5, 3, 3, 3, 3), "groups must be 1, got 2"),
        (Problem(1, 1, 4, 4, 7, 7, 3, 3, 3, 3, dilation_h=2, dilation_w=2), "stride and dilation must be 1"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(p, reason):
    for name in NAMES:
        with pytest.raises(ValueError, match=f"'{name}' cannot do the pass 'forward': {reason}"):
            room.resolve(name, "forward", p)


def test_precision_excludes_the_larger_tile():
    p = Problem(1, 1, 32, 32, 28, 28, 28, 28, 3, 3, 1, 1, 1, 1)
    for which in PASSES:
        assert room.choose(which, p) == "winograd"
        assert room.choose(which, p, 5e-6) == "winograd_f2"
    with pytest.raises(ValueError, match="no rule takes an algorithm with an error of at most 1e-12"):
        room.choose("forward", p, 1e-12)
