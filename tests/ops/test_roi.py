"""RoI max-pooling and RoIAlign."""

import numpy as np
import pytest

import minicnn as mc
from tests.oracles import roi as oracle

RAMP = np.array([[[[8.0 * y + x for x in range(8)] for y in range(8)]]])


def draw(rng):
    batch, channels, height, width = (int(v) for v in rng.integers(1, (3, 4, 9, 9)))
    count = int(rng.integers(1, 5))
    boxes = np.concatenate([rng.integers(0, batch, (count, 1)), rng.uniform(-4, 12, (count, 4))], axis=1)
    x = rng.standard_normal((batch, channels, height, width))
    size = tuple(int(v) for v in rng.integers(1, 4, 2))
    return x, boxes, size, float(rng.choice([1.0, 0.5, 0.25])), rng.standard_normal((count, channels, *size))


def value_and_gradient(op, x, boxes, gy, *args, **kwargs):
    leaf = mc.tensor(x, requires_grad=True)
    y = op(leaf, mc.tensor(boxes), *args, **kwargs)
    y.backward(mc.tensor(gy))
    return y.detach().numpy(), leaf.grad.numpy()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bins", ["caffe", "disjoint"])
def test_pooling_and_its_gradient_equal_explicit_loops(seed, bins):
    x, boxes, size, scale, gy = draw(np.random.default_rng(seed))
    actual = value_and_gradient(mc.ops.roi_pool, x, boxes, gy, size, scale, bins)
    expected = oracle.roi_pool(x, boxes, size, scale, bins, gy)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [-1, 2])
def test_align_and_its_gradient_equal_explicit_loops(seed, mode, aligned, sampling):
    x, boxes, size, scale, gy = draw(np.random.default_rng(seed))
    options = size, scale, sampling, aligned, mode
    actual = value_and_gradient(mc.ops.roi_align, x, boxes, gy, *options)
    expected = oracle.roi_align(x, boxes, *options, gy=gy)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)


def test_the_picture_of_eight_by_eight_pooled_to_two_by_two():
    x, box = mc.tensor(RAMP), mc.tensor([[0.0, 0.0, 3.0, 6.0, 7.0]])
    assert mc.ops.roi_pool(x, box, 2).tolist() == [[[[43, 46], [59, 62]]]]
    assert mc.ops.roi_pool(x, box, 2, bins="disjoint").tolist() == [[[[34, 38], [58, 62]]]]


def test_halves_are_rounded_away_from_zero():
    def cell(corner):
        return mc.ops.roi_pool(mc.tensor(RAMP), mc.tensor([[0.0, corner, corner, corner, corner]]), 1).item()

    assert cell(0.5) == 9 and cell(2.5) == 27 and cell(3.5) == 36  # Python would round 0.5 to 0 and 2.5 to 2
    assert cell(-0.4) == 0 and cell(-0.5) == 0  # cell -1 lies outside: an empty bin


def test_a_box_over_the_whole_map_is_max_pooling():
    x = np.random.default_rng(1).standard_normal((1, 3, 6, 8))
    expected = x.reshape(1, 3, 3, 2, 4, 2).max((3, 5))
    for bins in ("caffe", "disjoint"):
        y = mc.ops.roi_pool(mc.tensor(x), mc.tensor([[0.0, 0.0, 0.0, 7.0, 5.0]]), (3, 4), bins=bins)
        np.testing.assert_array_equal(y.numpy(), expected)


def test_boxes_that_share_a_cell_add_their_gradients():
    x = mc.tensor(RAMP, requires_grad=True)
    boxes = mc.tensor([[0.0, 0.0, 0.0, 3.0, 3.0], [0.0, 1.0, 1.0, 3.0, 3.0], [0.0, 3.0, 3.0, 3.0, 3.0]])
    mc.ops.roi_pool(x, boxes, 1).sum().backward()
    expected = np.zeros((8, 8))
    expected[3, 3] = 3
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], expected)


def test_among_equals_the_first_cell_gets_the_gradient():
    x = mc.tensor(np.zeros((1, 1, 3, 3)), requires_grad=True)
    mc.ops.roi_pool(x, mc.tensor([[0.0, 1.0, 1.0, 2.0, 2.0]]), 1).backward(mc.tensor(np.ones((1, 1, 1, 1))))
    assert x.grad.numpy().ravel().tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_a_negative_map_keeps_its_maximum_and_an_empty_bin_is_zero_without_gradient():
    x = mc.tensor(-1 - RAMP, requires_grad=True)
    y = mc.ops.roi_pool(x, mc.tensor([[0.0, 6.0, 0.0, 11.0, 0.0]]), (1, 3))
    assert y.tolist() == [[[[-7, 0, 0]]]]
    y.sum().backward()
    assert x.grad.numpy().sum() == 1


@pytest.mark.parametrize("op", [mc.ops.roi_pool, mc.ops.roi_align])
def test_boxes_outside_the_map_and_no_boxes_at_all(op):
    x = mc.tensor(RAMP + 1, requires_grad=True)
    far = mc.tensor([[0.0, 20.0, 20.0, 30.0, 30.0], [0.0, -30.0, -30.0, -20.0, -20.0]])
    y = op(x, far, 2)
    y.sum().backward()
    assert not y.detach().numpy().any() and not x.grad.numpy().any()
    for none in (mc.tensor(np.zeros((0, 5))), [mc.tensor(np.zeros((0, 4)))]):
        y = op(x, none, (2, 3))
        assert y.shape == (0, 1, 2, 3)
        y.sum().backward()


