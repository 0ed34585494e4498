import re

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.core.backprop import grad
from minicnn.core.windows import Window2d
from tests.oracles import pooling as oracle

SLIDE = np.array([[6, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]], np.float32)[None, None]
NAN, INF = float("nan"), float("inf")


def gradient_of(y, x, gy):
    return grad(y, [x], [mc.tensor(gy)])[0].numpy()


def pooled_with_gradient(function, array, *args, **kwargs):
    """y, gx and the cotangent used."""
    x = mc.tensor(array, requires_grad=True)
    y = function(x, *args, **kwargs)
    gy = np.random.default_rng(9).standard_normal(y.shape).astype(array.dtype)
    return y.detach().numpy(), gradient_of(y, x, gy), gy


def draws():
    """Windows of many kinds on narrow and on wide images."""
    rng = np.random.default_rng(0)
    for wide in (False, True):
        for _ in range(8):
            size = (int(rng.integers(3, 9)), int(rng.integers(30, 50) if wide else rng.integers(3, 9)))
            dilation = tuple(int(d) for d in rng.integers(1, 3, 2))
            kernel = tuple(
                int(rng.integers(1, min(3, (n - 1) // d + 1) + 1)) for n, d in zip(size, dilation, strict=True)
            )
            stride = (int(rng.integers(1, 4)), int(rng.integers(1, 3 if wide else 4)))
            padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
            yield size, kernel, stride, padding, dilation, bool(rng.integers(2))


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "ceil_mode"), list(draws()))
def test_max_pooling_equals_one_window_at_a_time_also_with_ties(size, kernel, stride, padding, dilation, ceil_mode):
    x = np.random.default_rng(1).integers(-3, 3, (2, 2, *size)).astype(float)  # many ties, many negatives
    options = {"padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    y, gx, gy = pooled_with_gradient(ops.max_pool2d, x, kernel, stride, **options)
    windows = oracle.windows(size, kernel, stride, padding, dilation, ceil_mode)
    expected, index, expected_gx = oracle.max_pool(x, *windows, gy)
    assert np.array_equal(y, expected)
    assert np.allclose(gx, expected_gx, rtol=0, atol=1e-12)
    value, found = ops.max_pool2d(mc.tensor(x), kernel, stride, **options, return_indices=True)
    assert np.array_equal(value.numpy(), expected)
    assert found.dtype == np.int64 and np.array_equal(found.numpy(), index)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "ceil_mode"), list(draws()))
@pytest.mark.parametrize(("count_include_pad", "divisor"), [(True, None), (False, None), (True, 5)])
def test_average_pooling_equals_one_window_at_a_time(
    size, kernel, stride, padding, dilation, ceil_mode, count_include_pad, divisor
):
    x = np.random.default_rng(1).standard_normal((2, 2, *size))
    y, gx, gy = pooled_with_gradient(
        ops.avg_pool2d, x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override=divisor
    )
    windows = oracle.windows(size, kernel, stride, padding, ceil_mode=ceil_mode)
    expected, expected_gx = oracle.avg_pool(x, *windows, padding, count_include_pad, divisor, gy)
    assert np.allclose(y, expected, rtol=0, atol=1e-12)
    assert np.allclose(gx, expected_gx, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "out"), [((7, 5), (3, 2)), ((8, 6), (4, 3)), ((3, 4), (5, 7)), ((6, 40), (1, 13))])
def test_adaptive_pooling_equals_one_window_at_a_time(size, out):
    x = np.random.default_rng(2).integers(-4, 4, (2, 2, *size)).astype(float)
    windows = oracle.adaptive_windows(size, out)
    y, gx, gy = pooled_with_gradient(ops.adaptive_avg_pool2d, x, out)
    expected, expected_gx = oracle.avg_pool(x, *windows, count_include_pad=False, gy=gy)
    assert np.allclose(y, expected, rtol=0, atol=1e-12) and np.allclose(gx, expected_gx, rtol=0, atol=1e-12)
    y, gx, gy = pooled_with_gradient(ops.adaptive_max_pool2d, x, out)
    expected, index, expected_gx = oracle.max_pool(x, *windows, gy)
    assert np.array_equal(y, expected) and np.allclose(gx, expected_gx, rtol=0, atol=1e-12)
    assert np.array_equal(ops.adaptive_max_pool2d(mc.tensor(x), out, True)[1].numpy(), index)


