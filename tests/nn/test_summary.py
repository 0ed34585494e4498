import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, ops
from minicnn.nn import summary


def test_parameters_and_connections_of_lenets_second_layer_in_full():  # B02
    net = nn.Conv2d(6, 16, 5)
    table = summary(net, (6, 14, 14))
    assert (table.parameters, table.connections, table.macs) == (2_416, 241_600, 240_000)
    assert summary(nn.Conv2d(6, 16, 5, bias=False), (6, 14, 14)).connections == 240_000


def test_saving_by_a_1x1_convolution():  # B09
    direct = summary(nn.Conv2d(192, 32, 5, padding=2), (192, 28, 28))
    assert direct.macs == 120_422_400
    squeezed = summary(nn.Sequential(nn.Conv2d(192, 16, 1), nn.Conv2d(16, 32, 5, padding=2)), (192, 28, 28))
    assert [row.macs for row in squeezed.rows] == [2_408_448, 10_035_200]
    assert squeezed.macs == 12_443_648


def test_stacked_3x3_convolutions_see_as_far_as_a_large_one():  # B10
    def stack(n):
        return nn.Sequential(*[nn.Conv2d(1, 1, 3, bias=False) for _ in range(n)])

    assert [summary(stack(n), (1, 9, 9)).receptive_field for n in (2, 3)] == [(5, 5), (7, 7)]
    assert [nn.count_parameters(stack(n)) for n in (2, 3)] == [18, 27]
    wide = nn.Sequential(*[nn.Conv2d(8, 8, 3, bias=False) for _ in range(2)])
    assert nn.count_parameters(wide) == 18 * 8**2


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3)], (7, 7)),
        ([nn.Conv2d(1, 1, 3, dilation=2), nn.MaxPool2d(2), nn.Conv2d(1, 1, (1, 3))], (6, 10)),
        ([nn.AvgPool2d(2), nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)], (8, 8)),
        ([nn.MaxPool2d(2), nn.ConvTranspose2d(1, 1, 4, stride=2), nn.Conv2d(1, 1, 3)], (6, 6)),
        ([nn.Conv2d(1, 1, 5), nn.Flatten(), nn.Linear(16 * 16, 3)], (20, 20)),
        ([nn.Conv2d(1, 1, 5), nn.BatchNorm2d(1), nn.ReLU(), nn.GlobalAvgPool2d()], (20, 20)),
        ([nn.Conv2d(1, 1, 5), nn.AdaptiveAvgPool2d(4)], (8, 8)),
    ],
)
def test_receptive_fields(layers, field):
    assert summary(nn.Sequential(*layers), (1, 20, 20)).receptive_field == field


def test_receptive_fields_agree_with_the_pixels_that_have_a_gradient():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.AvgPool2d(3, 2), nn.Conv2d(2, 1, (2, 1)))
    x = mc.tensor(np.random.default_rng(0).normal(size=(1, 1, 33, 33)).astype(np.float32), requires_grad=True)
    net(x)[0, 0, 1, 1].backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    assert summary(net, (1, 33, 33)).receptive_field == (np.ptp(rows) + 1, np.ptp(columns) + 1)


def test_branches_joined_by_bare_functions_take_the_widest_field():
    class Residual(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
            self.head = nn.Linear(64, 2)

        def forward(self, x):
            y = ops.relu(x + self.b(ops.relu(self.a(x))))
            return self.head(y.reshape((-1, 64)))

    table = summary(Residual(), (1, 8, 8))
    assert [row.receptive_field for row in table.rows] == [(3, 3), (5, 5), (12, 12)]


def test_bare_data_has_no_receptive_field():
    table = summary(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,))
    assert table.receptive_field is None and table.connections == 15 and table.output_shape == (3,)


def test_shared_layers_have_a_row_for_each_call_but_their_parameters_count_once():
    layer = nn.Linear(3, 3)
    table = summary(nn.Sequential(layer, layer), (3,))
    assert [row.parameters for row in table.rows] == [12, 0]
    assert table.parameters == nn.count_parameters(nn.Sequential(layer, layer)) == 12


