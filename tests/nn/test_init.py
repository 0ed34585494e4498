import math

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.core.rng import Stream
from minicnn.nn import init


def weight(*shape, dtype=np.float32):
    return nn.Parameter(mc.tensor(np.zeros(shape, dtype)))


def test_xavier_uniform_stays_in_its_interval_with_its_variance():  # A19
    mc.manual_seed(0)
    values = init.xavier_uniform_(weight(1000, 1000)).detach().numpy()
    assert np.abs(values).max() <= math.sqrt(6 / 2000)
    assert values.var() == pytest.approx(2 / 2000, rel=0.02)


def test_xavier_counts_the_kernel_and_groups_of_a_convolution():
    w = weight(8, 2, 3, 5)  # in a layer of 4 groups: 8 inputs
    assert init.fan_in_and_fan_out(w) == (30, 120)
    values = init.xavier_normal_(weight(64, 64, 3, 3)).detach().numpy()
    assert values.var() == pytest.approx(2 / (2 * 64 * 9), rel=0.02)


def test_kaiming_normal_has_its_standard_deviation():  # A20
    mc.manual_seed(0)
    values = init.kaiming_normal_(weight(1000, 1000), nonlinearity="relu").detach().numpy()
    assert values.std() == pytest.approx(math.sqrt(2 / 1000), rel=0.01)
    out = init.kaiming_normal_(weight(2000, 500), mode="fan_out", nonlinearity="relu").detach().numpy()
    assert out.std() == pytest.approx(math.sqrt(2 / 2000), rel=0.01)


def ratio_of_stds(draw, activation, depth, width, square):
    x = mc.tensor(np.random.default_rng(0).normal(size=(100, width)))
    moments = []
    for _ in range(depth):
        w = draw(weight(width, width, dtype=np.float64)).detach()
        x = activation(mc.ops.linear(x, w))
        values = x.numpy()
        moments.append((values**2).mean() if square else values.std())
    return moments[-1] / moments[0]


def test_xavier_keeps_the_activations_of_a_tanh_mlp_alive():
    mc.manual_seed(0)
    assert 0.2 <= ratio_of_stds(init.xavier_uniform_, mc.ops.tanh, 10, 256, square=False) <= 2
    assert ratio_of_stds(lambda w: init.normal_(w, 0, 0.01), mc.ops.tanh, 10, 256, square=False) < 1e-3


def test_he_keeps_the_second_moment_of_a_relu_mlp():
    ratios, faded = [], []
    for seed in range(3):
        mc.manual_seed(seed)
        he = lambda w: init.kaiming_normal_(w, nonlinearity="relu")  # noqa: E731
        ratios.append(ratio_of_stds(he, mc.ops.relu, 20, 256, square=True))
        lecun = lambda w: init.normal_(w, 0, 1 / math.sqrt(256))  # noqa: E731
        faded.append(ratio_of_stds(lecun, mc.ops.relu, 20, 256, square=True))
    assert 0.3 <= np.median(ratios) <= 3
    assert 2.0**-19 / 10 <= np.median(faded) <= 2.0**-19 * 10


def test_same_seed_gives_the_same_weights_in_every_dtype():
    draws = []
    for dtype in (np.float32, np.float64):
        mc.manual_seed(7)
        draws.append(init.normal_(weight(5, 5, dtype=dtype)).detach().numpy())
    np.testing.assert_array_equal(draws[0], draws[1].astype(np.float32))
    assert init.normal_(weight(5, 5)).tolist() != draws[0].tolist()


def test_an_explicit_stream_is_independent_of_the_global_seed():
    a = init.uniform_(weight(4), stream=Stream(3, "mine")).tolist()
    mc.manual_seed(99)
    assert init.uniform_(weight(4), stream=Stream(3, "mine")).tolist() == a