def test_the_slide_example_forward_and_backward():
    x = mc.tensor(SLIDE, requires_grad=True)
    ones = np.ones((1, 1, 2, 2), np.float32)
    maximum, average, total = ops.max_pool2d(x, 2, 2), ops.avg_pool2d(x, 2, 2), ops.sum_pool2d(x, 2, 2)
    assert maximum.tolist() == [[[[6, 6], [4, 4]]]]
    assert average.tolist() == [[[[5.25, 5.25], [3, 3]]]]
    assert total.tolist() == [[[[21, 21], [12, 12]]]]
    first = [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]  # of equal maxima the first in row-major order
    assert gradient_of(maximum, x, ones).tolist() == [[first]]
    assert np.array_equal(gradient_of(average, x, ones), np.full((1, 1, 4, 4), 0.25))
    assert np.array_equal(gradient_of(total, x, ones), np.ones((1, 1, 4, 4)))


def test_alexnet_overlapping_pooling_goes_55_27_13_6():
    x = mc.tensor(np.zeros((1, 1, 55, 55), np.float32))
    sizes = []
    for _ in range(3):
        x = ops.max_pool2d(x, 3, 2)
        sizes.append(x.shape[-2:])
    assert sizes == [(27, 27), (13, 13), (6, 6)]


def test_googlenet_ceil_mode_halves_112_exactly():
    x = mc.tensor(np.zeros((1, 1, 112, 112), np.float32))
    assert ops.max_pool2d(x, 3, 2, ceil_mode=True).shape == (1, 1, 56, 56)
    assert ops.max_pool2d(x, 3, 2).shape == (1, 1, 55, 55)


@pytest.mark.parametrize("width", [4, 40])
def test_padding_never_wins_on_an_all_negative_input(width):
    x = -1 - np.random.default_rng(0).random((1, 1, 4, width))
    y, gx, gy = pooled_with_gradient(ops.max_pool2d, x, 3, 1, 1)
    assert y.max() < -1
    assert np.isclose(gx.sum(), gy.sum())


@pytest.mark.parametrize("width", [5, 40])
def test_nan_and_infinities_propagate(width):
    x = np.zeros((1, 4, width))
    x[0, 1, 1], x[0, 0, 3], x[0, 3, 4] = NAN, INF, -INF
    y, index = ops.max_pool2d(mc.tensor(x), (2, 2), 1, return_indices=True)
    expected, where, _ = oracle.max_pool(x, *oracle.windows((4, width), (2, 2), (1, 1)))
    assert np.array_equal(y.numpy(), expected, equal_nan=True) and np.isnan(y.numpy()).sum() == 4
    assert np.array_equal(index.numpy(), where)
    assert np.isnan(ops.avg_pool2d(mc.tensor(x), 2, 1).numpy()).sum() == 4


@pytest.mark.parametrize("width", [3, 40])
def test_a_window_of_minus_infinities_points_at_its_first_element(width):
    x = mc.tensor(np.full((1, 3, width), -INF))
    y, index = ops.max_pool2d(x, (2, 3), 1, (1, 1), return_indices=True)
    assert (y.numpy() == -INF).all()
    assert index.numpy()[0, :, :2].tolist() == [[0, 0], [0, 0], [width, width], [2 * width, 2 * width]]


@pytest.mark.parametrize("width", [6, 60])
def test_of_several_nan_the_last_is_the_index_and_ties_go_to_the_first(width):
    x = np.zeros((1, 3, width))
    x[0, 0, 2] = x[0, 1, 0] = NAN  # the last in row-major order lies in an earlier column
    assert ops.max_pool2d(mc.tensor(x), 3, 3, return_indices=True)[1].numpy()[0, 0, 0] == width
    x[0] = 0
    x[0, 0, 2] = x[0, 1, 0] = 1.0  # and the first of two equal maxima in a later one
    assert ops.max_pool2d(mc.tensor(x), 3, 3, return_indices=True)[1].numpy()[0, 0, 0] == 2


def test_an_empty_batch_gives_an_empty_result_and_gradient():
    x = np.zeros((0, 3, 8, 8), np.float32)
    for function, args in [
        (ops.max_pool2d, (2,)), (ops.avg_pool2d, (2,)), (ops.sum_pool2d, (2,)), (ops.adaptive_avg_pool2d, (4,)),
        (ops.adaptive_max_pool2d, (4,)),
    ]:  # fmt: skip
        y, gx, _ = pooled_with_gradient(function, x, *args)
        assert y.shape == (0, 3, 4, 4) and gx.shape == x.shape


def test_unpooling_keeps_the_maxima_in_place_and_zero_elsewhere():
    x = np.random.default_rng(3).standard_normal((2, 3, 6, 7))
    y, index = ops.max_pool2d(mc.tensor(x), 2, return_indices=True)
    back = ops.max_unpool2d(y, index, 2, output_size=(6, 7)).numpy()
    assert np.array_equal(back, oracle.max_unpool(y.numpy(), index.numpy(), (6, 7)))
    assert np.array_equal(back[back != 0], x[back != 0]) and (back != 0).sum() == y.numel()
    assert np.array_equal(ops.max_pool2d(mc.tensor(np.where(back == 0, -INF, back)), 2).numpy(), y.numpy())