@pytest.mark.parametrize("op", [mc.ops.roi_pool, mc.ops.roi_align])
def test_a_list_of_boxes_per_image_equals_numbered_rows(op):
    rng = np.random.default_rng(2)
    x, boxes = rng.standard_normal((3, 2, 5, 5)), rng.uniform(0, 4, (4, 4))
    rows = np.concatenate([[[0], [2], [2], [2]], boxes], axis=1)
    listed = [mc.tensor(boxes[:1]), mc.tensor(boxes[:0]), mc.tensor(boxes[1:])]
    np.testing.assert_array_equal(op(mc.tensor(x), listed, 2).numpy(), op(mc.tensor(x), mc.tensor(rows), 2).numpy())


@pytest.mark.parametrize("op", [mc.ops.roi_pool, mc.ops.roi_align])
def test_wrong_boxes_are_named(op):
    x = mc.tensor(RAMP)
    with pytest.raises(ValueError, match=r"shape \(K, 5\)"):
        op(x, mc.tensor(np.zeros((2, 4))), 2)
    with pytest.raises(ValueError, match=r"image number in 0\.\.0"):
        op(x, mc.tensor([[1.0, 0.0, 0.0, 1.0, 1.0]]), 2)
    with pytest.raises(ValueError, match="finite"):
        op(x, mc.tensor([[0.0, 0.0, 0.0, np.nan, 1.0]]), 2)
    with pytest.raises(ValueError, match="one entry per image"):
        op(x, [], 2)
    with pytest.raises(RuntimeError, match="detach"):
        op(mc.tensor(RAMP, requires_grad=True), mc.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]], requires_grad=True), 2)
    with pytest.raises(ValueError, match="output_size"):
        op(x, mc.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]]), 0)


def test_unknown_bins_and_modes_are_named():
    box = mc.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="bins must be"):
        mc.ops.roi_pool(mc.tensor(RAMP), box, 2, bins="torch")
    with pytest.raises(ValueError, match="mode must be"):
        mc.ops.roi_align(mc.tensor(RAMP), box, 2, mode="sum")


@pytest.mark.parametrize("op", [mc.ops.roi_pool, mc.ops.roi_align])
def test_a_nan_reaches_the_bins_that_read_it(op):
    x = RAMP.copy()
    x[0, 0, 1, 1] = np.nan
    y = op(mc.tensor(x), mc.tensor([[0.0, 0.0, 0.0, 7.0, 7.0]]), 2)
    assert np.isnan(y.numpy()).ravel().tolist() == [True, False, False, False]


@pytest.mark.parametrize("sampling", [-1, 1, 2, 3])
def test_align_of_a_ramp_is_the_ramp_at_the_bin_centres(sampling):
    x1, y1, x2, y2, rows, columns = 1.3, 2.1, 6.9, 5.7, 3, 2
    y = mc.ops.roi_align(
        mc.tensor(RAMP), mc.tensor(np.array([[0, x1, y1, x2, y2]])), (rows, columns), 1.0, sampling, aligned=True
    )
    for i in range(rows):
        for j in range(columns):
            centre_y = y1 - 0.5 + (i + 0.5) * (y2 - y1) / rows
            centre_x = x1 - 0.5 + (j + 0.5) * (x2 - x1) / columns
            assert abs(y[0, 0, i, j].item() - (8 * centre_y + centre_x)) < 1e-10


def test_align_moves_smoothly_where_pooling_jumps():
    x = mc.tensor(np.random.default_rng(3).standard_normal((1, 1, 12, 12)))
    starts = np.arange(20) / 10 + 1.05
    boxes = mc.tensor(np.stack([0 * starts, starts, 0 * starts + 2, starts + 5, 0 * starts + 7], axis=1))
    smooth = mc.ops.roi_align(x, boxes, 2, 1.0, 2, aligned=True).numpy().reshape(20, -1)
    jumping = mc.ops.roi_pool(x, boxes, 2).numpy().reshape(20, -1)
    span = np.abs(np.diff(x.numpy())).max()  # the steepest slope between neighbouring cells
    steps = np.abs(np.diff(smooth, axis=0))
    assert (steps > 0).any(1).all() and steps.max() <= 0.1 * span + 1e-12
    changes = np.abs(np.diff(jumping, axis=0)).max(1) > 0
    assert 1 <= changes.sum() <= 2  # the sides cross two roundings, and not each moves a maximum


def test_the_adjoint_of_align_is_exact():
    rng = np.random.default_rng(4)
    x, gy = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 2, 3))
    boxes = np.concatenate([rng.integers(0, 2, (4, 1)), rng.uniform(-1, 7, (4, 4))], axis=1)
    y, gx = value_and_gradient(mc.ops.roi_align, x, boxes, gy, (2, 3), 1.0, 3)
    assert abs((y * gy).sum() - (x * gx).sum()) < 1e-12


def test_gradients_of_gradients_follow_the_same_indices():
    x = mc.tensor(RAMP, requires_grad=True)
    y = mc.ops.roi_pool(x, mc.tensor([[0.0, 0.0, 0.0, 7.0, 7.0]]), 2)
    (gx,) = mc.grad((y * y * y).sum(), [x], create_graph=True)
    (ggx,) = mc.grad((gx * gx).sum(), [x], create_graph=True)
    (gggx,) = mc.grad(ggx.sum(), [x])
    winners = RAMP[0, 0, 3::4, 3::4]  # y = x there: (3x^2)^2 has derivatives 36 x^3 and 108 x^2
    np.testing.assert_allclose(ggx.detach().numpy()[0, 0, 3::4, 3::4], 36 * winners**3)
    np.testing.assert_allclose(gggx.numpy()[0, 0, 3::4, 3::4], 108 * winners**2)
    assert np.count_nonzero(gggx.numpy()) == 4
