import numpy as np
import pytest

import minicnn as mc
from minicnn import nn

SLIDE = np.array([[6, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]], np.float64)[None, None]


def test_the_lectures_example():  # B03
    x = mc.tensor(SLIDE)
    assert nn.MaxPool2d(2)(x).tolist() == [[[[6, 6], [4, 4]]]]
    assert nn.AvgPool2d(2)(x).tolist() == [[[[5.25, 5.25], [3, 3]]]]
    assert nn.SumPool2d(2)(x).tolist() == [[[[21, 21], [12, 12]]]]
    np.testing.assert_allclose(nn.LPPool2d(1.0, 2)(x).numpy(), nn.SumPool2d(2)(x).numpy())


def test_overlap_and_ceil_mode():
    pool = nn.MaxPool2d(3, 2)
    sizes, x = [], mc.tensor(np.zeros((1, 1, 55, 55)))
    for _ in range(3):
        x = pool(x)
        sizes.append(x.shape[-1])
    assert sizes == [27, 13, 6]
    assert nn.MaxPool2d(3, 2, ceil_mode=True)(mc.tensor(np.zeros((1, 1, 112, 112)))).shape[-1] == 56


def test_unpooling_puts_the_maxima_back():
    x = mc.tensor(np.random.default_rng(0).permutation(36.0 + np.arange(36.0)).reshape(1, 1, 6, 6))
    y, index = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, index).numpy()
    kept = back != 0
    assert kept.sum() == 9 and (back[kept] == x.numpy()[kept]).all()


def test_adaptive_and_global_pooling():
    x = mc.tensor(np.random.default_rng(0).normal(size=(2, 3, 7, 5)))
    assert nn.AdaptiveAvgPool2d((3, 2))(x).shape == (2, 3, 3, 2)
    assert nn.AdaptiveMaxPool2d(2)(x).shape == (2, 3, 2, 2)
    np.testing.assert_allclose(nn.GlobalAvgPool2d()(x).numpy(), x.numpy().mean((2, 3)))
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d(1)(x).numpy()[..., 0, 0], x.numpy().mean((2, 3)))


def test_pooling_over_channels_is_max_pooling_for_one_channel_and_maxout_for_one_pixel():  # B17
    x = mc.tensor(np.random.default_rng(0).normal(size=(2, 6, 4, 4)))
    np.testing.assert_array_equal(nn.ChannelMaxPool(1, 2)(x).numpy(), nn.MaxPool2d(2)(x).numpy())
    np.testing.assert_array_equal(nn.ChannelMaxPool(3)(x).numpy(), x.numpy().reshape(2, 2, 3, 4, 4).max(2))


def test_global_pooling_gives_every_pixel_the_same_gradient():  # B11
    x = mc.tensor(np.ones((1, 2, 4, 5)), requires_grad=True)
    nn.GlobalAvgPool2d()(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / 20)


def test_subsampling_with_a_quarter_and_zero_is_average_pooling():  # B05
    layer = nn.TrainableSubsampling(3, 2, dtype=np.float64)
    x = mc.tensor(np.random.default_rng(0).normal(size=(2, 3, 6, 4)))
    np.testing.assert_allclose(layer(x).detach().numpy(), nn.AvgPool2d(2)(x).numpy(), atol=1e-15)
    assert nn.count_parameters(layer) == 6


def test_subsampling_weighs_shifts_and_squashes_each_map():
    layer = nn.TrainableSubsampling(2, 2, activation=nn.ScaledTanh(), dtype=np.float64)
    with mc.no_grad():
        layer.weight.copy_(np.array([0.5, -1.0]))
        layer.bias.copy_(np.array([0.1, 0.2]))
    x = mc.tensor(np.random.default_rng(0).normal(size=(1, 2, 4, 4)), requires_grad=True)
    sums = x.detach().numpy().reshape(1, 2, 2, 2, 2, 2).sum((3, 5))
    want = 1.7159 * np.tanh(2 / 3 * (sums * np.array([0.5, -1.0])[:, None, None] + np.array([0.1, 0.2])[:, None, None]))
    np.testing.assert_allclose(layer(x).detach().numpy(), want)
    layer(x).sum().backward()
    assert layer.weight.grad.shape == (2,) and layer.bias.grad.shape == (2,)


def test_texts_and_errors():
    assert repr(nn.MaxPool2d(3, 2)) == "MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)"
    assert repr(nn.AvgPool2d(2)) == "AvgPool2d(kernel_size=2, stride=2, padding=0)"
    with pytest.raises(ValueError, match="MaxPool2d: kernel_size must be an int or a pair of ints >= 1, got 0"):
        nn.MaxPool2d(0)
