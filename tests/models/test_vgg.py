import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.models import VGG, vgg11, vgg13, vgg16, vgg19
from minicnn.nn import count_parameters, init, summary

RNG = np.random.default_rng(6)
TOTALS = {"A": 132_863_336, "B": 133_047_848, "C": 133_638_952, "D": 138_357_544, "E": 143_667_240}  # C06


def images(n, size=(32, 32), channels=3):
    return mc.tensor(RNG.normal(size=(n, channels, *size)).astype(np.float32))


@pytest.mark.parametrize("name", TOTALS)
def test_parameters_of_the_five_configurations(name):
    with init.skip():
        net = VGG(name)
    assert count_parameters(net) == TOTALS[name]
    assert count_parameters(net.classifier) == 123_642_856


def test_parameters_of_the_convolutions():
    with init.skip():
        assert count_parameters(VGG("D", width=64, input_size=32).features) == 14_714_688
        trunk = VGG("E", input_size=32, pooling="average").features
    assert count_parameters(trunk) == 20_024_384
    assert sum(isinstance(layer, nn.AvgPool2d) for layer in trunk) == 5


@pytest.mark.parametrize(("make", "layers"), [(vgg11, 11), (vgg13, 13), (vgg16, 16), (vgg19, 19)])
def test_the_number_in_the_name_counts_layers_with_weights(make, layers):
    net = make(10, width=1)
    weighted = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers and weighted[-1].out_features == 10


def test_maps_of_a_224_image():
    sizes = {row.output_shape[1] for row in summary(VGG("D", 5, width=1), (3, 224, 224)).rows if row.type == "Conv2d"}
    pools = [row.output_shape for row in summary(VGG("A", 5, width=1), (3, 224, 224)).rows if row.type == "MaxPool2d"]
    assert sizes == {224, 112, 56, 28, 14}
    assert [shape[1] for shape in pools] == [112, 56, 28, 14, 7]
    assert [shape[0] for shape in pools] == [1, 2, 4, 8, 8]


def test_layers_by_their_usual_names():
    net = VGG("E", width=2)
    assert [name for name in net.names if name.startswith("conv4")] == ["conv4_1", "conv4_2", "conv4_3", "conv4_4"]
    assert (net.layer("conv4_2").in_channels, net.layer("conv4_2").out_channels) == (16, 16)
    assert net.layer("conv4_1").in_channels == 8 and isinstance(net.layer("pool5"), nn.MaxPool2d)
    assert net.layer("fc8") is net.classifier[6]
    third = VGG("C", width=2).layer("conv5_3")
    assert third.kernel_size == (1, 1) and third.padding == (0, 0)
    with pytest.raises(ValueError, match="VGG: configuration A has no layer 'conv4_3'; it has conv1_1, relu1_1"):
        VGG("A", width=1).layer("conv4_3")


def test_activations_are_the_outputs_of_the_named_layers():
    net = VGG("B", 5, width=2, batch_norm=True).eval()
    x = images(2)
    found = net.activations(x, ["conv3_1", "relu1_2", "pool5"])
    assert list(found) == ["conv3_1", "relu1_2", "pool5"]
    assert found["conv3_1"].shape == (2, 8, 8, 8) and found["relu1_2"].shape == (2, 2, 32, 32)
    place = int(net.names["conv3_1"].split(".")[1])
    assert net.features[: place + 1](x).tolist() == found["conv3_1"].tolist()
    with pytest.raises(ValueError, match="fc7 are not among the convolutions' layers"):
        net.activations(x, ["conv1_1", "fc7"])


def test_names_are_torchvisions():
    keys = list(VGG("A", width=1).state_dict())
    places = (0, 3, 6, 8, 11, 13, 16, 18)
    want = [f"features.{i}.{kind}" for i in places for kind in ("weight", "bias")]
    assert keys == want + [f"classifier.{i}.{kind}" for i in (0, 3, 6) for kind in ("weight", "bias")]
    with_norm = list(VGG("D", width=1, batch_norm=True).state_dict())
    assert with_norm[2:7] == [f"features.1.{k}" for k in ("weight", "bias", "running_mean", "running_var")] + [
        "features.1.num_batches_tracked"
    ]
    assert "features.41.running_var" in with_norm and "features.42.weight" not in with_norm


def test_starting_values():
    net = VGG("A", 10, width=8)
    conv, dense = (net.layer(name).weight.detach().numpy() for name in ("conv4_1", "fc7"))
    assert conv.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert dense.std() == pytest.approx(0.01, rel=0.05)
    assert not any(layer.bias.detach().numpy().any() for layer in net.modules() if hasattr(layer, "out_features"))


def test_a_small_one_runs_forward_and_backward():
    net = VGG("A", 10, width=4, batch_norm=True, input_size=32, in_channels=1)
    x = images(4, channels=1)
    net.loss(net(x), mc.tensor(np.arange(4))).backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in net.parameters())
    assert net.predict(x).shape == (4,) and net(images(0, channels=1)).shape == (0, 10)


def test_images_of_other_sizes_are_averaged_to_the_heads_size():
    net = VGG("A", 10, width=2, input_size=64).eval()
    assert net(images(1, (96, 70))).shape == (1, 10)


@pytest.mark.torch
@pytest.mark.parametrize("batch_norm", [False, True])
def test_outputs_are_pytorchs(batch_norm):
    torch = pytest.importorskip("torch")
    t = torch.nn

    class TorchVGG(t.Module):  # torchvision's attributes, written out
        def __init__(self):
            super().__init__()
            layers, channels = [], 3
            for v in [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"]:
                if v == "M":
                    layers.append(t.MaxPool2d(2, 2))
                    continue
                layers.append(t.Conv2d(channels, v, 3, padding=1))
                layers += [t.BatchNorm2d(v)] * batch_norm + [t.ReLU()]
                channels = v
            self.features = t.Sequential(*layers)
            self.avgpool = t.AdaptiveAvgPool2d((7, 7))
            head = [t.Linear(32 * 49, 256), t.ReLU(), t.Dropout(), t.Linear(256, 256), t.ReLU(), t.Dropout()]
            self.classifier = t.Sequential(*head, t.Linear(256, 10))

        def forward(self, x):
            return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    ours, theirs = VGG("A", 10, width=4, batch_norm=batch_norm), TorchVGG()
    assert [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()] == [
        (k, v.shape) for k, v in ours.state_dict().items()
    ]
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = RNG.normal(size=(2, 3, 96, 64)).astype(np.float32)
    ours.eval(), theirs.eval()
    want = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(mc.tensor(x)).detach().numpy(), want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VGG("F"), "VGG: configuration must be one of A, B, C, D, E, got 'F'"),
        (lambda: VGG(pooling="mean"), "VGG: pooling must be 'max' or 'average', got 'mean'"),
        (lambda: VGG(input_size=28), "VGG: input_size must be at least 32, got 28"),
        (lambda: VGG("A", width=1)(images(1, channels=1)), r"VGG: input must have shape \(N, 3, H, W\) with H and W"),
        (lambda: VGG("A", width=1)(images(1, (31, 64))), r"at least 32 \[input.shape=\(1, 3, 31, 64\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
