"""Transforms: closed forms, a batch equals its images, random ones repeat with their stream."""

import numpy as np
import pytest

from minicnn.core.rng import Stream
from minicnn.data import (
    CenterCrop,
    Compose,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    Rescale,
    ToFloat,
    Upsample,
)


def _image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


DETERMINISTIC = [
    ToFloat(),
    Normalize([1.0, 2.0, 3.0], [2.0, 1.0, 4.0]),
    Rescale(),
    Pad((1, 0, 2, 3), value=7),
    Upsample((2, 3)),
    Upsample(3, "bilinear"),
    CenterCrop((3, 2)),
    Compose(Pad(2), CenterCrop(5), ToFloat()),
]


@pytest.mark.parametrize("transform", DETERMINISTIC, ids=lambda t: type(t).__name__)
def test_a_batch_is_its_images_one_by_one_and_the_input_is_untouched(transform):
    batch = _image(4, 3, 6, 5)
    before = batch.copy()
    np.testing.assert_array_equal(transform(batch), np.stack([transform(x) for x in batch]))
    np.testing.assert_array_equal(batch, before)
    flipped = batch[..., ::-1]  # not contiguous
    np.testing.assert_array_equal(transform(flipped), transform(flipped.copy()))


def test_closed_forms():
    x = _image(3, 4, 4)
    np.testing.assert_allclose(ToFloat()(x), x / 255, rtol=1e-6)
    np.testing.assert_allclose(Normalize(10.0, 4.0)(x), (x.astype(float) - 10) / 4, rtol=1e-6)
    np.testing.assert_allclose(Rescale(0, 255)(np.array([0, 255])), [-0.1, 1.175], rtol=1e-6)
    assert Pad((1, 2), 9)(x).shape == (3, 6, 8) and Pad((1, 2), 9)(x)[0, 0, 0] == 9
    np.testing.assert_array_equal(Upsample((2, 3))(x), np.kron(x, np.ones((1, 2, 3), np.uint8)))
    np.testing.assert_array_equal(CenterCrop(2)(x), x[:, 1:3, 1:3])


@pytest.mark.torch
@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_bilinear_equals_torch(factor):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode="bilinear")
    np.testing.assert_allclose(Upsample(factor, "bilinear")(x), expected.numpy(), atol=1e-6)


def test_random_crop_is_a_window_of_the_padded_image_and_reaches_every_place():
    x = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    padded = Pad(1)(x)
    windows = {padded[:, t : t + 5, s : s + 5].tobytes() for t in range(4) for s in range(4)}
    crop = RandomCrop(5, padding=1)
    seen = {crop(x, Stream(0, "t", 2 * i)).tobytes() for i in range(300)}
    assert seen == windows


def test_random_transforms_draw_for_each_image_and_repeat_with_the_stream():
    batch = np.repeat(_image(1, 3, 8, 8), 64, axis=0)
    transform = Compose(RandomCrop(6), RandomHorizontalFlip())
    once, again = (transform(batch, Stream(5, "t")) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert len({x.tobytes() for x in once}) > 10


def test_flip_probability():
    x = np.arange(6).reshape(1, 2, 3)
    assert (RandomHorizontalFlip(1.0)(x, Stream(0, "t")) == x[..., ::-1]).all()
    assert (RandomHorizontalFlip(0.0)(x, Stream(0, "t")) == x).all()
    flips = RandomHorizontalFlip(0.3)(np.tile(x, (4000, 1, 1, 1)), Stream(0, "t"))[:, 0, 0, 0] == 2
    assert 0.27 < flips.mean() < 0.33


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pad(-1), "Pad: padding must be"),
        (lambda: Pad((1, 2, 3)), "Pad: padding must be"),
        (lambda: Normalize(0, [1, 0]), "Normalize: std must be positive"),
        (lambda: Normalize([0, 0], 1)(_image(3, 2, 2)), "mean has 2 values, the image 3 channels"),
        (lambda: CenterCrop(9)(_image(3, 2, 2)), r"size \(9, 9\) does not fit the image \(2, 2\)"),
        (lambda: RandomCrop(9, 2)(_image(3, 2, 2), Stream(0, "t")), r"does not fit padded image \(6, 6\)"),
        (lambda: Upsample(2, "cubic"), "mode must be"),
        (lambda: Upsample(0), "factor must be"),
        (lambda: Upsample(2)(np.zeros((2, 2))), r"expected \(\.\.\., C, H, W\), got 2-d"),
        (lambda: RandomHorizontalFlip(1.5), "p must be in"),
        (lambda: ToFloat(0), "high must be positive"),
        (lambda: Rescale(1, 1), "low and high must differ"),
        (lambda: Compose(RandomCrop(2))(_image(3, 2, 2)), "a random transform needs a stream"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
