"""Convolution against loops, SciPy, its own algebra, and the published sizes."""

import re

import numpy as np
import pytest
from scipy.signal import correlate2d

import minicnn as mc
from minicnn import ops
from minicnn.testing.cases.case import CASES, all_cases
from tests.oracles import convolution as oracle

all_cases()
SEEDS = range(8)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def sampled(case, seed):
    sample = CASES[case].sample(seed)
    return sample.args, sample.kwargs


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", ["conv2d", "conv2d/groups"])
def test_conv2d_equals_the_loop_over_windows(case, seed):
    args, options = sampled(case, seed)
    padding = tuple((p, p) for p in options["padding"])
    y = ops.conv2d(*[mc.tensor(a) for a in args], **options)
    np.testing.assert_allclose(y.numpy(), oracle.conv2d(*args, **(options | {"padding": padding})), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_transpose2d_equals_painted_kernels(seed):
    args, options = sampled("conv_transpose2d", seed)
    y = ops.conv_transpose2d(*[mc.tensor(a) for a in args], **options)
    np.testing.assert_allclose(y.numpy(), oracle.conv_transpose2d(*args, **options), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_weight_gradient_equals_the_response_to_unit_kernels(seed):
    (x, shape, gy), options = sampled("conv2d_weight_grad", seed)
    gw = ops.conv2d_weight_grad(mc.tensor(x), shape, mc.tensor(gy), **options)
    np.testing.assert_allclose(gw.numpy(), oracle.conv2d_weight_grad(x, shape, gy, **options), atol=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_unfold_and_locally_connected_equal_their_loops(seed):
    (x, kernel), options = sampled("unfold", seed)
    np.testing.assert_array_equal(
        ops.unfold(mc.tensor(x), kernel, **options).numpy(), oracle.unfold(x, kernel, **options)
    )
    (x, w, bias, stride, padding), _ = sampled("locally_connected2d", seed)
    y = ops.locally_connected2d(mc.tensor(x), mc.tensor(w), mc.tensor(bias), stride, padding)
    np.testing.assert_allclose(y.numpy(), oracle.locally_connected2d(x, w, bias, stride, padding), atol=1e-12)


def test_one_channel_equals_scipy_correlate2d():
    x, w = normal(0, 9, 11), normal(1, 3, 4)
    y = ops.conv2d(mc.tensor(x[None, None]), mc.tensor(w[None, None]))
    np.testing.assert_allclose(y.numpy()[0, 0], correlate2d(x, w, mode="valid"), atol=1e-12)
    full = ops.conv2d(mc.tensor(x[None, None]), mc.tensor(w[None, None]), padding=(2, 3))
    np.testing.assert_allclose(full.numpy()[0, 0], correlate2d(x, w, mode="full"), atol=1e-12)


def test_groups_equal_a_block_diagonal_dense_kernel():
    x, w = normal(0, 2, 6, 5, 5), normal(1, 9, 2, 3, 3)
    dense = np.zeros((9, 6, 3, 3))
    for g in range(3):
        dense[3 * g : 3 * g + 3, 2 * g : 2 * g + 2] = w[3 * g : 3 * g + 3]
    grouped = ops.conv2d(mc.tensor(x), mc.tensor(w), groups=3)
    np.testing.assert_allclose(grouped.numpy(), ops.conv2d(mc.tensor(x), mc.tensor(dense)).numpy(), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_transposed_convolution_is_the_adjoint(seed):
    (x, w), options = sampled("conv2d/groups", seed)
    y = ops.conv2d(mc.tensor(x), mc.tensor(w), **options)
    v = normal(seed, *y.shape)
    steps = (options[name] for name in ("stride", "padding", "dilation"))
    numbers = zip(x.shape[2:], y.shape[2:], w.shape[2:], *steps, strict=True)
    extra = tuple(h - ((o - 1) * s - 2 * p + d * (k - 1) + 1) for h, o, k, s, p, d in numbers)
    if any(e >= s for e, s in zip(extra, options["stride"], strict=True)):
        pytest.skip("an input larger than a transposed convolution can reach")
    back = ops.conv_transpose2d(mc.tensor(v), mc.tensor(w), output_padding=extra, **options)
    assert back.shape == x.shape
    np.testing.assert_allclose((y.numpy() * v).sum(), (x * back.numpy()).sum(), rtol=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_fold_is_the_adjoint_of_unfold(seed):
    (x, kernel), options = sampled("unfold", seed)
    columns = ops.unfold(mc.tensor(x), kernel, **options)
    v = normal(seed, *columns.shape)
    back = ops.fold(mc.tensor(v), x.shape[2:], kernel, **options)
    np.testing.assert_allclose((columns.numpy() * v).sum(), (x * back.numpy()).sum(), rtol=1e-10)


def test_stride_takes_every_nth_output_also_when_it_does_not_divide():
    x, w = mc.tensor(normal(0, 1, 2, 12, 13)), mc.tensor(normal(1, 3, 2, 3, 4))
    whole = ops.conv2d(x, w).numpy()
    np.testing.assert_allclose(ops.conv2d(x, w, stride=(3, 4)).numpy(), whole[:, :, ::3, ::4], atol=1e-12)


def test_derivatives_of_a_bilinear_map():
    x, w = (mc.tensor(normal(i, *s), requires_grad=True) for i, s in enumerate([(1, 2, 5, 5), (2, 2, 3, 3)]))
    v, u = mc.tensor(normal(2, 1, 2, 3, 3)), mc.tensor(normal(3, 2, 2, 3, 3))
    (gx,) = mc.grad((ops.conv2d(x, w) * v).sum(), [x], create_graph=True)
    t = mc.tensor(normal(4, *gx.shape), requires_grad=True)
    (mixed,) = mc.grad((gx * t).sum(), [w], create_graph=True)  # d/dw <conv(t, w), v>: linear in t, free of x and w
    np.testing.assert_allclose(
        mixed.detach().numpy(), oracle.conv2d_weight_grad(t.detach().numpy(), w.shape, v.numpy()), atol=1e-12
    )
    (third,) = mc.grad((mixed * u).sum(), [t])
    np.testing.assert_allclose(third.numpy(), oracle.conv_transpose2d(v.numpy(), u.numpy()), atol=1e-12)
    assert mc.grad((mixed * u).sum(), [x, w], allow_unused=True) in ([None, None], (None, None))


def test_lecture_sizes_and_parameters():
    x, w, b = (mc.ops.zeros_like(mc.tensor(np.zeros(s))) for s in [(1, 3, 32, 32), (6, 3, 5, 5), (6,)])
    assert ops.conv2d(x, w, b).shape == (1, 6, 28, 28)
    assert w.numel() + b.numel() == 456


def test_same_padding_keeps_the_size_with_the_odd_zero_at_the_end():
    y = ops.conv1d(mc.tensor([[[1.0, 2.0, 3.0]]]), mc.tensor([[[1.0, 10.0]]]), padding="same")
    assert y.tolist() == [[[21.0, 32.0, 3.0]]]


def test_an_empty_batch_gives_empty_outputs_and_zero_weight_gradients():
    x = mc.tensor(np.zeros((0, 2, 5, 5)), requires_grad=True)
    w, b = mc.tensor(normal(0, 3, 2, 3, 3), requires_grad=True), mc.tensor(np.zeros(3), requires_grad=True)
    y = ops.conv2d(x, w, b)
    y.sum().backward()
    assert y.shape == (0, 3, 3, 3) and x.grad.shape == (0, 2, 5, 5)
    assert not w.grad.numpy().any() and not b.grad.numpy().any()


def test_nan_reaches_only_the_outputs_whose_window_covers_it():
    x = np.zeros((1, 1, 6, 6))
    x[0, 0, 0, 5] = np.nan
    for name in ("naive", "im2col", "direct"):
        with mc.conv_algorithm(name):
            y = ops.conv2d(mc.tensor(x), mc.tensor(np.ones((1, 1, 3, 3)))).numpy()[0, 0]
        assert np.isnan(y[0, 3]) and np.isnan(y).sum() == 1


def test_masked_links_have_no_influence_and_exactly_zero_gradient():
    x, mask = normal(0, 2, 3, 5, 5), np.array([[1, 0, 1], [0, 1, 1]])
    weight = normal(1, 2, 3, 3, 3)
    weight[0, 1] = np.nan
    w = mc.tensor(weight, requires_grad=True)
    y = ops.masked_conv2d(mc.tensor(x), w, mc.tensor(mask))
    expected = oracle.conv2d(x, np.where(mask[:, :, None, None] == 1, weight, 0))
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    y.sum().backward()
    assert (w.grad.numpy()[mask == 0] == 0).all() and (w.grad.numpy()[mask == 1] != 0).all()


def test_locally_connected_with_equal_kernels_is_a_convolution():
    x, w = normal(0, 2, 3, 6, 5), normal(1, 4, 3, 3, 2)
    y = ops.locally_connected2d(mc.tensor(x), mc.tensor(np.broadcast_to(w, (4, 4, *w.shape)).copy()))
    np.testing.assert_allclose(y.numpy(), ops.conv2d(mc.tensor(x), mc.tensor(w)).numpy(), atol=1e-12)


def test_the_algorithm_is_captured_at_the_forward_call():
    x, w = mc.tensor(normal(0, 1, 1, 4, 4), requires_grad=True), mc.tensor(normal(1, 1, 1, 3, 3), requires_grad=True)
    with mc.conv_algorithm("im2col", weight_grad="naive"):
        y = ops.conv2d(x, w)
    assert y.node.algorithms[:3] == ("im2col", "im2col", "naive")
    y.sum().backward()
    assert ops.conv2d(x, w).node.algorithms.forward == "direct"


def test_an_unknown_algorithm_raises_at_the_forward_call_and_lists_the_known():
    x, w = mc.tensor(normal(0, 1, 1, 4, 4)), mc.tensor(normal(1, 1, 1, 3, 3), requires_grad=True)
    with mc.conv_algorithm("fastest"), pytest.raises(ValueError, match="no algorithm 'fastest' on cpu.*'im2col'"):
        ops.conv2d(x, w)
    with mc.conv_algorithm(weight_grad="fastest"), pytest.raises(ValueError, match="no algorithm 'fastest'"):
        ops.conv2d(x, w)
    with mc.conv_algorithm(weight_grad="fastest"), mc.no_grad():
        ops.conv2d(x, w)  # a pass that is not needed is not asked for
    with pytest.raises(ValueError, match="expected a name"):
        mc.conv_algorithm()


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 3, 4, 4), (2, 2, 3, 3)), {}, "3 input channels"),
        (((1, 4, 4, 4), (3, 2, 3, 3)), {"groups": 2}, "do not fit groups 2"),
        (((1, 1, 2, 2), (1, 1, 5, 5)), {"padding": 1}, "does not fit padded input"),
        (((1, 1, 4, 4), (1, 1, 3, 3)), {"stride": 0}, "stride must be"),
        (((1, 1, 4, 4), (1, 1, 3, 3)), {"padding": "full"}, "padding must be"),
        (((1, 1, 4, 4), (1, 1, 3, 3)), {"padding": "same", "stride": 2}, "needs stride 1"),
        (((4, 4), (1, 1, 3, 3)), {}, "input must be"),
        (((1, 1, 4, 4), (1, 1, 3)), {}, "weight must be 4-d"),
        (((1, 1, 4, 4), (1, 1, 3, 3), (2,)), {}, "bias must have shape"),
    ],
)
def test_what_does_not_fit_raises(shapes, options, message):
    with pytest.raises(ValueError, match=f"conv2d: .*{message}"):
        ops.conv2d(*[mc.tensor(np.zeros(s)) for s in shapes], **options)