def test_unpooling_overlapping_windows_writes_a_shared_maximum_once():
    x = np.zeros((1, 3, 3))
    x[0, 1, 1] = 5.0
    y, index = ops.max_pool2d(mc.tensor(x, requires_grad=True), 2, 1, return_indices=True)
    leaf = mc.tensor(y.detach().numpy(), requires_grad=True)
    back = ops.max_unpool2d(leaf, index, 2, 1)
    assert np.array_equal(back.detach().numpy(), x)
    assert gradient_of(back, leaf, np.full((1, 3, 3), 7.0)).tolist() == [[[0, 0], [0, 7]]]


def test_max_pooling_and_its_gradient_are_adjoint():
    rng = np.random.default_rng(4)
    x, v = rng.standard_normal((2, 2, 3, 9, 11))
    y, index = ops.max_pool2d(mc.tensor(x), 3, 2, 1, return_indices=True)
    _, gx, gy = pooled_with_gradient(ops.max_pool2d, x, 3, 2, 1)
    picked = np.take_along_axis(v.reshape(2, 3, -1), index.numpy().reshape(2, 3, -1), 2).reshape(y.shape)
    assert np.isclose((gx * v).sum(), (gy * picked).sum(), rtol=1e-12)


@pytest.mark.parametrize("width", [9, 41])
def test_average_pooling_and_its_gradient_are_adjoint(width):
    x = np.random.default_rng(5).standard_normal((2, 3, 8, width))
    for function, args in [(ops.avg_pool2d, ((3, 2), (2, 1), (1, 1), True)), (ops.adaptive_avg_pool2d, ((3, 7),))]:
        y, gx, gy = pooled_with_gradient(function, x, *args)
        assert np.isclose((y * gy).sum(), (x * gx).sum(), rtol=1e-12)


def test_global_average_is_the_mean_and_takes_any_size():
    for size in [(32, 32), (48, 40), (7, 7), (1, 1)]:
        x = np.random.default_rng(6).standard_normal((2, 3, *size))
        y, gx, gy = pooled_with_gradient(ops.global_avg_pool2d, x)
        assert np.allclose(y, x.mean((2, 3)), rtol=0, atol=1e-14)
        assert np.allclose(gx, np.broadcast_to(gy[..., None, None] / (size[0] * size[1]), x.shape))
    assert ops.global_avg_pool2d(mc.tensor(np.ones((1, 2, 7, 7))), keepdim=True).tolist() == [[[[1.0]], [[1.0]]]]


def test_channel_pooling_over_one_channel_is_max_pooling_and_over_one_pixel_is_maxout():
    x = mc.tensor(np.random.default_rng(7).standard_normal((2, 6, 5, 5)))
    assert np.array_equal(ops.channel_max_pool(x, 1, 2).numpy(), ops.max_pool2d(x, 2).numpy())
    assert np.array_equal(ops.channel_max_pool(x, 6).numpy(), x.numpy().max(1, keepdims=True))
    assert np.array_equal(ops.maxout(x, 3).numpy(), x.numpy().reshape(2, 2, 3, 5, 5).max(2))
    both = ops.channel_max_pool(x, 2, 2, channel_stride=1).numpy()
    plain = ops.max_pool2d(x, 2).numpy()
    assert np.array_equal(both, np.maximum(plain[:, :-1], plain[:, 1:]))


def test_trainable_subsampling_with_a_quarter_is_average_pooling():
    x = mc.tensor(np.random.default_rng(8).standard_normal((2, 6, 28, 28)))
    assert np.allclose((ops.sum_pool2d(x, 2) * 0.25).numpy(), ops.avg_pool2d(x, 2).numpy(), rtol=0, atol=1e-15)


def test_lp_pooling_is_the_norm_of_the_window_and_flat_at_zero():
    x = mc.tensor([[[3.0, 4.0], [0.0, 0.0]]], requires_grad=True)
    y = ops.lp_pool2d(x, 2, (1, 2))
    assert y.tolist() == [[[5.0], [0.0]]]
    assert np.allclose(gradient_of(y, x, np.ones((1, 2, 1), np.float32)), [[[0.6, 0.8], [0, 0]]])


def test_results_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal((1, 2, 33, 37)).astype(np.float32)
    before = mc.get_num_threads()
    try:
        results = []
        for threads in (1, before):
            mc.set_num_threads(threads)
            results.append([
                *pooled_with_gradient(ops.max_pool2d, x, 3, 2, 1), *pooled_with_gradient(ops.avg_pool2d, x, 3, 1, 1)
            ])
    finally:
        mc.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    x = np.ones((1, 4, 4), dtype)
    for function in (ops.max_pool2d, ops.avg_pool2d, ops.sum_pool2d):
        y, gx, _ = pooled_with_gradient(function, x, 2)
        assert y.dtype == gx.dtype == dtype


