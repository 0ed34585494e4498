import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.nn import fold_batch_norm, fold_batch_norms, init

RNG = np.random.default_rng(14)


def drawn(norm):
    """The norm, in evaluation mode and float64, with statistics and parameters that are not the starting ones."""
    norm.double().eval()
    for value in (norm.running_mean, norm.weight, norm.bias):
        if value is not None:
            value.detach().copy_(RNG.normal(size=value.shape))
    norm.running_var.copy_(RNG.uniform(0.1, 3.0, norm.running_var.shape))
    return norm


def trained(net):
    """The network in evaluation mode, its norms drawn anew."""
    net.double().eval()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            drawn(part)
    return net


def close(a, b):
    a, b = a.detach().numpy(), b.detach().numpy()
    return a.shape == b.shape and np.abs(a - b).max() <= 1e-12 * np.abs(b).max()


LAYERS = {
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d, (2, 4, 7, 8)),
    "no bias": (lambda: nn.Conv2d(4, 6, (1, 3), bias=False), nn.BatchNorm2d, (2, 4, 7, 8)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, dilation=2, groups=2), nn.BatchNorm2d, (2, 4, 7, 8)),
    "reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d, (2, 4, 7, 8)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), nn.BatchNorm2d, (2, 4, 5, 3)),
    "transposed groups": (lambda: nn.ConvTranspose2d(4, 6, (2, 3), 2, groups=2), nn.BatchNorm2d, (2, 4, 5, 3)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d, (2, 4, 9)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2), nn.BatchNorm1d, (2, 4, 9)),
    "linear": (lambda: nn.Linear(4, 6), nn.BatchNorm1d, (5, 4)),
    "linear, no bias": (lambda: nn.Linear(4, 6, bias=False), nn.BatchNorm1d, (5, 4)),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_folded_layer_computes_what_the_pair_does(name, affine):
    make, kind, shape = LAYERS[name]
    layer, norm = make().double().eval(), drawn(kind(6, eps=0.01, affine=affine))
    before = {k: v.numpy().copy() for k, v in [*layer.state_dict().items(), *norm.state_dict().items()]}
    x = mc.tensor(RNG.normal(size=shape))
    folded = fold_batch_norm(layer, norm)
    assert type(folded) is type(layer) and not folded.training and folded.bias.shape == (6,)
    assert close(folded(x), norm(layer(x)))
    after = {k: v.numpy() for k, v in [*layer.state_dict().items(), *norm.state_dict().items()]}
    assert all((before[k] == after[k]).all() for k in before)


def test_the_folded_layer_shares_nothing_with_the_old_one():
    layer, norm = nn.Conv2d(2, 2, 1).eval(), nn.BatchNorm2d(2).eval()
    folded = fold_batch_norm(layer, norm)
    init.zeros_(folded.weight)
    assert layer.weight.detach().numpy().any()
    assert folded.weight.requires_grad and folded.weight.dtype == np.float32
    layer.weight.requires_grad = False
    assert not fold_batch_norm(layer, norm).weight.requires_grad


def test_a_resnet_is_folded_whole():
    for net in (mc.models.resnet18(7, width=4), mc.models.resnet50(7, width=2)):
        trained(net)
        x = mc.tensor(RNG.normal(size=(2, 3, 40, 40)))
        folded = fold_batch_norms(net)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
        assert not any(part.training for part in folded.modules())
        assert close(folded(x), net(x))
        assert any(isinstance(part, nn.BatchNorm2d) for part in net.modules())


def test_vgg_unet_and_a_dense_net_are_folded():
    vgg = mc.models.VGG("A", 5, width=2, batch_norm=True, input_size=32)
    unet = mc.models.UNet(1, 2, base=2, depth=2, padding="same", batch_norm=True)
    dense = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.BatchNorm1d(3))
    for net, shape, left in ((vgg, (2, 3, 32, 32), 0), (unet, (1, 1, 8, 12), 0), (dense, (5, 4), 1)):
        trained(net)
        x = mc.tensor(RNG.normal(size=shape))
        folded = fold_batch_norms(net)
        assert sum(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in folded.modules()) == left
        assert close(folded(x), net(x))


def test_what_is_used_twice_or_not_declared_stays():
    conv = nn.Conv2d(2, 2, 1)
    twice = trained(nn.Sequential(conv, nn.BatchNorm2d(2), conv, nn.BatchNorm2d(2)))

    class NormFirst(nn.Module):
        def __init__(self):
            self.bn1, self.conv1 = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)

        def forward(self, input):
            return self.conv1(self.bn1(input))

    class Backwards(nn.Sequential):
        def forward(self, input):
            for layer in reversed(list(self)):
                input = layer(input)
            return input

    x = mc.tensor(RNG.normal(size=(2, 2, 3, 3)))
    for net in (twice, trained(NormFirst()), trained(Backwards(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)))):
        folded = fold_batch_norms(net)
        assert any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
        assert (folded(x).detach().numpy() == net(x).detach().numpy()).all()


def test_a_layer_that_does_more_than_its_base_is_not_folded():
    class Doubled(nn.Conv2d):
        def forward(self, input):
            return 2.0 * super().forward(input) ** 2

    x = mc.tensor(RNG.normal(size=(2, 2, 3, 3)))
    for layer in (nn.ConvReLU2d(2, 2, 1), Doubled(2, 2, 1)):
        net = trained(nn.Sequential(layer, nn.BatchNorm2d(2)))
        folded = fold_batch_norms(net)
        assert isinstance(folded[1], nn.BatchNorm2d)
        assert close(folded(x), net(x))
        with pytest.raises(TypeError, match="layer must be a convolution or Linear, got"):
            fold_batch_norm(*net)


@pytest.mark.parametrize("where", [0, 1])
def test_hooks_keep_a_pair_as_it_is(where):
    net = trained(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)))
    net[where].register_forward_hook(lambda module, args, output: output * output)
    x = mc.tensor(RNG.normal(size=(2, 2, 3, 3)))
    folded = fold_batch_norms(net)
    assert isinstance(folded[1], nn.BatchNorm2d)
    assert close(folded(x), net(x))


def test_untracked_statistics_stay():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)).eval()
    assert isinstance(fold_batch_norms(net)[1], nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c, n: fold_batch_norm(c.train(), n), ValueError, "fold_batch_norm: in training mode a batch is norm"),
        (lambda c, n: fold_batch_norm(c, n.train()), ValueError, "fold_batch_norm: in training mode a batch is norm"),
        (lambda c, n: fold_batch_norm(c, nn.BatchNorm2d(4).eval()), ValueError, "norm has 4 channels, layer gives 3"),
        (
            lambda c, n: fold_batch_norm(c, nn.BatchNorm2d(3, track_running_stats=False).eval()),
            ValueError,
            "fold_batch_norm: norm has no running statistics",
        ),
        (lambda c, n: fold_batch_norm(n, n), TypeError, "layer must be a convolution or Linear, got BatchNorm2d"),
        (lambda c, n: fold_batch_norm(c, c), TypeError, "norm must be BatchNorm1d or BatchNorm2d, got Conv2d"),
        (
            lambda c, n: fold_batch_norms(nn.Sequential(c, n)),
            ValueError,
            "fold_batch_norms: the network must be in evaluation mode throughout",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.Conv2d(2, 3, 1).eval(), nn.BatchNorm2d(3).eval())
