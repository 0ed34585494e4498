import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.models import UNet
from minicnn.nn import count_parameters, init, summary

RNG = np.random.default_rng(13)


def images(n, size, channels=1):
    return mc.tensor(RNG.normal(size=(n, channels, *size)).astype(np.float32))


def test_parameters_and_layers_of_the_papers_network():  # E13
    with init.skip():
        net = UNet()
        assert count_parameters(UNet(base=32, in_channels=3, padding="same")) == 7_760_130
        assert count_parameters(UNet(base=32, in_channels=3, num_classes=10, padding="same")) == 7_760_394
        assert count_parameters(UNet(batch_norm=True)) == 31_036_546
    assert count_parameters(net) == 31_030_658
    assert sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in net.modules()) == 23


def test_sizes_of_the_papers_network():
    rows = {row.name: row.output_shape for row in summary(UNet(base=1), (1, 572, 572)).rows}
    down = [rows[f"down.{level}.2"][1] for level in range(5)]
    rise = [rows[f"rise.{level}"][1] for level in range(4)]
    up = [rows[f"up.{level}.2"][1] for level in range(4)]
    assert down == [568, 280, 136, 64, 28]
    assert (rise, up) == ([56, 104, 200, 392], [52, 100, 196, 388])
    assert rows["head"] == (2, 388, 388)
    assert [rows[f"down.{level}.0"][0] for level in range(5)] == [1, 2, 4, 8, 16]


def test_output_sizes():
    net = UNet(base=1)
    assert [net.output_size(n) for n in (572, 188, 700)] == [388, 4, 516]
    with pytest.raises(ValueError, match="UNet: input size 570 gives a map of size 279, which cannot be halved"):
        net.output_size(570)
    with pytest.raises(ValueError, match="UNet: input size 140 leaves nothing of the map"):
        net.output_size(140)
    same = UNet(base=1, padding="same")
    assert same.output_size(48) == 48
    with pytest.raises(ValueError, match="UNet: input size 40 gives a map of size 5, which cannot be halved"):
        same.output_size(40)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_forward_and_backward(batch_norm):
    net = UNet(2, 3, base=4, depth=2, padding="same", batch_norm=batch_norm)
    scores = net(images(2, (16, 24), 2))
    assert scores.shape == (2, 3, 16, 24)
    net.loss(scores, mc.tensor(RNG.integers(0, 3, (2, 16, 24)))).backward()
    assert all(p.grad.numpy().any() for p in net.parameters())
    assert net.predict(images(2, (4, 4), 2)).shape == (2, 4, 4)


def test_a_valid_network_is_the_middle_of_what_it_would_see_on_a_larger_image():
    net = UNet(base=2, depth=2).eval()
    x = images(1, (76, 76))
    whole = net(x).detach().numpy()
    part = net(mc.tensor(x.numpy()[:, :, 8:68, 4:64])).detach().numpy()
    assert whole.shape[2:] == (36, 36) and part.shape[2:] == (20, 20)
    np.testing.assert_allclose(part, whole[:, :, 8:28, 4:24], atol=1e-5)


def test_dropout_only_in_training():
    net = UNet(base=2, depth=1, padding="same", dropout=0.9)
    x = images(1, (8, 8))
    assert net(x).tolist() != net(x).tolist()
    net.eval()
    assert net(x).tolist() == net(x).tolist()


@pytest.mark.torch
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_outputs_are_pytorchs(padding):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    net = UNet(2, 3, base=3, depth=2, padding=padding).double()
    w = {k: torch.from_numpy(v.numpy()) for k, v in net.state_dict().items()}
    x = RNG.normal(size=(2, 2, 44, 60))

    def pair(y, name):
        for i in (0, 2):
            y = f.relu(f.conv2d(y, w[f"{name}.{i}.weight"], w[f"{name}.{i}.bias"], padding=int(padding == "same")))
        return y

    y, skips = torch.from_numpy(x), []
    for level in range(3):
        y = pair(f.max_pool2d(y, 2) if level else y, f"down.{level}")
        skips.append(y)
    for level in range(2):
        y = f.conv_transpose2d(y, w[f"rise.{level}.weight"], w[f"rise.{level}.bias"], stride=2)
        skip = skips[1 - level]
        top, left = ((a - b) // 2 for a, b in zip(skip.shape[2:], y.shape[2:], strict=True))
        y = pair(torch.cat([skip[:, :, top : top + y.shape[2], left : left + y.shape[3]], y], 1), f"up.{level}")
    want = f.conv2d(y, w["head.weight"], w["head.bias"]).numpy()
    np.testing.assert_allclose(net(mc.tensor(x)).detach().numpy(), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UNet(padding="full"), "UNet: padding must be 'valid' or 'same', got 'full'"),
        (lambda: UNet(depth=0), "UNet: depth must be at least 1, got 0"),
        (lambda: UNet(base=1)(images(1, (572, 571))), "UNet: input size 571 gives a map of size 567"),
        (lambda: UNet(base=1)(images(1, (572, 572), 3)), r"UNet: input must have shape \(N, 1, H, W\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
