"""Batch, layer, group and instance norm; local response and contrast; unit length."""

import numpy as np
import pytest

import minicnn as mc
from tests.oracles import normalization as oracle


def tensors(*arrays, grad=False):
    return [None if a is None else mc.tensor(a, requires_grad=grad) for a in arrays]


def close(y, expected, tolerance=1e-12):
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-7, atol=tolerance)


SHAPES = [(5, 3), (2, 3, 4), (4, 2, 3, 3), (1, 3, 5, 5), (3, 1, 2, 9), (2, 2, 1, 1), (40, 2, 50)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_equals_explicit_loops(shape, affine):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape) * 3 + 5
    weight, bias = (rng.standard_normal((2, shape[1]))) if affine else (None, None)
    mean, var = mc.tensor(np.zeros(shape[1])), mc.tensor(np.ones(shape[1]))
    y = mc.ops.batch_norm(*tensors(x), mean, var, *tensors(weight, bias), training=True, momentum=0.3)
    expected, batch_mean, batch_var = oracle.batch_norm(x, weight, bias)
    n = x.size // shape[1]
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(mean.numpy(), 0.3 * batch_mean, rtol=1e-12)
    np.testing.assert_allclose(var.numpy(), 0.7 + 0.3 * batch_var * n / (n - 1), rtol=1e-12)


def test_batch_norm_gives_mean_zero_and_variance_just_below_one():
    x = np.random.default_rng(2).standard_normal((6, 2, 4, 4)) * 0.01
    (y,) = tensors(x)
    y = mc.ops.batch_norm(y, None, None, training=True).numpy()
    var = x.var((0, 2, 3))
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var((0, 2, 3)), var / (var + 1e-5), rtol=1e-12)


def test_batch_norm_ignores_the_scale_of_the_weights_before_it():
    rng = np.random.default_rng(3)
    x, w, c = rng.standard_normal((8, 5)), rng.standard_normal((5, 3)), rng.standard_normal((8, 3))
    values, gradients = [], []
    for a in (1.0, 7.0):
        weight = mc.tensor(a * w, requires_grad=True)
        y = mc.ops.batch_norm(mc.tensor(x) @ weight, None, None, training=True, eps=1e-30)
        (y * mc.tensor(c)).sum().backward()
        values.append(y.detach().numpy())
        gradients.append(weight.grad.numpy())
    np.testing.assert_allclose(values[1], values[0], atol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0] / 7, atol=1e-12)


def test_inference_folds_into_the_linear_layer_before_it():
    rng = np.random.default_rng(4)
    x, w, bias = rng.standard_normal((8, 5)), rng.standard_normal((5, 3)), rng.standard_normal(3)
    var, (mean, gamma, beta) = rng.uniform(0.5, 2, 3), rng.standard_normal((3, 3))
    y = mc.ops.batch_norm(*tensors(x @ w + bias, mean, var, gamma, beta))
    scale = gamma / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y.numpy(), x @ (w * scale) + (bias - mean) * scale + beta, atol=1e-12)
    np.testing.assert_allclose(y.numpy(), oracle.batch_norm_eval(x @ w + bias, mean, var, gamma, beta), atol=1e-12)


def second_derivative(x, weight, cotangent, direction):
    """d/dt of the gradient of sum(cotangent * y^2) at x + t direction, by PyTorch's formula in NumPy, numerically."""

    def gradient(x):
        mean, var = x.mean(0), x.var(0)
        r = 1 / np.sqrt(var + 1e-5)
        hat = (x - mean) * r
        g = 2 * cotangent * hat * weight * weight
        return r * (g - g.mean(0) - hat * (g * hat).mean(0))

    h = 1e-5
    return (gradient(x + h * direction) - gradient(x - h * direction)) / (2 * h)