def test_other_misfits_raise_too():
    x, w = mc.tensor(np.zeros((1, 1, 4, 4))), mc.tensor(np.zeros((1, 1, 3, 3)))
    with pytest.raises(TypeError, match="one dtype"):
        ops.conv2d(x, mc.tensor(np.zeros((1, 1, 3, 3), np.float32)))
    with pytest.raises(TypeError, match="float32 or float64"):
        ops.conv2d(mc.tensor(np.zeros((1, 1, 4, 4), np.int64)), w)
    with pytest.raises(ValueError, match="output_padding"):
        ops.conv_transpose2d(x, w, stride=2, output_padding=2)
    with pytest.raises(ValueError, match="not positive"):
        ops.conv_transpose2d(mc.tensor(np.zeros((1, 1, 1, 1))), w, padding=3)
    with pytest.raises(ValueError, match="fold: input must be"):
        ops.fold(mc.tensor(np.zeros((1, 4, 5))), (3, 3), 2)
    with pytest.raises(ValueError, match="mask must have"):
        ops.masked_conv2d(x, w, mc.tensor(np.ones((2, 1))))
    with pytest.raises(RuntimeError, match="detach"):
        ops.masked_conv2d(x, w, mc.tensor(np.ones((1, 1)), requires_grad=True))
    with pytest.raises(ValueError, match="weight must be"):
        ops.locally_connected2d(x, mc.tensor(np.zeros((2, 2, 1, 1, 2, 2))))
    with pytest.raises(ValueError, match="grad_output must have shape"):
        ops.conv2d_weight_grad(x, (1, 1, 3, 3), x)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groups": 2.0}, TypeError, "conv2d: groups must be an int, got 2.0"),
        ({"groups": "2"}, TypeError, "conv2d: groups must be an int, got '2'"),
        ({"stride": 1.0}, ValueError, "conv2d: stride must be an int or a pair of ints >= 1, got 1.0"),
        ({"stride": np.array([1, 1])}, ValueError, "conv2d: stride must be an int or a pair"),
        ({"dilation": np.array([1, 1])}, ValueError, "conv2d: dilation must be an int or a pair"),
        ({"padding": np.array([1, 1])}, ValueError, "conv2d: padding must be an int or a pair"),
    ],
)
def test_a_wrong_option_is_refused_and_does_not_spoil_later_calls(options, error, message):
    x, w = mc.ones(1, 4, 5, 5), mc.ones(4, 2, 3, 3)
    with pytest.raises(error, match=re.escape(message)):
        ops.conv2d(x, w, **{"groups": 2, **options})
    assert ops.conv2d(x, w, groups=2).shape == (1, 4, 3, 3)
    assert ops.conv2d(x, w, groups=np.int64(2), stride=np.int64(1)).shape == (1, 4, 3, 3)


