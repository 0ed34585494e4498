import numpy as np
import pytest

import minicnn as mc
from minicnn.models import LeNet5, LeNet5Softmax, LeNetGAP
from minicnn.models.classification.lenet import c3_table
from minicnn.nn import count_parameters, summary

RNG = np.random.default_rng(0)
PAPER = {  # layer: (output, parameters, connections)
    "c1": ((6, 28, 28), 156, 122_304),
    "s2": ((6, 14, 14), 12, 5_880),
    "c3": ((16, 10, 10), 1_516, 151_600),
    "s4": ((16, 5, 5), 32, 2_000),
    "c5": ((120, 1, 1), 48_120, 48_120),
    "f6": ((84,), 10_164, 10_164),
    "output": ((10,), 0, 840),
}


def digits(n, size=(32, 32)):
    return mc.tensor(RNG.normal(size=(n, 1, *size)).astype(np.float32))


def test_counts_and_shapes_of_the_published_network():  # C01
    table = summary(LeNet5(), (1, 32, 32))
    assert {r.name: (r.output_shape, r.parameters, r.connections) for r in table.rows} == PAPER
    assert table.parameters == count_parameters(LeNet5()) == 60_000
    assert table.trainable_connections == 340_068
    assert table.connections == 340_908  # the number the paper prints


def test_receptive_fields_of_the_published_network():
    fields = [row.receptive_field[0] for row in summary(LeNet5(), (1, 32, 32)).rows]
    assert fields == [5, 6, 14, 16, 32, 32, 32]


def test_the_connection_table_is_the_papers():
    seen = ["012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245"]
    seen += ["0235", "012345"]
    assert ["".join(str(i) for i in row.nonzero()[0]) for row in c3_table()] == seen


def test_absent_links_of_c3_get_no_gradient():
    net = LeNet5()
    net.loss(net(digits(4)), mc.tensor(np.array([0, 1, 2, 3]))).backward()
    absent = c3_table() == 0
    assert not net.c3.weight.detach().numpy()[absent].any()
    assert not net.c3.weight.grad.numpy()[absent].any()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in net.parameters())


def test_starting_values_are_the_papers():
    net = LeNet5()
    fans = {"c1": 25, "s2": 4, "c5": 400, "f6": 120, "s4": 4}
    for name, parameter in net.named_parameters():
        layer = name.split(".")[0]
        if layer in fans:
            assert np.abs(parameter.detach().numpy()).max() <= 2.4 / fans[layer]
    bound = 2.4 / (25 * c3_table().sum(1))
    assert (np.abs(net.c3.weight.detach().numpy()).max((1, 2, 3)) <= bound).all()


def test_features_are_squashed_and_the_smallest_distance_is_the_answer():
    net = LeNet5()
    x = digits(3)
    features = net.features(x).detach().numpy()
    assert features.shape == (3, 84) and np.abs(features).max() <= 1.7159
    distances = net(x).detach().numpy()
    np.testing.assert_allclose(distances, ((features[:, None] - net.output.codes.numpy()) ** 2).sum(2), rtol=1e-4)
    assert net.predict(x).tolist() == distances.argmin(1).tolist()


def test_the_loss_is_equation_9():
    net = LeNet5(j=0.5)
    y, labels = np.abs(RNG.normal(size=(4, 10))), np.array([3, 1, 4, 1])
    want = np.mean(y[np.arange(4), labels] + np.log(np.exp(-0.5) + np.exp(-y).sum(1)))
    assert net.loss(mc.tensor(y), mc.tensor(labels)).item() == pytest.approx(want, rel=1e-12)


def test_same_seed_same_network():
    nets = []
    for _ in range(2):
        mc.manual_seed(3)
        nets.append(LeNet5().state_dict())
    assert all((nets[0][k].numpy() == nets[1][k].numpy()).all() for k in nets[0])


def test_four_accountings_of_the_lectures_table():  # C02
    slide = summary(LeNet5Softmax(full_c3=False, pooling="trainable"), (1, 32, 32))
    assert (slide.parameters, slide.connections) == (60_850, 340_918)
    assert count_parameters(LeNet5Softmax(full_c3=True, pooling="trainable")) == 61_750
    assert count_parameters(LeNet5Softmax()) == 61_706


def test_softmax_variant_runs_forward_and_backward():
    for pooling in ("average", "trainable"):
        net = LeNet5Softmax(pooling=pooling)
        logits = net(digits(5))
        net.loss(logits, mc.tensor(np.arange(5))).backward()
        assert logits.shape == (5, 10) and net.features(digits(2)).shape == (2, 84)
        assert all(np.isfinite(p.grad.numpy()).all() for p in net.parameters())
        assert net.predict(digits(2)).shape == (2,)


def test_global_average_pooling_counts():  # C04
    assert count_parameters(LeNetGAP("replace")) == 2_742
    assert count_parameters(LeNetGAP("concatenate")) == 61_866
    assert summary(LeNetGAP("concatenate"), (1, 32, 32)).parameters == 61_866


@pytest.mark.parametrize("size", [(32, 32), (64, 48)])
def test_replacing_the_dense_layers_frees_the_image_size(size):
    net = LeNetGAP("replace")
    y = net(digits(2, size))
    net.loss(y, mc.tensor(np.array([1, 2]))).backward()
    assert y.shape == (2, 10) and net.c1.weight.grad is not None
    assert net.predict(digits(2, size)).shape == (2,)


def test_concatenated_variant_uses_both_paths():
    net = LeNetGAP("concatenate")
    net.loss(net(digits(2)), mc.tensor(np.array([1, 2]))).backward()
    assert all(p.grad.numpy().any() for p in net.parameters())


def test_an_empty_batch_gives_an_empty_answer():
    assert LeNet5()(digits(0)).shape == (0, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: LeNet5()(digits(1, (28, 28))),
            r"LeNet5: input must have shape \(N, 1, 32, 32\) \[input.shape=\(1, 1, 28",
        ),
        (
            lambda: LeNetGAP()(mc.tensor(np.zeros((1, 3, 32, 32), np.float32))),
            r"LeNetGAP: input must have shape \(N, 1, H, W\)",
        ),
        (lambda: LeNetGAP("concatenate")(digits(1, (64, 48))), r"LeNetGAP: input must have shape \(N, 1, 32, 32\)"),
        (lambda: LeNetGAP("add"), "LeNetGAP: mode must be 'replace' or 'concatenate', got 'add'"),
        (lambda: LeNet5Softmax(pooling="max"), "LeNet5Softmax: pooling must be 'average' or 'trainable', got 'max'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
