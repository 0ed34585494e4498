import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.models.classification.lenet import c3_table

RNG = np.random.default_rng(0)


def image(*shape):
    return mc.tensor(RNG.normal(size=shape))


def test_with_all_links_it_is_a_convolution():  # B17
    gated = nn.MaskedConv2d(3, 4, 3, table=np.ones((4, 3)), stride=2, padding=1, dtype=np.float64)
    plain = nn.Conv2d(3, 4, 3, stride=2, padding=1, dtype=np.float64)
    plain.load_state_dict(gated.state_dict())
    x = image(2, 3, 7, 7)
    np.testing.assert_array_equal(gated(x).detach().numpy(), plain(x).detach().numpy())


def test_lenets_table_has_1516_parameters():
    layer = nn.MaskedConv2d(6, 16, 5, table=c3_table())
    assert layer.links == 60 and layer.absent_weights == 36 * 25
    assert nn.count_parameters(layer) == 1516


def test_each_output_map_is_the_sum_over_its_own_links():
    table = np.array([[1, 0, 1], [0, 1, 0]])
    layer = nn.MaskedConv2d(3, 2, 3, table=table, dtype=np.float64)
    x = image(1, 3, 6, 6)
    for c in range(2):
        seen = [k for k in range(3) if table[c, k]]
        w = layer.weight[c : c + 1].detach().numpy()[:, seen]
        want = mc.ops.conv2d(mc.tensor(x.numpy()[:, seen]), mc.tensor(w)).numpy() + layer.bias.detach().numpy()[c]
        np.testing.assert_allclose(layer(x).detach().numpy()[:, c : c + 1], want)


def test_absent_links_stay_zero_and_get_no_gradient():
    layer = nn.MaskedConv2d(6, 16, 5, table=c3_table(), dtype=np.float64)
    absent = c3_table() == 0
    assert not layer.weight.detach().numpy()[absent].any()
    (layer(image(2, 6, 14, 14)) ** 2).sum().backward()
    assert not layer.weight.grad.numpy()[absent].any()
    assert layer.weight.grad.numpy()[~absent].all()


def test_starting_values_follow_each_maps_own_fan_in():
    layer = nn.MaskedConv2d(100, 2, 5, table=[[1] * 100, [1] + [0] * 99])
    assert layer.fan_in == (2500, 25)
    values = np.abs(layer.weight.detach().numpy())
    assert 0.9 / 50 < values[0].max() <= 1 / 50 and 0.1 < values[1].max() <= 1 / 5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.ones((3, 2)), r"table must hold 0 and 1 in shape \(2, 3\)"),
        (np.full((2, 3), 2), "table must hold 0 and 1"),
        ([[1, 1, 1], [0, 0, 0]], "every output map must see at least one input map"),
    ],
)
def test_tables_are_checked(table, message):
    with pytest.raises(ValueError, match="MaskedConv2d: " + message):
        nn.MaskedConv2d(3, 2, 3, table=table)


def test_locally_connected_with_equal_kernels_is_a_convolution():  # B08
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1, dtype=np.float64)
    local = nn.LocallyConnected2d(2, 3, (7, 6), 3, stride=2, padding=1, dtype=np.float64)
    with mc.no_grad():
        local.weight.copy_(np.broadcast_to(conv.weight.detach().numpy(), local.weight.shape))
        local.bias.copy_(np.broadcast_to(conv.bias.detach().numpy()[:, None, None], local.bias.shape))
    x = image(2, 2, 7, 6)
    np.testing.assert_allclose(local(x).detach().numpy(), conv(x).detach().numpy(), atol=1e-12)


def test_locally_connected_parameters():
    layer = nn.LocallyConnected2d(2, 3, 9, 3, stride=2)
    assert nn.count_parameters(layer) == 4 * 4 * 3 * (2 * 9 + 1)
    assert nn.LocallyConnected2d(1, 1, 3, 3, bias=False).bias is None
    with pytest.raises(ValueError, match="LocallyConnected2d: kernel_size"):
        nn.LocallyConnected2d(1, 1, 3, 5)
