"""Losses against scalar loops, printed values, and what happens at the edges."""

import math

import numpy as np
import pytest

import minicnn as mc
from tests.oracles import losses as oracle

RNG = np.random.default_rng


def test_cross_entropy_equals_the_scalar_loop_for_all_options():
    rng = RNG(0)
    for shape in ((5, 4), (3, 6, 7), (2, 3, 4, 5), (1, 2, 300), (300, 3)):
        for weight in (None, rng.uniform(0.1, 2.0, size=shape[1])):
            for smoothing in (0.0, 0.25):
                x = rng.normal(size=shape) * 3
                labels = rng.integers(0, shape[1], size=(shape[0], *shape[2:]))
                labels[rng.random(labels.shape) < 0.2] = -1
                losses, counts = oracle.cross_entropy(x, labels, weight, -1, smoothing)
                options = {"ignore_index": -1, "label_smoothing": smoothing}
                for reduction, expected in (
                    ("none", losses), ("sum", losses.sum()), ("mean", losses.sum() / counts.sum()),
                ):  # fmt: skip
                    w = None if weight is None else mc.tensor(weight)
                    got = mc.ops.cross_entropy(mc.tensor(x), mc.tensor(labels), w, reduction=reduction, **options)
                    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    for k in (2, 10, 1000):
        loss = mc.ops.cross_entropy(mc.ops.zeros_like(mc.tensor(np.empty((3, k)))), mc.tensor([0, 1, k - 1]))
        assert loss.item() == pytest.approx(math.log(k), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_stay_finite_and_shifts_do_not_matter(dtype):
    x = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4 + 1, -1e4]], dtype)
    z = mc.tensor(x, requires_grad=True)
    loss = mc.ops.cross_entropy(z, mc.tensor([2, 1]), reduction="none")
    loss.backward(mc.tensor(np.ones(2, dtype)))
    assert loss.tolist()[0] == 2e4
    assert loss.tolist()[1] == pytest.approx(math.log(1 + 2 * math.exp(-1)), rel=1e-6)
    np.testing.assert_allclose(z.grad.numpy()[0], [1.0, 0.0, -1.0])
    assert np.isfinite(z.grad.numpy()).all()


def test_the_gradient_is_softmax_minus_one_hot():
    x, labels = RNG(1).normal(size=(7, 5)) * 4, np.arange(7) % 5
    z = mc.tensor(x, requires_grad=True)
    mc.ops.cross_entropy(z, mc.tensor(labels), reduction="sum").backward()
    expected = mc.ops.softmax(mc.tensor(x), 1).numpy() - np.eye(5)[labels]
    np.testing.assert_allclose(z.grad.numpy(), expected, rtol=0, atol=2e-16)


def test_class_labels_are_a_special_case_of_probabilities():
    x, labels = RNG(2).normal(size=(6, 4, 3)), RNG(3).integers(0, 4, size=(6, 3))
    one_hot = np.moveaxis(np.eye(4)[labels], -1, 1)
    a = mc.ops.cross_entropy(mc.tensor(x), mc.tensor(labels), label_smoothing=0.1)
    b = mc.ops.cross_entropy(mc.tensor(x), mc.tensor(one_hot), label_smoothing=0.1)
    assert a.item() == pytest.approx(b.item(), abs=1e-13)


def test_smoothing_mixes_the_one_hot_target_with_the_uniform_one():
    z = mc.tensor(RNG(4).normal(size=(1, 4)), requires_grad=True)
    mc.ops.cross_entropy(z, mc.tensor([2]), label_smoothing=0.2).backward()
    target = mc.ops.softmax(z.detach(), 1).numpy() - z.grad.numpy()
    np.testing.assert_allclose(target, [[0.05, 0.05, 0.85, 0.05]], atol=1e-15)


