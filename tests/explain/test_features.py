"""Features are every layer's output by its path; the model is left as it was found; the picture can be read."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.explain import draw_features, features

Image = pytest.importorskip("PIL.Image")  # comes with matplotlib


class Net(nn.Module):
    """Runs its layers in another order than it defines them, and one of them twice."""

    def __init__(self):
        self.output = nn.Linear(8, 3)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.unused = nn.Tanh()

    def forward(self, x):
        x = self.pool(self.pool(self.body(x)))
        return self.output(self.dropout(x.reshape(x.shape[0], -1)))


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x():
    return mc.tensor(np.random.default_rng(0).normal(size=(2, 1, 10, 6)).astype(np.float32))


def test_names_order_and_shapes_are_those_of_the_run(net, x):
    found = features(net, x)
    assert {name: values.shape for name, values in found.items()} == {
        "body.0": (2, 4, 8, 4),
        "body.1": (2, 4, 8, 4),
        "body.2": (2, 4, 8, 4),
        "pool": (2, 4, 4, 2),
        "pool (2)": (2, 4, 2, 1),
        "dropout": (2, 8),
        "output": (2, 3),
    }
    assert list(found) == ["body.0", "body.1", "body.2", "pool", "pool (2)", "dropout", "output"]


def test_values_are_those_of_evaluation_mode_and_belong_to_the_caller(net, x):
    found = features(net, x)
    np.testing.assert_array_equal(found["body.2"], np.maximum(found["body.1"], 0))
    np.testing.assert_array_equal(found["dropout"], found["pool (2)"].reshape(2, 8))  # nothing was dropped
    np.testing.assert_array_equal(net.body[1].running_mean.numpy(), np.zeros(4))  # nothing was counted
    expected = net.eval()(x).detach().numpy()
    np.testing.assert_array_equal(found["output"], expected)
    found["output"][...] = 0
    np.testing.assert_array_equal(net(x).detach().numpy(), expected)


def test_a_single_layer_has_the_empty_path(x):
    assert list(features(nn.Tanh(), x)) == [""]


@pytest.mark.parametrize("training", [True, False])
def test_every_part_keeps_its_mode(net, x, training):
    net.train(training)
    net.body[1].train(not training)  # as a frozen batch norm in a net that is trained
    features(net, x)
    assert [m.training for m in (net, net.body, net.body[0], net.dropout)] == [training] * 4
    assert net.body[1].training is not training


def test_hooks_are_gone_and_modes_back_also_after_an_error(net, x):
    features(net, x)
    assert not any(module._hooks for module in net.modules())
    with pytest.raises(ValueError, match="conv2d"):
        features(net, mc.tensor(np.zeros((2, 3, 10, 6), np.float32)))  # three channels, the net takes one
    assert not any(module._hooks for module in net.modules())
    assert all(module.training for module in net.modules())
    assert mc.is_grad_enabled()


def test_no_history_is_recorded(net, x):
    seen = []
    net.pool.register_forward_hook(lambda _, __, output: seen.append(output.requires_grad))
    features(net, x)
    assert seen == [False, False]
    assert len(list(net.pool._hooks.forward)) == 1  # the user's own stays


def test_the_picture_is_a_png_that_grows_with_its_layers(net, x, tmp_path):
    found = features(net, x)
    for layers, columns, rows in ((1, 1, 1), (6, 5, 2)):
        chosen = dict(list(found.items())[:layers])
        path = draw_features(chosen, tmp_path / f"{layers}.png", image=1)
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.size == pytest.approx((130 * 2.2 * columns, 130 * 2.4 * rows), abs=2)
            assert np.count_nonzero(picture.convert("L").histogram()) > 20  # grey levels: not blank


def test_constant_maps_and_maps_of_one_pixel_are_drawn(tmp_path):
    maps = {"flat": np.ones((1, 3, 4, 4)), "pixels": np.arange(5.0).reshape(1, 5, 1, 1)}
    with np.errstate(all="raise"), Image.open(draw_features(maps, str(tmp_path / "flat.png"))) as picture:
        picture.load()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="draw_features: there are no features to draw"):
        draw_features({}, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