def test_a_transposed_convolution_takes_whole_groups_only():
    with pytest.raises(TypeError, match="conv_transpose2d: groups must be an int, got 2.0"):
        ops.conv_transpose2d(mc.ones(1, 4, 5, 5), mc.ones(4, 2, 3, 3), groups=2.0)


@pytest.mark.parametrize(
    ("x", "size", "gy", "error", "message"),
    [
        (mc.ones(4, 5, 5), (4, 4, 3, 3), mc.ones(1, 4, 3, 3), ValueError, "input must be 4-d, got 3-d"),
        (mc.ones(1, 4, 5, 5), (4, 4, 3), mc.ones(1, 4, 3, 3), ValueError, "weight_size must be (O, C / groups, KH"),
        (mc.ones(1, 4, 5, 5), (4, 4, 3.0, 3), mc.ones(1, 4, 3, 3), ValueError, "weight_size must be (O, C / groups"),
        (mc.ones(1, 4, 5, 5), (4, 4, 3, 3), mc.ones(1, 4, 5, 5), ValueError, "grad_output must have shape (1, 4, 3"),
        (
            mc.tensor(np.ones((1, 4, 5, 5), np.int64)), (4, 4, 3, 3), mc.tensor(np.ones((1, 4, 3, 3), np.int64)),
            TypeError, "input must be float32 or float64",
        ),
        (
            mc.ones(1, 4, 5, 5), (4, 4, 3, 3), mc.tensor(np.ones((1, 4, 3, 3))), TypeError,
            "input and grad_output must have one dtype",
        ),
    ],
)  # fmt: skip
def test_a_weight_gradient_says_what_does_not_fit(x, size, gy, error, message):
    with pytest.raises(error, match=re.escape(f"conv2d_weight_grad: {message}")):
        ops.conv2d_weight_grad(x, size, gy)