def test_a_label_out_of_range_is_named_with_its_position():
    x = mc.tensor(np.zeros((3, 4, 2)))
    with pytest.raises(ValueError, match=r"cross_entropy: label 4 at position \(1, 0\) is out of range for 4 classes"):
        mc.ops.cross_entropy(x, mc.tensor([[0, 1], [4, 9], [0, 0]]))
    with pytest.raises(ValueError, match=r"nll_loss: label -3 at position 2 is out of range"):
        mc.ops.nll_loss(mc.tensor(np.zeros((3, 4))), mc.tensor([0, 1, -3]))
    with pytest.raises(ValueError, match=r"position 300 is out of range"):
        mc.ops.cross_entropy(mc.tensor(np.zeros((400, 4))), mc.tensor(np.where(np.arange(400) >= 300, 7, 0)))
    with pytest.raises(ValueError, match=r"multi_margin_loss: label 4 at position 1"):
        mc.ops.multi_margin_loss(mc.tensor(np.zeros((2, 4))), mc.tensor([0, 4]))
    with pytest.raises(ValueError, match="label 4 is out of range for 4 classes"):
        mc.ops.discriminative_rbf_loss(mc.tensor(np.zeros((2, 4))), mc.tensor([0, 4]))


def test_wrong_shapes_and_types_are_named():
    x = mc.tensor(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"expected labels of shape \(3,\)"):
        mc.ops.cross_entropy(x, mc.tensor([0, 1]))
    with pytest.raises(ValueError, match="probabilities must have the input's shape"):
        mc.ops.cross_entropy(x, mc.tensor([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"weight must have shape \(4,\)"):
        mc.ops.cross_entropy(x, mc.tensor([0, 1, 2]), mc.tensor([1.0]))
    with pytest.raises(ValueError, match="reduction must be"):
        mc.ops.cross_entropy(x, mc.tensor([0, 1, 2]), reduction="average")
    with pytest.raises(ValueError, match="mse_loss: input and target must have the same shape"):
        mc.ops.mse_loss(mc.tensor([[1.0], [2.0]]), mc.tensor([1.0, 2.0]))
    with pytest.raises(RuntimeError, match=r"weights are read only\); pass .detach\(\)"):
        mc.ops.cross_entropy(x, mc.tensor([0, 1, 2]), mc.tensor(np.ones(4), requires_grad=True))


def test_where_every_label_is_ignored_the_mean_is_nan_and_the_sum_zero():
    z = mc.tensor(np.zeros((2, 3)), requires_grad=True)
    labels = mc.tensor([-100, -100])
    assert math.isnan(mc.ops.cross_entropy(z, labels).item())
    total = mc.ops.cross_entropy(z, labels, reduction="sum")
    total.backward()
    assert total.item() == 0.0 and not z.grad.numpy().any()


def test_an_empty_batch_has_a_sum_and_no_mean():
    x, labels = mc.tensor(np.zeros((0, 3))), mc.tensor(np.zeros(0, np.int64))
    assert mc.ops.cross_entropy(x, labels, reduction="sum").item() == 0.0
    assert mc.ops.cross_entropy(x, labels, reduction="none").shape == (0,)
    assert math.isnan(mc.ops.cross_entropy(x, labels).item())


def test_nan_logits_give_a_nan_loss():
    x = np.zeros((2, 3))
    x[1, 2] = np.nan
    losses = mc.ops.cross_entropy(mc.tensor(x), mc.tensor([0, 0]), reduction="none").numpy()
    assert np.isnan(losses).tolist() == [False, True]


def test_a_logit_of_minus_infinity_is_a_class_that_cannot_be():
    x = mc.tensor(np.array([[0.0, -np.inf, 0.0]]), requires_grad=True)
    loss = mc.ops.cross_entropy(x, mc.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert x.grad.tolist() == [[-0.5, 0.0, 0.5]]


@pytest.mark.torch
def test_strange_label_dtypes_and_layouts_equal_pytorch():
    torch = pytest.importorskip("torch")
    x = RNG(5).normal(size=(6, 10))[:, ::2]
    labels = np.array([0, 1, 2, 3, 4, 0], np.int32)
    expected = torch.nn.functional.cross_entropy(torch.tensor(x.copy()), torch.tensor(labels.astype(np.int64)))
    assert mc.ops.cross_entropy(mc.Tensor(x), mc.tensor(labels)).item() == pytest.approx(expected.item(), abs=1e-13)


def test_regression_losses_equal_their_formulas():
    rng = RNG(6)
    x, t = rng.normal(size=(2, 4, 5)) * 2
    a, b = mc.tensor(x), mc.tensor(t)
    pairs = [
        (mc.ops.mse_loss(a, b, "none"), oracle.elementwise(lambda u, v: (u - v) ** 2, x, t)),
        (mc.ops.l1_loss(a, b, "none"), oracle.elementwise(lambda u, v: abs(u - v), x, t)),
        (mc.ops.smooth_l1_loss(a, b, "none", 0.7), oracle.elementwise(lambda u, v: oracle.smooth_l1(u, v, 0.7), x, t)),
        (mc.ops.huber_loss(a, b, "none", 0.7), oracle.elementwise(lambda u, v: oracle.huber(u, v, 0.7), x, t)),
    ]
    for got, expected in pairs:
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)


def test_smooth_l1_has_the_printed_values_and_a_clipped_gradient():
    d = mc.tensor(np.array([0.0, 0.5, 1.0, 2.0, -7.0]), requires_grad=True)
    loss = mc.ops.smooth_l1_loss(d, mc.ops.zeros_like(d.detach()), "none")
    assert loss.tolist() == [0.0, 0.125, 0.5, 1.5, 6.5]
    loss.sum().backward()
    assert d.grad.tolist() == [0.0, 0.5, 1.0, 1.0, -1.0]


def test_sigma_is_the_faster_rcnn_form_of_beta():
    x = RNG(7).normal(size=30)
    for sigma in (1.0, 3.0):
        expected = [0.5 * (sigma * v) ** 2 if abs(v) < 1 / sigma**2 else abs(v) - 0.5 / sigma**2 for v in x]
        got = mc.ops.smooth_l1_loss(mc.tensor(x), mc.tensor(np.zeros(30)), "none", sigma=sigma)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="not both"):
        mc.ops.smooth_l1_loss(mc.tensor(x), mc.tensor(x), beta=0.5, sigma=1.0)


def test_binary_cross_entropy_equals_its_formula_and_is_cut_at_certainty():
    rng = RNG(8)
    x, t = rng.uniform(0, 1, size=(2, 20))
    x[:4], t[:4] = [0, 1, 0, 1], [0, 1, 1, 0]
    got = mc.ops.binary_cross_entropy(mc.tensor(x), mc.tensor(t), reduction="none").numpy()
    np.testing.assert_allclose(got, oracle.elementwise(oracle.bce, x, t), rtol=1e-12)
    assert got[:4].tolist() == [0.0, 0.0, 100.0, 100.0]
    with pytest.raises(ValueError, match=r"input must be in \[0, 1\]"):
        mc.ops.binary_cross_entropy(mc.tensor([1.5]), mc.tensor([1.0]))


def test_logits_form_is_exact_in_both_tails():
    z, t = RNG(9).normal(size=(2, 30)) * 10
    t = (t > 0).astype(float)
    got = mc.ops.binary_cross_entropy_with_logits(mc.tensor(z), mc.tensor(t), reduction="none")
    np.testing.assert_allclose(got.numpy(), oracle.elementwise(oracle.bce_logits, z, t), rtol=1e-12)
    far = mc.ops.binary_cross_entropy_with_logits(mc.tensor([-1e4, 1e4]), mc.tensor([1.0, 1.0]), reduction="none")
    assert far.tolist() == [1e4, 0.0]


def test_kl_divergence_counts_no_zero_probability():
    p = mc.tensor(np.array([[0.0, 0.25, 0.75]]))
    q = mc.tensor(np.log(np.array([[0.2, 0.3, 0.5]])))
    expected = 0.25 * math.log(0.25 / 0.3) + 0.75 * math.log(0.75 / 0.5)
    assert mc.ops.kl_div(q, p, "batchmean").item() == pytest.approx(expected, abs=1e-15)


def test_hinge_has_the_printed_values_and_subgradient():
    y = mc.tensor(np.array([1.0, -1.0, 1.0, -1.0]))
    score = mc.tensor(np.array([-1.0, 0.0, 1.0, -2.0]), requires_grad=True)
    loss = mc.ops.hinge_loss(score, y, "none")
    assert loss.tolist() == [2.0, 1.0, 0.0, 0.0]
    loss.sum().backward()
    assert score.grad.tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_margin_losses_equal_their_formulas():
    m = RNG(10).normal(size=25) * 3
    t = mc.tensor(m)
    formulas = {
        mc.ops.perceptron_loss: lambda v: max(0.0, -v),
        mc.ops.logistic_loss: lambda v: math.log(1 + math.exp(-v)),
        mc.ops.quadratic_loss: lambda v: (1 - v) ** 2,
        mc.ops.exponential_loss: lambda v: math.exp(-v),
        mc.ops.zero_one_loss: lambda v: float(v < 0),
    }
    for loss, formula in formulas.items():
        np.testing.assert_allclose(loss(t, "none").numpy(), oracle.elementwise(formula, m), rtol=1e-12)
    hinge = mc.ops.hinge_loss(t, mc.ops.ones_like(t), "none").numpy()
    np.testing.assert_allclose(hinge, oracle.elementwise(lambda v: max(0.0, 1 - v), m), rtol=1e-12)


def test_multi_margin_equals_the_double_loop():
    rng = RNG(11)
    x, labels = rng.normal(size=(6, 5)), rng.integers(0, 5, size=6)
    for p in (1, 2):
        got = mc.ops.multi_margin_loss(mc.tensor(x), mc.tensor(labels), p, 0.8, reduction="none")
        np.testing.assert_allclose(got.numpy(), oracle.multi_margin(x, labels, p, 0.8), rtol=1e-12)


def test_cosine_of_a_zero_vector_is_zero_with_a_finite_gradient():
    x = mc.tensor(np.zeros((1, 3)), requires_grad=True)
    y = mc.ops.cosine_similarity(x, mc.tensor(np.ones((1, 3))))
    y.sum().backward()
    assert y.tolist() == [0.0] and np.isfinite(x.grad.numpy()).all()


def test_distances_to_codes_are_exact():
    rng = RNG(12)
    codes = rng.choice([-1.0, 1.0], size=(10, 84))
    hamming = (codes[:, None] != codes[None]).sum(-1)
    got = mc.ops.squared_distance(mc.tensor(codes), mc.tensor(codes))
    np.testing.assert_array_equal(got.numpy(), 4.0 * hamming)
    x = rng.normal(size=(3, 84))
    got = mc.ops.squared_distance(mc.tensor(x), mc.tensor(codes)).numpy()
    np.testing.assert_allclose(got, oracle.squared_distance(x, codes), rtol=1e-12)


def test_the_gradient_of_a_distance_points_from_the_code():
    x = mc.tensor(RNG(13).normal(size=(1, 5)), requires_grad=True)
    code = RNG(14).normal(size=(1, 5))
    mc.ops.squared_distance(x, mc.tensor(code)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (x.detach().numpy() - code), rtol=1e-12)


def test_lenets_loss_is_equation_nine():
    rng = RNG(15)
    y, labels = rng.uniform(0, 30, size=(8, 10)), rng.integers(0, 10, size=8)
    for j in (0.1, 5.0):
        got = mc.ops.discriminative_rbf_loss(mc.tensor(y), mc.tensor(labels), j, reduction="none")
        np.testing.assert_allclose(got.numpy(), oracle.lenet5_loss(y, labels, j), rtol=1e-12)