def test_the_second_derivative_of_batch_norm_flows_through_mean_and_variance():
    """DeZero keeps 1/std as a constant, and is silently wrong here."""
    rng = np.random.default_rng(5)
    weight, (x, cotangent, direction) = rng.standard_normal(3), rng.standard_normal((3, 6, 3))
    leaf = mc.tensor(x, requires_grad=True)
    y = mc.ops.batch_norm(leaf, None, None, mc.tensor(weight), training=True)
    (gx,) = mc.grad((mc.tensor(cotangent) * y * y).sum(), [leaf], create_graph=True)
    (product,) = mc.grad((gx * mc.tensor(direction)).sum(), [leaf])
    expected = second_derivative(x, weight, cotangent, direction)
    np.testing.assert_allclose(product.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.torch
def test_second_derivatives_equal_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    arrays = [rng.standard_normal(s) for s in ((4, 3, 2, 2), (3,), (3,), (4, 3, 2, 2), (4, 3, 2, 2))]

    def run(grad, norm, x, w, b, c, u):
        y = norm(x, None, None, w, b, training=True)
        first = grad((c * y**3).sum(), [x, w, b], create_graph=True)
        total = (first[0] * u).sum() + (first[1] ** 2).sum() + (first[2] ** 2).sum()
        return [*first, *grad(total, [x, w, b, c, u], allow_unused=True)]

    ours = run(mc.grad, mc.ops.batch_norm, *[mc.tensor(a, requires_grad=True) for a in arrays])
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    theirs = run(torch.autograd.grad, torch.nn.functional.batch_norm, *leaves)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_one_value_per_channel_raises_in_training_and_works_in_inference():
    x, mean, var = tensors(np.ones((1, 3)), np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        mc.ops.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(mc.ops.batch_norm(x, mean, var, eps=0.0).numpy(), 1.0)
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        mc.ops.instance_norm(mc.tensor(np.ones((2, 3, 1))))


def test_an_empty_batch_gives_an_empty_result_and_leaves_the_running_statistics():
    x = mc.tensor(np.zeros((0, 3, 2, 2)), requires_grad=True)
    mean, var = mc.tensor(np.zeros(3)), mc.tensor(np.ones(3))
    y = mc.ops.batch_norm(x, mean, var, training=True)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3, 2, 2)
    assert mean.tolist() == [0, 0, 0] and var.tolist() == [1, 1, 1]
    assert mc.ops.batch_norm(x, mean, var).shape == (0, 3, 2, 2)
    assert mc.ops.layer_norm(mc.tensor(np.zeros((0, 3))), 3).shape == (0, 3)
    assert mc.ops.group_norm(mc.tensor(np.zeros((0, 4, 2))), 2).shape == (0, 4, 2)


def test_statistics_are_written_once_where_a_segment_is_recomputed():
    x = mc.tensor(np.random.default_rng(7).standard_normal((4, 2)), requires_grad=True)
    mean, var = mc.tensor(np.zeros(2)), mc.tensor(np.ones(2))
    y = mc.checkpoint(lambda t: mc.ops.batch_norm(t, mean, var, training=True) ** 2, x)
    before = mean.tolist(), var.tolist()
    y.sum().backward()
    assert (mean.tolist(), var.tolist()) == before
    np.testing.assert_allclose(before[0], 0.1 * x.detach().numpy().mean(0), rtol=1e-12)


def test_writing_the_running_statistics_is_counted():
    mean, var = mc.tensor(np.zeros(2)), mc.tensor(np.ones(2))
    versions = mean.storage.version, var.storage.version
    mc.ops.batch_norm(mc.tensor(np.arange(6.0).reshape(3, 2)), mean, var, training=True)
    assert mean.storage.version > versions[0] and var.storage.version > versions[1]


def test_batch_norm_says_what_is_wrong():
    x = mc.tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match="running_mean and running_var must be given"):
        mc.ops.batch_norm(x, None, None)
    with pytest.raises(ValueError, match=r"weight must have shape \(3,\), got \(2,\)"):
        mc.ops.batch_norm(x, None, None, mc.tensor(np.ones(2)), training=True)
    with pytest.raises(RuntimeError, match=r"running_mean is not differentiated .*detach"):
        mc.ops.batch_norm(x, mc.tensor(np.ones(3), requires_grad=True), mc.tensor(np.ones(3)))
    with pytest.raises(TypeError, match="must be floating"):
        mc.ops.batch_norm(mc.tensor([[1, 2]]), None, None, training=True)
    with pytest.raises(ValueError, match="input must be"):
        mc.ops.batch_norm(mc.tensor([1.0]), None, None, training=True)
    with pytest.raises(ValueError, match="must end in normalized_shape"):
        mc.ops.layer_norm(x, (2,))
    with pytest.raises(ValueError, match="does not divide 3 channels"):
        mc.ops.group_norm(x, 2)


def test_a_large_mean_in_float32_costs_no_accuracy():
    x = (np.random.default_rng(8).standard_normal((16, 2, 20, 20)) + 20_000).astype(np.float32)
    (y,) = tensors(x)
    y = mc.ops.batch_norm(y, None, None, training=True)
    np.testing.assert_allclose(y.numpy(), oracle.batch_norm(x.astype(np.float64))[0], atol=2e-6)


def test_an_outlier_first_element_costs_no_accuracy():
    """Shifting by the first element, a common trick, loses the variance here."""
    x = np.random.default_rng(9).standard_normal((4, 1, 30)) + 1e6
    x[0, 0, 0] = 0
    (y,) = tensors(x)
    y = mc.ops.batch_norm(y, None, None, training=True)
    np.testing.assert_allclose(y.numpy(), oracle.batch_norm(x)[0], rtol=1e-9)


