import numpy as np
import pytest

import minicnn as mc
from minicnn import models, nn
from minicnn.models import BasicBlock, Bottleneck, ResNet
from minicnn.nn import count_parameters, init, summary
from minicnn.testing import gradcheck

RNG = np.random.default_rng(10)
TOTALS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}  # C10


def images(n, size=(64, 64), channels=3):
    return mc.tensor(RNG.normal(size=(n, channels, *size)).astype(np.float32))


@pytest.mark.parametrize("depth", TOTALS)
@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_parameters(depth, stride_on):
    with init.skip():
        net = getattr(models, f"resnet{depth}")(stride_on=stride_on)
    assert count_parameters(net) == TOTALS[depth]


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_the_number_in_the_name_counts_layers_with_weights(depth):
    net = getattr(models, f"resnet{depth}")(10, width=2)
    weighted = [
        name
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert len(weighted) == depth


@pytest.mark.parametrize("make", [models.resnet18, models.resnet50])
@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_maps_of_a_224_image(make, stride_on):
    net = make(10, width=2, stride_on=stride_on)
    rows = {row.name: row.output_shape for row in summary(net, (3, 224, 224)).rows}
    last = "conv3" if make is models.resnet50 else "conv2"
    found = [rows["conv1"], rows["maxpool"], *[rows[f"layer{i}.1.{last}"] for i in (1, 2, 3, 4)]]
    assert [shape[1] for shape in found] == [112, 56, 56, 28, 14, 7]
    if make is models.resnet50:
        assert rows["layer2.0.conv1"][1] == (56 if stride_on == "3x3" else 28)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_whose_last_scale_is_zero_is_relu_of_its_input(block):
    part = block(4 * block.expansion, 4)
    init.zeros_(part.last_norm.weight)
    x = images(2, (5, 5), 4 * block.expansion)
    assert part.downsample is None
    assert (part(x).detach().numpy() == np.maximum(x.numpy(), 0)).all()


def test_zero_init_residual_makes_every_block_relu_of_its_shortcut():
    net = models.resnet50(10, width=4, zero_init_residual=True)
    x = images(2, (8, 8), 16)
    block = net.layer2[0]
    assert (block(x).detach().numpy() == np.maximum(block.downsample(x).detach().numpy(), 0)).all()
    assert not any(b.bn3.weight.detach().numpy().any() for b in net.modules() if isinstance(b, Bottleneck))


def test_gradients_of_a_tiny_bottleneck():
    mc.manual_seed(2)
    block = Bottleneck(2, 2, stride=2).double()
    for norm in (block.bn1, block.bn2, block.bn3):  # away from the kinks of ReLU
        init.uniform_(norm.weight, 0.5, 1.5)
        init.uniform_(norm.bias, 0.3, 1.0)
    assert gradcheck(block, [RNG.normal(size=(2, 2, 4, 4))], seed=0)


def test_names_are_torchvisions():
    keys = list(models.resnet50(10, width=2).state_dict())
    assert keys[:7] == ["conv1.weight", *[f"bn1.{k}" for k in _NORM], "layer1.0.conv1.weight"]
    block = [f"layer3.0.{k}" for i in (1, 2, 3) for k in (f"conv{i}.weight", *[f"bn{i}.{k}" for k in _NORM])]
    block += ["layer3.0.downsample.0.weight", *[f"layer3.0.downsample.1.{k}" for k in _NORM]]
    assert [key for key in keys if key.startswith("layer3.0.")] == block
    assert keys[-2:] == ["fc.weight", "fc.bias"] and len(keys) == 320
    assert len(models.resnet18(10, width=2).state_dict()) == 122


_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def test_forward_and_backward():
    net = models.resnet18(10, width=4, in_channels=1)
    x = images(3, (40, 33), 1)
    net.loss(net(x), mc.tensor(np.arange(3))).backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in net.parameters())
    assert net.predict(x).shape == (3,)
    assert net.eval()(images(0, channels=1)).shape == (0, 10)


def test_starting_values():
    net = models.resnet18(10, width=16)
    assert net.layer3[1].conv2.weight.detach().numpy().std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert (net.layer3[1].bn2.weight.detach().numpy() == 1).all()


@pytest.mark.torch
@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_outputs_and_gradients_are_pytorchs(depth, stride_on):
    torch = pytest.importorskip("torch")
    t, width = torch.nn, 4

    class Block(t.Module):  # torchvision's attributes, written out
        def __init__(self, inputs, maps, step):
            super().__init__()
            outputs = maps if depth == 18 else 4 * maps
            if depth == 18:
                convs = [(inputs, maps, 3, step), (maps, maps, 3, 1)]
            else:
                first = step if stride_on == "1x1" else 1
                convs = [(inputs, maps, 1, first), (maps, maps, 3, step // first), (maps, outputs, 1, 1)]
            for i, (a, b, k, s) in enumerate(convs, 1):
                setattr(self, f"conv{i}", t.Conv2d(a, b, k, s, k // 2, bias=False))
                setattr(self, f"bn{i}", t.BatchNorm2d(b))
            self.count, self.downsample = len(convs), None
            if step > 1 or inputs != outputs:
                self.downsample = t.Sequential(t.Conv2d(inputs, outputs, 1, step, bias=False), t.BatchNorm2d(outputs))

        def forward(self, x):
            y = x
            for i in range(1, self.count + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                y = torch.relu(y) if i < self.count else y
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class TorchResNet(t.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = t.Conv2d(3, width, 7, 2, 3, bias=False), t.BatchNorm2d(width)
            self.pool, inputs = t.MaxPool2d(3, 2, 1), width
            counts = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
            for stage, count in enumerate(counts):
                row = []
                for i in range(count):
                    row.append(Block(inputs, width << stage, 2 if stage and not i else 1))
                    inputs = (width << stage) * (1 if depth == 18 else 4)
                setattr(self, f"layer{stage + 1}", t.Sequential(*row))
            self.fc = t.Linear(inputs, 10)

        def forward(self, x):
            x = self.pool(torch.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    ours, theirs = getattr(models, f"resnet{depth}")(10, width=width, stride_on=stride_on).double(), TorchResNet()
    theirs.double()
    assert [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()] == [
        (k, v.shape) for k, v in ours.state_dict().items()
    ]
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, labels = RNG.normal(size=(2, 3, 64, 64)), RNG.integers(0, 10, 2)
    loss = ours.loss(ours(mc.tensor(x)), mc.tensor(labels))
    want = t.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(labels))
    loss.backward(), want.backward()
    assert loss.item() == pytest.approx(want.item(), rel=1e-9)
    first = theirs.conv1.weight.grad.numpy()
    np.testing.assert_allclose(ours.conv1.weight.grad.numpy(), first, rtol=1e-6, atol=1e-9 * np.abs(first).max())
    ours.eval(), theirs.eval()
    scores = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(mc.tensor(x)).detach().numpy(), scores, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResNet(BasicBlock, (2, 2, 2)), r"ResNet: layers must be 4 numbers of blocks, got \[2, 2, 2\]"),
        (lambda: models.resnet18(stride_on="both"), "ResNet: stride_on must be '3x3' or '1x1', got 'both'"),
        (lambda: models.resnet18(width=1)(images(1, channels=1)), r"ResNet: input must have shape \(N, 3, H, W\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
