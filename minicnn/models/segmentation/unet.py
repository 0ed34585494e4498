"""U-Net: a contracting and an expanding path, joined at every resolution."""

from __future__ import annotations

from typing import Literal

from minicnn import nn, ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn import init

__all__ = ["UNet"]


class UNet(nn.Module):
    """A class for each pixel: pairs of 3 × 3 convolutions at falling and then rising resolution.

    Down: two convolutions with ReLU, then 2 × 2 max pooling, while the number of maps doubles. Up: a transposed
    convolution 2 × 2 doubles the size and halves the maps, those of the same resolution on the way down are put
    beside them (cropped, where they are larger), two convolutions follow. A 1 × 1 convolution gives the scores.

    Parameters
    ----------
    in_channels : int
        Maps of the image; 1 in the paper.
    num_classes : int
        Scores of each pixel; 2 in the paper.
    base : int
        Maps of the first pair, doubled at each level; 64 in the paper.
    depth : int
        Poolings; 4 in the paper.
    padding : {"valid", "same"}
        "valid", the paper's: no padding, so each pair takes 4 pixels, and an image of 572 × 572 gives a map of
        388 × 388. "same": the output has the input's size, a multiple of ``2 ** depth``.
    batch_norm : bool
        Whether batch normalisation stands between each 3 × 3 convolution and its ReLU (not in the paper); these
        convolutions then have no biases.
    dropout : float
        Probability of zero at the end of the contracting path.

    Attributes
    ----------
    down, up : ModuleList of Sequential
        The pairs of both paths; the last of ``down`` is the bottom.
    rise : ModuleList of ConvTranspose2d
    head : Conv2d

    Notes
    -----
    31 030 658 parameters in 23 convolution layers with the defaults; 7 760 130 with ``base=32, in_channels=3``.
    Weights start from N(0, 2 / fan_in), biases from 0.

    References
    ----------
    Ronneberger, Fischer, Brox, *U-Net: convolutional networks for biomedical image segmentation*, MICCAI 2015.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.UNet(base=4, depth=2, padding="same")
    >>> net(mc.zeros((1, 1, 16, 24))).shape
    (1, 2, 16, 24)
    >>> mc.models.UNet(base=2).output_size(572)
    388
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        base: int = 64,
        depth: int = 4,
        padding: Literal["valid", "same"] = "valid",
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        if padding not in ("valid", "same"):
            raise checks.value_error("UNet", f"padding must be 'valid' or 'same', got {padding!r}")
        if depth < 1:
            raise checks.value_error("UNet", f"depth must be at least 1, got {depth}")
        self.in_channels, self.depth, self.padding = in_channels, depth, padding
        widths = [base << level for level in range(depth + 1)]
        border = int(padding == "same")
        with init.skip():
            inputs = [in_channels, *widths[:-1]]
            self.down = nn.ModuleList(_pair(i, o, border, batch_norm) for i, o in zip(inputs, widths, strict=True))
            self.rise = nn.ModuleList(nn.ConvTranspose2d(2 * o, o, 2, stride=2) for o in widths[-2::-1])
            self.up = nn.ModuleList(_pair(2 * o, o, border, batch_norm) for o in widths[-2::-1])
            self.head = nn.Conv2d(base, num_classes, 1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                # An output of the 2 x 2 up-convolution with stride 2 has one position of each input map as its input.
                fan_in = layer.in_channels * (9 if layer.kernel_size == (3, 3) else 1)
                init.normal_(layer.weight, 0.0, (2.0 / fan_in) ** 0.5)
                if layer.bias is not None:
                    init.zeros_(layer.bias)

    def output_size(self, size: int) -> int:
        """Height (or width) of the output for one of the input.

        Raises
        ------
        ValueError
            If a map of that size could not be halved somewhere on its way.
        """
        lost = 4 if self.padding == "valid" else 0
        n = size
        for _ in range(self.depth):
            n -= lost
            if n < 2 or n % 2:
                raise checks.value_error("UNet", f"input size {size} gives a map of size {n}, which cannot be halved")
            n //= 2
        n -= lost
        for _ in range(self.depth):
            n = 2 * n - lost
        if n < 1:
            raise checks.value_error("UNet", f"input size {size} leaves nothing of the map")
        return n

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes, H', W') scores, for `ops.cross_entropy`."""
        if input.ndim != 4 or input.shape[1] != self.in_channels:
            raise checks.value_error("UNet", f"input must have shape (N, {self.in_channels}, H, W)", input=input)
        for size in input.shape[2:]:
            self.output_size(size)
        x, skips = input, []
        for level, pair in enumerate(self.down):
            x = pair(x)
            if level == self.depth:
                break
            if level == self.depth - 1:
                x = self.dropout(x)
            skips.append(x)
            x = self.pool(x)
        x = self.dropout(x)
        for rise, pair in zip(self.rise, self.up, strict=True):
            x = rise(x)
            x = pair(ops.cat([_crop(skips.pop(), x.shape[2], x.shape[3]), x], 1))
        scores: Tensor = self.head(x)
        return scores

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy, averaged over all pixels; labels (N, H', W')."""
        return ops.cross_entropy(scores, labels)

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, H', W') classes."""
        return ops.argmax(self(input), 1)


def _pair(inputs: int, outputs: int, padding: int, batch_norm: bool) -> nn.Sequential:
    """Two convolutions 3 × 3, each with ReLU."""
    layers = nn.Sequential()
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=padding, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return layers


def _crop(x: Tensor, height: int, width: int) -> Tensor:
    """The middle of each map."""
    if x.shape[2:] == (height, width):
        return x
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