def test_uniform_and_constants():
    values = init.uniform_(weight(1000), -2, 3).detach().numpy()
    assert -2 <= values.min() < -1.9 and 2.9 < values.max() < 3
    assert init.constant_(weight(2), 4.0).tolist() == [4.0, 4.0]
    assert init.ones_(weight(1)).tolist() == [1.0] and init.zeros_(weight(1)).tolist() == [0.0]
    assert init.eye_(weight(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_writing_starts_no_history_and_counts_as_a_change():
    w = weight(2, 2)
    before = w.storage.version
    assert init.normal_(w) is w
    assert w.node is None and w.requires_grad and w.storage.version > before


def test_trunc_normal_stays_in_its_interval():
    values = init.trunc_normal_(weight(100_000), std=1.0, a=-1.0, b=2.0).detach().numpy()
    assert values.min() >= -1 and values.max() <= 2
    assert values.mean() == pytest.approx(0.2296, abs=0.01)  # (φ(-1) - φ(2)) / (Φ(2) - Φ(-1))
    with pytest.raises(ValueError, match="trunc_normal_: .* holds only"):
        init.trunc_normal_(weight(2), a=5.0, b=6.0)
    with pytest.raises(ValueError, match="trunc_normal_: std must be > 0, got 0"):
        init.trunc_normal_(weight(2), std=0)


@pytest.mark.parametrize("fill", [
    init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_
])  # fmt: skip
def test_a_weight_without_inputs_has_nothing_to_draw(fill):
    assert fill(weight(0, 0)).shape == (0, 0)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (4, 2, 3, 3)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    m = init.orthogonal_(weight(*shape, dtype=np.float64), gain=2.0).detach().numpy().reshape(shape[0], -1)
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_lecun_uniform_by_unit():
    values = init.lecun_uniform_(weight(2, 3, 5, 5), (75, 10)).detach().numpy()
    bounds = np.abs(values).max(axis=(1, 2, 3))
    assert 0.9 * 2.4 / 75 < bounds[0] <= 2.4 / 75 and 0.9 * 0.24 < bounds[1] <= 0.24
    assert np.abs(init.lecun_uniform_(weight(10, 20)).detach().numpy()).max() <= 0.12


def test_dirac_passes_channels_through():
    layer = nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False)
    init.dirac_(layer.weight, groups=2)
    x = mc.tensor(np.random.default_rng(0).normal(size=(1, 4, 5, 5)).astype(np.float32))
    y = layer(x).detach().numpy()
    np.testing.assert_array_equal(y[:, [0, 1, 3, 4]], x.numpy())
    assert not y[:, [2, 5]].any()


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_reproduces_a_ramp_in_the_interior(factor):  # B06
    k = 2 * factor - factor % 2
    layer = nn.ConvTranspose2d(2, 2, k, stride=factor, padding=(k - factor) // 2, bias=False, dtype=np.float64)
    init.bilinear_(layer.weight)
    rows, columns = np.mgrid[:6, :6].astype(np.float64)
    y = layer(mc.tensor(np.stack([rows, columns])[None])).detach().numpy()
    centres = (np.arange(y.shape[2]) + 0.5) / factor - 0.5 if factor % 2 == 0 else None
    inner = slice(factor, -factor)
    steps = np.diff(y[0, 0, inner, y.shape[3] // 2])
    np.testing.assert_allclose(steps, 1 / factor, atol=1e-12)
    np.testing.assert_allclose(np.diff(y[0, 0, inner, inner], axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y[0, 1], y[0, 0].T, atol=1e-12)
    if centres is not None:
        np.testing.assert_allclose(y[0, 0, inner, y.shape[3] // 2], centres[inner], atol=1e-12)


def test_bilinear_fills_every_kernel_of_a_depthwise_layer():
    w = init.bilinear_(weight(3, 1, 4, 4)).detach().numpy()
    np.testing.assert_allclose(w.sum(axis=(1, 2, 3)), 4.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.xavier_uniform_(weight(3)), "fan_in_and_fan_out: a weight of at least 2 dimensions is needed"),
        (lambda: init.kaiming_normal_(weight(3, 3), mode="fan"), "kaiming_normal_: mode must be 'fan_in' or 'fan_out'"),
        (lambda: init.calculate_gain("sine"), "calculate_gain: unknown nonlinearity 'sine'"),
        (lambda: init.eye_(weight(3)), "eye_: a 2-d tensor is needed"),
        (lambda: init.orthogonal_(weight(3)), "orthogonal_"),
        (lambda: init.dirac_(weight(3, 3)), "dirac_: a tensor of 3 or 4 or 5 dimensions is needed"),
        (lambda: init.dirac_(weight(3, 3, 1), groups=2), "dirac_: groups 2 does not divide 3 output channels"),
    ],
)
def test_errors_name_the_function(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()


@pytest.mark.torch
def test_gains_equal_pytorchs():
    torch = pytest.importorskip("torch")
    for name, param in [("linear", None), ("tanh", None), ("relu", None), ("leaky_relu", 0.3), ("selu", None)]:
        assert init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))


def test_nothing_is_drawn_inside_skip():
    mc.manual_seed(1)
    want = nn.Linear(2, 3).weight.tolist()
    mc.manual_seed(1)
    with init.skip():
        layer = nn.Linear(2, 3)
        init.orthogonal_(tensor=layer.weight), init.lecun_uniform_(layer.weight), init.trunc_normal_(layer.weight)
        norm = nn.BatchNorm2d(2)
    assert not layer.weight.detach().numpy().any() and (norm.weight.detach().numpy() == 1).all()
    assert nn.Linear(2, 3).weight.tolist() == want
