import re

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.core.backprop import grad
from tests.oracles import resample as oracle

MODES = [("nearest", None), ("nearest-exact", None), ("bilinear", False), ("bilinear", True), ("bicubic", False)]


def resized(array, **options):
    """y, gx and the cotangent used."""
    x = mc.tensor(array, requires_grad=True)
    y = ops.interpolate(x, **options)
    gy = np.random.default_rng(9).standard_normal(y.shape).astype(array.dtype)
    return y.detach().numpy(), grad(y, [x], [mc.tensor(gy)])[0].numpy(), gy


@pytest.mark.parametrize(("mode", "align"), MODES)
@pytest.mark.parametrize(("size", "out"), [((3, 4), (6, 8)), ((5, 7), (3, 4)), ((4, 6), (7, 1)), ((1, 2), (3, 9))])
def test_resizing_equals_one_pixel_at_a_time(mode, align, size, out):
    x = np.random.default_rng(0).standard_normal((2, 2, *size))
    y, gx, gy = resized(x, size=out, mode=mode, align_corners=align)
    expected, expected_gx = oracle.interpolate(x, out, mode, bool(align), gy)
    assert np.allclose(y, expected, rtol=0, atol=1e-12)
    assert np.allclose(gx, expected_gx, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("mode", "align"), MODES)
def test_resizing_and_its_gradient_are_adjoint(mode, align):
    x = np.random.default_rng(1).standard_normal((2, 3, 7, 9))
    for options in ({"size": (5, 20)}, {"scale_factor": 2.3}, {"scale_factor": (0.4, 1.7)}):
        y, gx, gy = resized(x, mode=mode, align_corners=align, **options)
        assert np.isclose((y * gy).sum(), (x * gx).sum(), rtol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_upsampling_continues_a_ramp_in_the_interior(factor):
    n = 6
    ramp = np.broadcast_to(np.arange(n, dtype=float), (1, 1, n, n))
    y = ops.interpolate(mc.tensor(ramp), scale_factor=factor, mode="bilinear").numpy()
    centres = (np.arange(n * factor) + 0.5) / factor - 0.5
    inside = (centres >= 0) & (centres <= n - 1)
    assert np.allclose(y[0, 0][:, inside], centres[inside], rtol=0, atol=1e-12)
    aligned = ops.interpolate(mc.tensor(ramp), scale_factor=factor, mode="bilinear", align_corners=True).numpy()
    assert np.allclose(aligned[0, 0], np.linspace(0, n - 1, n * factor), rtol=0, atol=1e-12)


def test_aligned_corners_are_kept_exactly():
    x = np.random.default_rng(2).standard_normal((1, 1, 5, 4))
    y = ops.interpolate(mc.tensor(x), size=(9, 13), mode="bilinear", align_corners=True).numpy()
    assert np.array_equal(y[0, 0][[0, 0, -1, -1], [0, -1, 0, -1]], x[0, 0][[0, 0, -1, -1], [0, -1, 0, -1]])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_the_same_size_changes_nothing_and_constants_stay_constant(mode):
    x = np.random.default_rng(3).standard_normal((1, 2, 5, 6))
    assert np.allclose(ops.interpolate(mc.tensor(x), size=(5, 6), mode=mode).numpy(), x, rtol=0, atol=1e-14)
    ones = ops.interpolate(mc.tensor(np.ones((1, 1, 5, 6))), size=(3, 11), mode=mode).numpy()
    assert np.allclose(ones, 1, rtol=0, atol=1e-14)


def test_upsample_nearest_repeats_pixels_and_sums_gradients():
    x = np.random.default_rng(4).standard_normal((2, 2, 3, 4))
    y, gx, gy = resized(x, scale_factor=3)
    assert np.array_equal(y, x.repeat(3, 2).repeat(3, 3))
    assert np.allclose(gx, gy.reshape(2, 2, 3, 3, 4, 3).sum((3, 5)))
    assert np.array_equal(ops.upsample_nearest(mc.tensor(x), scale_factor=3).numpy(), y)


def test_bilinear_downsampling_by_two_averages_four_pixels():
    x = np.random.default_rng(5).standard_normal((1, 3, 8, 6))
    y = ops.interpolate(mc.tensor(x), scale_factor=0.5, mode="bilinear").numpy()
    assert np.allclose(y, x.reshape(1, 3, 4, 2, 3, 2).mean((3, 5)), rtol=0, atol=1e-14)


def test_antialiasing_sees_every_pixel_when_shrinking():
    x = np.zeros((1, 1, 1, 32))
    x[..., 5] = 1.0  # between the pixels that plain bilinear reads
    plain = ops.interpolate(mc.tensor(x), size=(1, 4), mode="bilinear").numpy()
    smooth = ops.interpolate(mc.tensor(x), size=(1, 4), mode="bilinear", antialias=True).numpy()
    assert plain.max() == 0 and smooth.max() > 0.05


def test_a_linear_1d_signal():
    assert ops.interpolate(mc.tensor([[[0.0, 2.0]]]), size=3, mode="linear", align_corners=True).tolist() == [
        [[0, 1, 2]]
    ]


def test_an_empty_batch_and_both_dtypes():
    y, gx, _ = resized(np.zeros((0, 3, 4, 4), np.float32), scale_factor=2)
    assert y.shape == (0, 3, 8, 8) and gx.shape == (0, 3, 4, 4)
    for dtype in (np.float32, np.float64):
        y, gx, _ = resized(np.ones((1, 1, 2, 2), dtype), size=(3, 3), mode="bilinear")
        assert y.dtype == gx.dtype == dtype


IMAGE = mc.tensor(np.zeros((1, 3, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.interpolate(IMAGE), "interpolate: give exactly one of size and scale_factor"),
        (lambda: ops.interpolate(IMAGE, 2, 2.0), "interpolate: give exactly one of size and scale_factor"),
        (lambda: ops.interpolate(IMAGE, (2, 2, 2)), "interpolate: output size (2, 2, 2) must be 2 positive ints"),
        (lambda: ops.interpolate(IMAGE, scale_factor=0.1), "interpolate: output size (0, 0) must be 2 positive ints"),
        (lambda: ops.interpolate(IMAGE, scale_factor=-1.0), "interpolate: scale_factor must be a positive number"),
        (lambda: ops.interpolate(IMAGE, 2, mode="lanczos"), "interpolate: mode must be one of"),
        (lambda: ops.interpolate(IMAGE, 2, mode="linear"), "interpolate: mode 'linear' is not for 4-d input"),
        (lambda: ops.interpolate(IMAGE, 2, align_corners=True), "interpolate: align_corners has no meaning"),
        (lambda: ops.interpolate(IMAGE, 2, antialias=True), "interpolate: antialias is for bilinear and bicubic"),
        (lambda: ops.interpolate(mc.tensor([1.0]), 2), "interpolate: input must be 3-d or 4-d"),
    ],
)
def test_misuse_names_op_and_argument(call, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_chooses_pytorchs_pixels_for_all_small_sizes(mode):
    torch = pytest.importorskip("torch")
    for n in range(1, 24):
        line = np.arange(n, dtype=np.float32)[None, None, None]  # an image: 1-d signals PyTorch rounds differently
        for out in range(1, 48):
            expected = torch.nn.functional.interpolate(torch.from_numpy(line), size=(1, out), mode=mode).numpy()
            found = ops.interpolate(mc.tensor(line), size=(1, out), mode=mode).numpy()
            assert np.array_equal(found, expected), (n, out)