def test_a_module_with_parameters_beside_its_children_gets_a_row_of_its_own():
    class Scaled(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(1, 2, 3)
            self.scale = nn.Parameter(mc.tensor([1.0]))

        def forward(self, x):
            return self.conv(x) * self.scale

    table = summary(Scaled(), (1, 5, 5))
    assert [(row.name, row.parameters) for row in table.rows] == [("conv", 20), ("Scaled", 1)]
    assert table.receptive_field == (3, 3)


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout().eval(), nn.Conv2d(2, 1, 1).requires_grad_(False))
    summary(net, (2, 4, 4))
    assert net.training and net[0].training and not net[1].training
    assert net[0].running_mean.tolist() == [0, 0] and net[0].num_batches_tracked.item() == 0
    assert all(p.grad is None for p in net.parameters()) and not net[0]._hooks


def test_hooks_are_removed_when_the_network_raises():
    net = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="linear"):
        summary(net, (4,))
    assert net.training and not net[0]._hooks


def test_costs_of_the_other_layers():
    local = summary(nn.LocallyConnected2d(2, 3, 6, 3), (2, 6, 6))
    assert (local.parameters, local.connections, local.receptive_field) == (16 * 3 * 19, 16 * 3 * 19, (3, 3))
    grouped = summary(nn.Conv2d(4, 8, 3, groups=2, bias=False), (4, 5, 5))
    assert grouped.macs == 8 * 9 * 2 * 9
    up = summary(nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1), (2, 5, 5))
    assert (up.macs, up.connections) == (2 * 25 * 3 * 16, 2 * 25 * 3 * 16 + 3 * 100)
    line = summary(nn.Sequential(nn.Conv1d(2, 3, 3), nn.ConvTranspose1d(3, 1, 2)), (2, 8))
    assert [row.macs for row in line.rows] == [3 * 6 * 6, 3 * 6 * 2]


def test_memory_counts_the_outputs():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    assert summary(net, (1, 10, 10)).memory == 2 * 4 * 64 * 4
    assert summary(net.double(), (1, 10, 10)).memory == 2 * 4 * 64 * 8


def test_users_layers_take_part_by_registering_their_work():
    class Twice(nn.Module):
        def forward(self, x):
            return x * 2.0

    @nn.layer_work.register
    def _twice(layer: Twice, x, y):
        return nn.Work(connections=7, macs=5)

    table = summary(Twice(), (3,))
    assert (table.connections, table.macs) == (7, 5)


def test_rows_by_name_and_the_printed_table():
    table = summary(nn.Sequential(nn.Conv2d(1, 6, 5), nn.Tanh()), (1, 32, 32))
    assert table["0"].output_shape == (6, 28, 28) and table["1"].type == "Tanh"
    with pytest.raises(KeyError):
        table["2"]
    lines = str(table).splitlines()
    assert lines[0] == "Sequential, input 1×32×32"
    assert lines[1].split() == ["layer", "type", "output", "parameters", "connections", "MACs", "memory", "field"]
    assert lines[3].split() == ["0", "Conv2d", "6×28×28", "156", "122,304", "117,600", "18.8", "kB", "5×5"]
    assert lines[-1].split() == ["total", "156", "122,304", "117,600", "37.6", "kB"]


def test_several_inputs_and_bad_shapes():
    class Add(nn.Module):
        def forward(self, a, b):
            return a + b

    assert summary(Add(), [(2, 3), (2, 3)]).output_shape == (2, 3)
    with pytest.raises(ValueError, match="summary: input_shape must hold positive ints, got"):
        summary(Add(), (2, 0))


def test_count_parameters_can_leave_out_frozen_ones():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    assert (nn.count_parameters(net), nn.count_parameters(net, trainable_only=True)) == (12, 6)