def test_the_thread_count_changes_no_bit():
    rng = np.random.default_rng(10)
    x, w = rng.standard_normal((4, 6, 20, 20)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    results = []
    threads = mc.get_num_threads()
    try:
        for n in (1, 2):
            mc.set_num_threads(n)
            leaves = tensors(x, w, w, grad=True)
            mc.ops.group_norm(leaves[0], 2, *leaves[1:]).sum().backward()
            results.append([leaf.grad.numpy().tobytes() for leaf in leaves])
    finally:
        mc.set_num_threads(threads)
    assert results[0] == results[1]


def test_a_nan_spoils_its_own_channel_only():
    x = np.random.default_rng(11).standard_normal((3, 2, 4))
    x[1, 0, 2] = np.nan
    (y,) = tensors(x)
    y = mc.ops.batch_norm(y, None, None, training=True).numpy()
    assert np.isnan(y[:, 0]).all() and not np.isnan(y[:, 1]).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_other_norms_equal_explicit_loops(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, 4, 2, 5)) + 2
    w, b = rng.standard_normal((2, 4))
    close(mc.ops.group_norm(*tensors(x), 2, *tensors(w, b)), oracle.group_norm(x, 2, w, b))
    close(mc.ops.instance_norm(*tensors(x, None, None, w, b)), oracle.instance_norm(x, w, b))
    w, b = rng.standard_normal((2, 2, 5))
    close(mc.ops.layer_norm(*tensors(x), (2, 5), *tensors(w, b)), oracle.layer_norm(x, (2, 5), w, b))
    size, over = int(rng.integers(1, 7)), bool(rng.integers(2))
    y = mc.ops.local_response_norm(*tensors(x), size, 0.3, 0.6, 2.0, alpha_over_n=over)
    close(y, oracle.local_response_norm(x, size, 0.3, 0.6, 2.0, over))
    p = float(rng.choice([1.0, 2.0, 3.0, np.inf]))
    close(mc.ops.normalize(*tensors(x[..., 0]), p, 2), oracle.normalize(x[..., 0], p, 2))


@pytest.mark.torch
def test_instance_norm_averages_the_images_for_its_running_statistics():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(12).standard_normal((3, 2, 4))
    mean, var = mc.tensor(np.zeros(2)), mc.tensor(np.ones(2))
    mc.ops.instance_norm(mc.tensor(x), mean, var, momentum=0.2)
    expected = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    torch.nn.functional.instance_norm(torch.tensor(x), *expected, momentum=0.2)
    np.testing.assert_allclose(mean.numpy(), expected[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(var.numpy(), expected[1].numpy(), atol=1e-12)


def test_alexnets_response_norm_of_ones():
    y = mc.ops.local_response_norm(mc.tensor(np.ones((1, 9, 1, 1))), 5, 1e-4, 0.75, 2.0, alpha_over_n=False)
    values = y.numpy().ravel()
    np.testing.assert_allclose(values[[0, 8]], 0.5945366734, atol=1e-10)
    np.testing.assert_allclose(values[2:7], 0.5944920938, atol=1e-10)


def test_contrast_norm_equals_explicit_loops():
    x = np.random.default_rng(13).standard_normal((2, 3, 6, 9))
    y = mc.ops.local_contrast_norm(mc.tensor(x))
    np.testing.assert_allclose(y.numpy(), oracle.local_contrast_norm(x), atol=1e-12)


def test_contrast_norm_of_a_constant_image_is_exactly_zero():
    for value in (0.0, 0.1, 123.456):
        x = mc.tensor(np.full((1, 2, 9, 8), value), requires_grad=True)
        y = mc.ops.local_contrast_norm(x)
        y.sum().backward()
        assert not y.detach().numpy().any()
        assert np.isfinite(x.grad.numpy()).all()


def test_contrast_norm_ignores_brightness_and_contrast():
    x = np.random.default_rng(14).standard_normal((1, 2, 8, 8))
    a, b = (mc.ops.local_contrast_norm(mc.tensor(t)).numpy() for t in (x, 3.7 * x + 11.0))
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_normalize_of_zero_is_zero_with_a_finite_gradient():
    x = mc.tensor(np.zeros((2, 3)), requires_grad=True)
    y = mc.ops.normalize(x)
    y.sum().backward()
    assert not y.detach().numpy().any()
    np.testing.assert_allclose(x.grad.numpy(), 1e12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_that_is_its_own_mean_gets_no_gradient_to_the_last_bit(dtype):
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, w, gy = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 1), (1,), (3, 1)))
        leaf = mc.tensor(x, requires_grad=True)
        mc.ops.layer_norm(leaf, (1,), mc.tensor(w), None, 0.1).backward(mc.tensor(gy))
        assert not leaf.grad.numpy().any()
