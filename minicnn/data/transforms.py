"""Image transforms on arrays ``(..., C, H, W)``: one image or a whole batch, with the same code.

A transform is a callable ``x -> y``. A random one has ``random = True`` and is called ``(x, stream)``: all
it draws comes from that stream, for each image of the batch. ``batched = True`` says that leading axes pass
through, which lets datasets in memory transform a batch at once; a plain function is applied image by
image.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minicnn.core import checks
from minicnn.core.rng import Stream
from minicnn.core.types import Array, Pair

Apply: TypeAlias = Callable[..., Any]


def apply(transform: Apply | None, x: Any, stream: Stream | None = None) -> Any:
    """``x`` through a transform, random or not (``None`` leaves it alone)."""
    if transform is None:
        return x
    if not getattr(transform, "random", False):
        return transform(x)
    if stream is None:
        raise checks.value_error(
            type(transform).__name__,
            "a random transform needs a stream: use a DataLoader, or dataset.read(i, rng.Stream(seed, 'x'))",
        )
    return transform(x, stream)


def _image(op: str, x: Any) -> Array:
    array = np.asarray(x)
    if array.ndim < 3:
        raise checks.value_error(op, f"expected (..., C, H, W), got {array.ndim}-d", x=array)
    return array


class Compose:
    """Transforms one after the other.

    Parameters
    ----------
    *transforms : callable
    """

    def __init__(self, *transforms: Apply) -> None:
        self.transforms = transforms
        self.random = any(getattr(t, "random", False) for t in transforms)
        self.batched = all(getattr(t, "batched", False) for t in transforms)

    def __call__(self, x: Any, stream: Stream | None = None) -> Any:
        for transform in self.transforms:
            x = apply(transform, x, stream)
        return x


class ToFloat:
    """Integers to float32 in [0, 1]: ``y = x / high``.

    Parameters
    ----------
    high : float
        The value that becomes 1: 255 for bytes, 16 for the embedded digits.
    """

    random, batched = False, True

    def __init__(self, high: float = 255.0) -> None:
        if not high > 0:
            raise checks.value_error("ToFloat", f"high must be positive, got {high}")
        self.high = high

    def __call__(self, x: Any) -> Array:
        return np.asarray(x).astype(np.float32) / np.float32(self.high)


class Normalize:
    """Per channel: ``y = (x - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of C floats
        ``std`` must not hold zeros.
    """

    random, batched = False, True

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.asarray(mean, np.float32).reshape(-1, 1, 1)
        self.std = np.asarray(std, np.float32).reshape(-1, 1, 1)
        if not np.all(self.std > 0):
            raise checks.value_error("Normalize", f"std must be positive, got {std}")

    def __call__(self, x: Any) -> Array:
        x = _image("Normalize", x)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, x.shape[-3]):
                raise checks.value_error(
                    "Normalize", f"{name} has {len(values)} values, the image {x.shape[-3]} channels", x=x
                )
        return (x.astype(np.float32, copy=False) - self.mean) / self.std


class Rescale:
    """An affine map of two grey values: ``low -> background`` and ``high -> ink``.

    The defaults are LeNet-5's inputs (LeCun et al. 1998, section II.B): background -0.1 and ink 1.175 bring
    the mean of a digit image to about 0 and its variance to about 1.

    Parameters
    ----------
    low, high : float
        Input values of background and full ink; for the embedded digits 0 and 16.
    background, ink : float
        What they become.
    """

    random, batched = False, True

    def __init__(self, low: float = 0.0, high: float = 255.0, background: float = -0.1, ink: float = 1.175) -> None:
        if low == high:
            raise checks.value_error("Rescale", f"low and high must differ, got {low} and {high}")
        self.low, self.background = np.float32(low), np.float32(background)
        self.slope = np.float32((ink - background) / (high - low))

    def __call__(self, x: Any) -> Array:
        return (np.asarray(x).astype(np.float32) - self.low) * self.slope + self.background


class Pad:
    """A border of ``value`` around the image.

    Parameters
    ----------
    padding : int, or (vertical, horizontal), or (top, bottom, left, right)
        Non-negative numbers of pixels.
    value : float
        What the border holds, in the units of the image at that point of the pipeline.
    """

    random, batched = False, True

    def __init__(self, padding: int | tuple[int, ...], value: float = 0.0) -> None:
        sides = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(sides) not in (1, 2, 4) or any(s < 0 for s in sides):
            raise checks.value_error("Pad", f"padding must be 1, 2 or 4 non-negative ints, got {padding!r}")
        if len(sides) == 1:
            sides *= 4
        elif len(sides) == 2:
            sides = (sides[0], sides[0], sides[1], sides[1])
        self.sides, self.value = sides, value

    def __call__(self, x: Any) -> Array:
        x = _image("Pad", x)
        top, bottom, left, right = self.sides
        widths = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
        return np.pad(x, widths, constant_values=self.value)


class Upsample:
    """Enlarge by an integer factor.

    ``"nearest"`` repeats pixels and keeps the dtype; ``"bilinear"`` interpolates between pixel centres
    (half-pixel convention, ``align_corners=False``) and gives float32.

    Parameters
    ----------
    factor : int or (int, int), at least 1
    mode : "nearest" or "bilinear"
    """

    random, batched = False, True

    def __init__(self, factor: Pair, mode: str = "nearest") -> None:
        self.factor = checks.pair("Upsample", "factor", factor, least=1)
        if mode not in ("nearest", "bilinear"):
            raise checks.value_error("Upsample", f"mode must be 'nearest' or 'bilinear', got {mode!r}")
        self.mode = mode

    def __call__(self, x: Any) -> Array:
        x = _image("Upsample", x)
        for axis, factor in zip((-2, -1), self.factor, strict=True):
            x = np.repeat(x, factor, axis=axis) if self.mode == "nearest" else _stretch(x, factor, axis)
        return x


def _stretch(x: Array, factor: int, axis: int) -> Array:
    """Linear interpolation along one axis; the ends repeat the border pixel."""
    size = x.shape[axis]
    centre = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = np.floor(centre).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    weight = (centre - low).astype(np.float32).reshape(-1, *([1] * (-axis - 1)))
    x = x.astype(np.float32, copy=False)
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight


class CenterCrop:
    """The central ``size`` window (the top-left one of the two when the margin is odd).

    Parameters
    ----------
    size : int or (height, width)
    """

    random, batched = False, True

    def __init__(self, size: Pair) -> None:
        self.size = checks.pair("CenterCrop", "size", size, least=1)

    def __call__(self, x: Any) -> Array:
        x = _image("CenterCrop", x)
        (h, w), (height, width) = self.size, x.shape[-2:]
        if h > height or w > width:
            raise checks.value_error("CenterCrop", f"size {self.size} does not fit the image ({height}, {width})", x=x)
        top, left = (height - h) // 2, (width - w) // 2
        return x[..., top : top + h, left : left + w]


class RandomCrop:
    """A window of ``size`` at a place drawn for each image, after padding with ``value``.

    Parameters
    ----------
    size : int or (height, width)
    padding : int, (vertical, horizontal) or (top, bottom, left, right)
    value : float
    """

    random, batched = True, True

    def __init__(self, size: Pair, padding: int | tuple[int, ...] = 0, value: float = 0.0) -> None:
        self.size = checks.pair("RandomCrop", "size", size, least=1)
        self.pad = Pad(padding, value)

    def __call__(self, x: Any, stream: Stream) -> Array:
        x = self.pad(_image("RandomCrop", x))
        (h, w), (height, width) = self.size, x.shape[-2:]
        if h > height or w > width:
            raise checks.value_error(
                "RandomCrop", f"size {self.size} does not fit padded image ({height}, {width})", x=x
            )
        lead = x.shape[:-3]
        top = stream.integers(0, height - h + 1, lead).reshape(-1)
        left = stream.integers(0, width - w + 1, lead).reshape(-1)
        flat = x.reshape(-1, *x.shape[-3:])
        out = np.empty((len(flat), x.shape[-3], h, w), x.dtype)
        for i, (t, s) in enumerate(zip(top, left, strict=True)):
            out[i] = flat[i, :, t : t + h, s : s + w]
        return out.reshape(*lead, *out.shape[1:])


class RandomHorizontalFlip:
    """Mirror each image left to right with probability ``p``.

    Parameters
    ----------
    p : float in [0, 1]
    """

    random, batched = True, True

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise checks.value_error("RandomHorizontalFlip", f"p must be in [0, 1], got {p}")
        self.p = p

    def __call__(self, x: Any, stream: Stream) -> Array:
        x = _image("RandomHorizontalFlip", x)
        flip = stream.uniform(x.shape[:-3]) < self.p
        return np.where(flip[..., None, None, None], x[..., ::-1], x)