def test_what_ran_can_be_asked_without_a_graph():
    x, w = mc.ones(1, 32, 8, 8), mc.ones(32, 32, 3, 3, requires_grad=True)
    with mc.no_grad():
        assert ops.conv2d(x, w).node is None
    assert mc.conv_algorithm.last() == ("winograd", "auto", "auto", float("inf"))
    with mc.conv_algorithm("im2col"):
        y = ops.conv2d(x, w)
    y.sum().backward()  # its convolutions are not the user's
    assert mc.conv_algorithm.last() == ("im2col", "auto", "im2col", float("inf"))
    ops.conv_transpose2d(x, w.detach())
    assert mc.conv_algorithm.last().forward == "winograd"


def test_a_bound_of_the_error_is_one_of_the_dtype():
    x, w = mc.tensor(np.ones((1, 32, 8, 8))), mc.tensor(np.ones((32, 32, 3, 3)))
    for bound, chosen in ((1e-8, "winograd"), (1e-14, "winograd_f2")):
        with mc.conv_precision(bound):
            ops.conv2d(x, w)
        assert mc.conv_algorithm.last().forward == chosen
    with mc.conv_precision(1e-16), pytest.raises(ValueError, match="conv_precision: no rule takes an algorithm"):
        ops.conv2d(x, w)
    with mc.conv_precision(1e-8), pytest.raises(ValueError, match="at most 1e-08 in float32; the least is 5e-06"):
        ops.conv2d(mc.ones(1, 32, 8, 8), mc.ones(32, 32, 3, 3))


def test_a_refusal_is_told_in_the_notation_of_layers():
    message = re.escape("got 5x5 [1x4x9x9 -> 4, 5x5 stride 2 groups 2]")
    with mc.conv_algorithm("winograd"), pytest.raises(ValueError, match=message):
        ops.conv2d(mc.ones(1, 4, 9, 9), mc.ones(4, 2, 5, 5), stride=2, groups=2)


def test_an_infinity_goes_further_with_winograd_and_fft_as_their_pages_say():
    x, w = np.zeros((1, 32, 16, 16), np.float32), np.ones((32, 32, 3, 3), np.float32)
    x[0, 0, 5, 5] = np.inf
    touched = {}
    for name in ("direct", "im2col", "winograd", "fft"):
        with mc.conv_algorithm(name):
            y = ops.conv2d(mc.tensor(x), mc.tensor(w), padding=1).numpy()[0, 0]
        touched[name] = (~np.isfinite(y)).sum()
        assert np.isposinf(y[4:7, 4:7]).all() == (name in {"direct", "im2col"})
    assert touched["direct"] == touched["im2col"] == 9 < touched["winograd"] < touched["fft"] == 256
