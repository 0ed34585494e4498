import numpy as np
import pytest

import minicnn as mc
from minicnn import nn


def test_linear_is_a_matrix_product_and_a_shift():
    layer = nn.Linear(3, 2, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(4, 3))
    want = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(mc.tensor(x)).detach().numpy(), want)
    assert nn.Linear(3, 2, bias=False).bias is None


def test_parameters_of_an_image_wide_layer():  # B02
    assert nn.count_parameters(nn.Linear(224 * 224 * 3, 1, bias=False)) == 150_528
    assert nn.count_parameters(nn.Linear(6 * 14 * 14, 16 * 10 * 10, bias=False)) == 1_881_600


def test_starting_values_lie_within_one_over_root_fan_in():
    mc.manual_seed(0)
    layer = nn.Linear(100, 500)
    for p in layer.parameters():
        assert 0.095 < np.abs(p.detach().numpy()).max() <= 0.1


def test_a_layer_without_inputs_gives_its_bias():
    layer = nn.Linear(0, 3)
    assert layer.weight.shape == (3, 0)
    with mc.no_grad():
        layer.bias.copy_(np.array([1.0, 2.0, 3.0]))
    y = layer(mc.tensor(np.zeros((2, 0), np.float32)))
    np.testing.assert_array_equal(y.detach().numpy(), [[1, 2, 3]] * 2)


def test_flatten_unflatten_identity():
    x = mc.tensor(np.arange(24.0).reshape(2, 3, 4))
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(-1, (2, 2))(x).shape == (2, 3, 2, 2)
    assert nn.Identity(1, extra=2)(x) is x
    assert repr(nn.Unflatten(1, (3, 1))) == "Unflatten(dim=1, unflattened_size=(3, 1))"


def test_negative_sizes_are_refused():
    with pytest.raises(ValueError, match="Linear: out_features must not be negative, got -1"):
        nn.Linear(2, -1)


def test_a_layer_runs_on_an_empty_batch():
    assert nn.Linear(3, 2)(mc.tensor(np.zeros((0, 3), np.float32))).shape == (0, 2)


@pytest.mark.torch
def test_default_starting_ranges_and_names_equal_pytorchs():
    torch = pytest.importorskip("torch")
    mc.manual_seed(0)
    torch.manual_seed(0)
    pairs = [
        (nn.Linear(40, 200), torch.nn.Linear(40, 200)),
        (nn.Conv1d(8, 200, 5, groups=2), torch.nn.Conv1d(8, 200, 5, groups=2)),
        (nn.Conv2d(8, 200, 3), torch.nn.Conv2d(8, 200, 3)),
        (nn.ConvTranspose2d(8, 200, 4, groups=4), torch.nn.ConvTranspose2d(8, 200, 4, groups=4)),
        (nn.BatchNorm2d(4), torch.nn.BatchNorm2d(4)),
        (nn.LayerNorm((3, 4)), torch.nn.LayerNorm((3, 4))),
        (nn.GroupNorm(2, 4), torch.nn.GroupNorm(2, 4)),
        (nn.InstanceNorm2d(3, affine=True), torch.nn.InstanceNorm2d(3, affine=True)),
        (nn.PReLU(3), torch.nn.PReLU(3)),
    ]
    for ours, theirs in pairs:
        a, b = ours.state_dict(), theirs.state_dict()
        assert [(k, v.shape) for k, v in a.items()] == [(k, tuple(v.shape)) for k, v in b.items()]
        for key, value in a.items():
            x, y = value.numpy(), b[key].numpy()
            assert np.abs(x).max() == pytest.approx(np.abs(y).max(), rel=0.1), (type(ours).__name__, key)
            assert x.std() == pytest.approx(y.std(), rel=0.1, abs=1e-12), (type(ours).__name__, key)
        assert repr(ours) == repr(theirs) or "Norm" in repr(ours)
