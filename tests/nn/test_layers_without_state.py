"""Activations, dropout, losses, resizing: each module must pass its options on to the function of its name."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)) * 3


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(inplace=True), ops.relu),
        (nn.ReLU6(), ops.relu6),
        (nn.LeakyReLU(0.2), lambda x: ops.leaky_relu(x, 0.2)),
        (nn.ELU(0.7), lambda x: ops.elu(x, 0.7)),
        (nn.SELU(), ops.selu),
        (nn.GELU(), ops.gelu),
        (nn.GELU("tanh"), lambda x: ops.gelu(x, "tanh")),
        (nn.SiLU(), ops.silu),
        (nn.Hardtanh(-0.5, 2.0), lambda x: ops.hardtanh(x, -0.5, 2.0)),
        (nn.Sigmoid(), ops.sigmoid),
        (nn.LogSigmoid(), ops.logsigmoid),
        (nn.Tanh(), ops.tanh),
        (nn.ScaledTanh(), ops.scaled_tanh),
        (nn.Softplus(2.0, 5.0), lambda x: ops.softplus(x, 2.0, 5.0)),
        (nn.Softmax(1), lambda x: ops.softmax(x, 1)),
        (nn.LogSoftmax(dim=0), lambda x: ops.log_softmax(x, 0)),
    ],
    ids=lambda v: repr(v) if isinstance(v, nn.Module) else "",
)
def test_activation_layers_apply_their_function(layer, function):
    np.testing.assert_array_equal(layer(mc.tensor(X)).numpy(), function(mc.tensor(X)).numpy())


def test_prelu_trains_its_slope():
    layer = nn.PReLU(4, init=0.5, dtype=np.float64)
    y = layer(mc.tensor(X))
    np.testing.assert_allclose(y.detach().numpy(), np.where(X > 0, X, 0.5 * X))
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.where(X > 0, 0, X).sum(0))


def test_dropout_is_on_in_training_only():
    layer = nn.Dropout(0.25)
    x = mc.tensor(np.ones((100, 100)))
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, 1 / 0.75} and y.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())
    with pytest.raises(ValueError, match=r"Dropout: p must be in \[0, 1\], got 1.5"):
        nn.Dropout(1.5)


def test_dropout_by_the_papers_convention_scales_in_evaluation():
    layer = nn.Dropout(0.25, convention="paper")
    x = mc.tensor(np.ones((10, 10)))
    assert set(np.unique(layer(x).numpy())) == {0.0, 1.0}
    np.testing.assert_array_equal(layer.eval()(x).numpy(), 0.75)


def test_dropout2d_drops_whole_maps():
    y = nn.Dropout2d()(mc.tensor(np.ones((50, 4, 3, 3)))).numpy()
    assert set(np.unique(y.reshape(200, 9).sum(1))) == {0.0, 18.0}


def test_upsampling():
    x = mc.tensor(RNG.normal(size=(1, 2, 3, 4)))
    assert nn.Upsample(scale_factor=2)(x).shape == (1, 2, 6, 8)
    assert nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True)(x).shape == (1, 2, 5, 7)
    assert repr(nn.Upsample(size=3)) == "Upsample(size=3, mode='nearest')"
    with pytest.raises(ValueError, match="Upsample: give either size or scale_factor"):
        nn.Upsample()


CLASSES = mc.tensor(np.array([0, 3, 1]))
SIGNS = np.sign(RNG.normal(size=X.shape))
LOSSES = [
    (nn.CrossEntropyLoss, {"label_smoothing": 0.1, "ignore_index": 3}, (X, CLASSES)),
    (nn.CrossEntropyLoss, {"weight": mc.tensor(np.array([1.0, 2.0, 3.0, 4.0])), "reduction": "sum"}, (X, CLASSES)),
    (nn.NLLLoss, {"reduction": "none"}, (-np.abs(X), CLASSES)),
    (nn.MSELoss, {"reduction": "sum"}, (X, X + 1)),
    (nn.L1Loss, {}, (X, X + 2)),
    (nn.SmoothL1Loss, {"beta": 0.5}, (X, X * 0.5)),
    (nn.HuberLoss, {"delta": 0.5}, (X, X * 0.5)),
    (nn.BCEWithLogitsLoss, {"pos_weight": mc.tensor(np.array([1.0, 2.0, 3.0, 4.0]))}, (X, (SIGNS + 1) / 2)),
    (nn.HingeEmbeddingLoss, {"margin": 2.0}, (X, SIGNS)),
    (nn.SoftMarginLoss, {}, (X, SIGNS)),
    (nn.MarginRankingLoss, {"margin": 0.3}, (X, X[::-1].copy(), SIGNS)),
    (nn.MultiMarginLoss, {"p": 2, "margin": 0.7}, (X, CLASSES)),
    (nn.CosineEmbeddingLoss, {"margin": 0.2}, (X, X[::-1].copy(), np.array([1.0, -1.0, 1.0]))),
    (nn.KLDivLoss, {"reduction": "sum"}, (-np.abs(X), np.abs(X) / 9)),
    (nn.BCELoss, {}, (1 / (1 + np.exp(-X)), (SIGNS + 1) / 2)),
    (nn.TripletMarginLoss, {"margin": 5.0, "swap": True}, (X, X[::-1].copy(), X * 2)),
    (nn.TripletMarginLoss, {"margin": 5.0, "p": 1.0}, (X, X[::-1].copy(), X * 2)),
]


def as_tensors(args):
    return [a if isinstance(a, mc.Tensor) else mc.tensor(a) for a in args]


@pytest.mark.torch
@pytest.mark.parametrize(("kind", "options", "args"), LOSSES, ids=lambda v: getattr(v, "__name__", ""))
def test_losses_equal_pytorchs(kind, options, args):
    torch = pytest.importorskip("torch")

    def to_torch(value):
        return torch.from_numpy(value.numpy().copy()) if isinstance(value, mc.Tensor) else value

    theirs = getattr(torch.nn, kind.__name__)(**{k: to_torch(v) for k, v in options.items()})
    want = theirs(*[to_torch(a) for a in as_tensors(args)]).numpy()
    np.testing.assert_allclose(kind(**options)(*as_tensors(args)).numpy(), want, rtol=1e-9)


def test_hinge_loss():
    want = np.maximum(0, 1 - SIGNS * X).mean()
    assert nn.HingeLoss()(mc.tensor(X), mc.tensor(SIGNS)).item() == pytest.approx(want)


def test_class_weights_move_with_the_loss_but_are_not_saved():
    loss = nn.CrossEntropyLoss(weight=mc.tensor([1.0, 2.0]))
    assert not loss.state_dict()
    assert loss.double().weight.dtype == np.float64


def test_the_rbf_loss_is_equation_9_of_the_paper():
    y, labels = np.abs(X), np.array([0, 3, 1])
    want = np.mean(y[np.arange(3), labels] + np.log(np.exp(-0.2) + np.exp(-y).sum(1)))
    got = nn.DiscriminativeRBFLoss(j=0.2)(mc.tensor(y), mc.tensor(labels)).item()
    assert got == pytest.approx(want, rel=1e-12)
    with pytest.raises(ValueError, match="DiscriminativeRBFLoss: j must be positive, got 0"):
        nn.DiscriminativeRBFLoss(0)


def test_unknown_reductions_are_refused():
    with pytest.raises(ValueError, match="MSELoss: reduction must be 'none', 'mean' or 'sum', got 'avg'"):
        nn.MSELoss(reduction="avg")
