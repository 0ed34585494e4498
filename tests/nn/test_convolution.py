import numpy as np
import pytest

import minicnn as mc
from minicnn import nn

RNG = np.random.default_rng(0)


def image(*shape):
    return mc.tensor(RNG.normal(size=shape).astype(np.float32))


def test_the_lectures_example():  # B01
    layer = nn.Conv2d(3, 6, 5)
    assert layer(image(2, 3, 32, 32)).shape == (2, 6, 28, 28)
    assert sum(p.numel() for p in layer.parameters()) == 456


def test_grouped_layers_have_fewer_weights():  # B07
    assert nn.Conv2d(8, 12, 3, groups=4).weight.shape == (12, 2, 3, 3)
    assert nn.ConvTranspose2d(8, 12, 3, groups=4).weight.shape == (8, 3, 3, 3)


@pytest.mark.parametrize("kernel", [3, 4, (2, 5)])
def test_same_padding_keeps_the_size(kernel):
    assert nn.Conv2d(1, 2, kernel, padding="same", dilation=2)(image(1, 1, 9, 8)).shape == (1, 2, 9, 8)
    assert nn.Conv2d(1, 2, 3, padding="valid")(image(1, 1, 9, 8)).shape == (1, 2, 7, 6)


def test_conv1d_and_its_transpose():
    assert nn.Conv1d(2, 3, 4, stride=2, padding=1)(image(1, 2, 10)).shape == (1, 3, 5)
    assert nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1)(image(1, 3, 5)).shape == (1, 2, 10)


def test_the_output_size_of_a_transposed_layer_can_be_chosen():
    down, up = nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1)
    for size in (7, 8):
        x = image(1, 1, size, size)
        assert up(down(x), output_size=x.shape).shape == x.shape
    with pytest.raises(
        ValueError, match=r"ConvTranspose2d: output_size \(9, 9\) is not within a stride above \(7, 7\)"
    ):
        up(down(x), output_size=(9, 9))


def test_a_layer_may_name_its_algorithm():
    for layer in (nn.Conv2d(1, 1, 3, bias=False, algorithm="naive"), nn.Conv2d(1, 2, 3, bias=False, algorithm="naive")):
        assert layer(image(1, 1, 4, 4)).node.algorithms.forward == "naive"
    with pytest.raises(ValueError, match="magic"):
        nn.Conv2d(1, 1, 3, algorithm="magic")(image(1, 1, 4, 4))


def test_unfold_and_fold_are_adjoint():
    x = image(2, 3, 6, 5)
    unfold, fold = nn.Unfold(3, padding=1, stride=2), nn.Fold((6, 5), 3, padding=1, stride=2)
    columns = unfold(x)
    y = image(*columns.shape)
    assert columns.shape == (2, 27, 9)
    np.testing.assert_allclose((columns * y).sum().item(), (x * fold(y)).sum().item(), rtol=1e-4)
    assert repr(fold).startswith("Fold(output_size=(6, 5), kernel_size=3")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups 2 must divide in_channels 3 and out_channels 4"),
        (lambda: nn.Conv2d(3, 4, 0), "Conv2d: kernel_size must be an int or 2 ints >= 1, got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "Conv2d: kernel_size must be"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "Conv2d: padding must be"),
        (lambda: nn.Conv2d(3, 4, 3, padding="half"), "Conv2d: padding must be ints, 'valid' or 'same', got 'half'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "Conv2d: padding 'same' needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="wrap"), "Conv2d: padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "ConvTranspose2d: padding_mode must be 'zeros'"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 0), "same"])
def test_padding_modes_equal_pytorchs(mode, padding):
    torch = pytest.importorskip("torch")
    ours = nn.Conv2d(2, 3, (3, 4), padding=padding, padding_mode=mode, dtype=np.float64)
    theirs = torch.nn.Conv2d(2, 3, (3, 4), padding=padding, padding_mode=mode, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()})
    x = RNG.normal(size=(2, 2, 6, 7))
    np.testing.assert_allclose(
        ours(mc.tensor(x)).detach().numpy(), theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-12
    )