IMAGE = mc.tensor(np.zeros((1, 3, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.max_pool2d(IMAGE, 5), "max_pool2d: kernel_size (5, 5) does not fit padded input (4, 4)"),
        (lambda: ops.max_pool2d(IMAGE, 2, padding=2), "max_pool2d: padding (2, 2) exceeds half the kernel_size (2, 2)"),
        (lambda: ops.max_pool2d(IMAGE, 0), "max_pool2d: kernel_size must be"),
        (lambda: ops.max_pool2d(IMAGE, 2, stride=0), "max_pool2d: stride must be"),
        (lambda: ops.avg_pool2d(mc.tensor([1.0, 2.0]), 1), "avg_pool2d: input must be 3-d or 4-d, got 1-d"),
        (lambda: ops.avg_pool2d(IMAGE, 2, divisor_override=0), "avg_pool2d: divisor_override must be"),
        (lambda: ops.adaptive_avg_pool2d(IMAGE, (0, 1)), "adaptive_avg_pool2d: output_size must be"),
        (lambda: ops.adaptive_max_pool2d(IMAGE, (1, 2, 3)), "adaptive_max_pool2d: output_size must be"),
        (lambda: ops.lp_pool2d(IMAGE, INF, 2), "lp_pool2d: norm_type must be positive and finite"),
        (lambda: ops.maxout(IMAGE, 2), "maxout: pieces 2 must divide axis 1"),
        (lambda: ops.channel_max_pool(IMAGE, 2), "channel_max_pool: groups of 2 channels every 2 do not fit 3"),
        (lambda: ops.max_unpool2d(IMAGE, mc.tensor(np.full((1, 3, 4, 4), 64)), 2), "max_unpool2d: indices must lie"),
        (lambda: ops.max_unpool2d(IMAGE, mc.tensor([[[1]]]), 2), "max_unpool2d: indices must have the shape of input"),
        (lambda: ops.max_pool1d(IMAGE, 2), "max_pool1d: input must be 2-d or 3-d"),
    ],
)
def test_misuse_names_op_argument_and_shape(call, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()


def test_integers_are_refused():
    with pytest.raises(TypeError, match="max_pool2d: input must be floating, got int64"):
        ops.max_pool2d(mc.tensor([[[1, 2]]]), 1)


def test_output_size_without_enough_room_is_refused_for_unpooling():
    index = mc.tensor(np.zeros((1, 3, 4, 4), np.int64))
    with pytest.raises(ValueError, match=r"max_unpool2d: output_size \(20, 8\) must be within a stride"):
        ops.max_unpool2d(IMAGE, index, 2, output_size=(20, 8))


def test_the_window_geometry_is_the_shared_one():
    window = Window2d((3, 3), (2, 2), (1, 1), ceil_mode=True)
    x = mc.tensor(np.zeros((1, 9, 12), np.float32))
    for y in (ops.max_pool2d(x, 3, 2, 1, ceil_mode=True), ops.avg_pool2d(x, 3, 2, 1, True)):
        assert y.shape[-2:] == window.output_size("test", (9, 12))


@pytest.mark.torch
def test_indices_equal_pytorchs_also_for_ties_and_nan():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).integers(-2, 2, (1, 2, 9, 30)).astype(float)
    x[0, 0, 3, 4] = x[0, 1, 8, 29] = x[0, 1, 7, 29] = NAN
    _, expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), (3, 2), (2, 1), 1, return_indices=True)
    _, found = ops.max_pool2d(mc.tensor(x), (3, 2), (2, 1), 1, return_indices=True)
    assert np.array_equal(found.numpy(), expected.numpy())


def test_means_of_many_pixels_are_exact_to_float32():
    x = np.random.default_rng(0).random((1, 1, 700, 900), dtype=np.float32)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(ops.global_avg_pool2d(mc.tensor(x)).item(), exact.mean(), rtol=2e-7)
    tall = ops.avg_pool2d(mc.tensor(x), (700, 100), (1, 10)).numpy()
    columns = exact.mean((0, 1, 2))
    expected = [columns[i : i + 100].mean() for i in range(0, 801, 10)]
    np.testing.assert_allclose(tall.reshape(-1), expected, rtol=2e-7)


def test_numpy_ints_are_sizes_too():
    two, x = np.int64(2), mc.tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    assert ops.max_pool1d(x[0], two, stride=(two,)).shape == (1, 4, 2)
    assert ops.avg_pool1d(x[0], two, padding=np.int32(1)).shape == (1, 4, 3)
    assert ops.adaptive_max_pool2d(x, two).shape == (1, 1, 2, 2)
    assert ops.adaptive_avg_pool2d(x, (two, None)).shape == (1, 1, 2, 4)
