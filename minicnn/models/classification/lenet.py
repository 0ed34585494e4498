"""LeNet-5: as published in 1998, as the lecture's table has it, and with global average pooling.

All take grey images, LeNet-5 proper 32 × 32 of them, with paper at -0.1 and ink at 1.175 in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minicnn import nn, ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.models.classification.bitmaps import digit_codes
from minicnn.nn import init

__all__ = ["LeNet5", "LeNet5Softmax", "LeNetGAP", "c3_table"]

_C3_ROWS = (  # one row for each map of S2, one column for each map of C3 (table I of the paper)
    "1000111001111011",
    "1100011100111101",
    "1110001110010111",
    "0111001111001011",
    "0011100111101101",
    "0001110011110111",
)


def c3_table() -> NDArray[np.int64]:
    """Which maps of S2 each map of C3 sees.

    Returns
    -------
    int array (16, 6)
        0 and 1; 60 ones.

    Examples
    --------
    >>> from minicnn.models.classification.lenet import c3_table
    >>> [int(i) for i in c3_table()[0].nonzero()[0]], int(c3_table().sum())
    ([0, 1, 2], 60)
    """
    return np.array([[int(c) for c in row] for row in _C3_ROWS]).T


class LeNet5(nn.Module):
    """LeNet-5 as published: connection table, trainable subsampling, scaled tanh, RBF output units.

    ======  ============================  =========  ==========  ===========
    layer   what                          output     parameters  connections
    ======  ============================  =========  ==========  ===========
    c1      convolution 5×5               6×28×28           156      122 304
    s2      subsampling 2×2               6×14×14            12        5 880
    c3      convolution 5×5 by a table    16×10×10        1 516      151 600
    s4      subsampling 2×2               16×5×5             32        2 000
    c5      convolution 5×5               120×1×1        48 120       48 120
    f6      fully connected               84             10 164       10 164
    output  distance to 10 fixed codes    10                  0          840
    ======  ============================  =========  ==========  ===========

    60 000 parameters; 340 908 connections with those of the fixed codes, 340 068 without. Each layer up to f6 ends
    in ``1.7159 tanh(2x/3)``. All weights and biases start from U[-2.4/fan_in, 2.4/fan_in].

    Parameters
    ----------
    j : float
        The constant of the loss; the paper does not give it.

    Notes
    -----
    The ten codes are this project's own bitmaps, see `minicnn.models.classification.bitmaps`.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, Proc. IEEE 1998,
    section II.B (architecture), eq. 9 (loss), appendix A (squashing).

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.LeNet5()
    >>> net(mc.tensor([[[[0.0] * 32] * 32]])).shape
    (1, 10)
    >>> mc.nn.count_parameters(net)
    60000
    """

    def __init__(self, j: float = 0.1) -> None:
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = nn.TrainableSubsampling(6, 2, activation=nn.ScaledTanh())
        self.c3 = nn.MaskedConv2d(6, 16, 5, table=c3_table())
        self.s4 = nn.TrainableSubsampling(16, 2, activation=nn.ScaledTanh())
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.RBF(digit_codes())
        self.criterion = nn.DiscriminativeRBFLoss(j)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the paper's starting values: U[-2.4/fan_in, 2.4/fan_in] for weights and biases."""
        fans: list[tuple[nn.Module, int | tuple[int, ...]]] = [
            (self.c1, 25),
            (self.s2, 4),
            (self.c3, self.c3.fan_in),
            (self.s4, 4),
            (self.c5, 400),
            (self.f6, 120),
        ]
        for layer, fan_in in fans:
            for parameter in layer.parameters():
                init.lecun_uniform_(parameter, fan_in)
        self.c3.cut_()

    def features(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N, 84): the outputs of F6, which are drawings of the digit once trained."""
        _check("LeNet5", input, 32)
        x = self.s2(ops.scaled_tanh(self.c1(input)))
        x = self.s4(ops.scaled_tanh(self.c3(x)))
        x = ops.scaled_tanh(self.c5(x))
        features: Tensor = ops.scaled_tanh(self.f6(ops.flatten(x, 1)))
        return features

    def forward(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N, 10) squared distances to the codes; the smallest names the digit."""
        distances: Tensor = self.output(self.features(input))
        return distances

    def loss(self, distances: Tensor, labels: Tensor) -> Tensor:
        """The paper's discriminative loss (eq. 9), averaged over the batch."""
        value: Tensor = self.criterion(distances, labels)
        return value

    def predict(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N,) digits."""
        return ops.argmin(self(input), 1)


class LeNet5Softmax(nn.Module):
    """The LeNet-5 of the lecture's table: the same body, with ten fully connected outputs for a softmax.

    Parameters
    ----------
    full_c3 : bool
        Every map of C3 sees all maps of S2, instead of by the connection table.
    pooling : {"average", "trainable"}
        Plain 2×2 means, or the paper's subsampling with a weight, a bias and a squashing function.
    activation : callable that makes a Module
        Squashing function.
    num_classes : int
        Outputs.

    Notes
    -----
    Parameters, biases included: 60 850 (table, trainable; 340 918 connections), 61 750 (full, trainable),
    61 706 (full, average: the defaults, the common "modern LeNet").

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.nn.count_parameters(mc.models.LeNet5Softmax())
    61706
    >>> mc.nn.count_parameters(mc.models.LeNet5Softmax(full_c3=False, pooling="trainable"))
    60850
    """

    def __init__(
        self,
        full_c3: bool = True,
        pooling: Literal["average", "trainable"] = "average",
        activation: Callable[[], nn.Module] = nn.Tanh,
        num_classes: int = 10,
    ) -> None:
        if pooling not in ("average", "trainable"):
            raise checks.value_error("LeNet5Softmax", f"pooling must be 'average' or 'trainable', got {pooling!r}")
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = _subsampling(pooling, 6, activation)
        self.c3 = nn.Conv2d(6, 16, 5) if full_c3 else nn.MaskedConv2d(6, 16, 5, table=c3_table())
        self.s4 = _subsampling(pooling, 16, activation)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)
        self.activation = activation()

    def features(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N, 84): the outputs of F6."""
        _check("LeNet5Softmax", input, 32)
        f = self.activation
        x = self.s4(f(self.c3(self.s2(f(self.c1(input))))))
        features: Tensor = f(self.f6(ops.flatten(f(self.c5(x)), 1)))
        return features

    def forward(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N, num_classes) logits, for `ops.cross_entropy`."""
        logits: Tensor = self.output(self.features(input))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy, averaged over the batch."""
        return ops.cross_entropy(logits, labels)

    def predict(self, input: Tensor) -> Tensor:
        """(N, 1, 32, 32) -> (N,) classes."""
        return ops.argmax(self(input), 1)


class LeNetGAP(nn.Module):
    """LeNet with global average pooling of S4, read in both possible ways.

    Parameters
    ----------
    mode : {"replace", "concatenate"}
        "replace": S4 → mean of each map → 16 numbers → 10 outputs; no dense layers, any image size.
        "concatenate": the 16 means stand beside the 84 outputs of F6; 32 × 32 only.
    activation : callable that makes a Module
        Squashing function.
    num_classes : int
        Outputs.

    Notes
    -----
    Parameters: 2 742 and 61 866.

    Examples
    --------
    >>> import minicnn as mc
    >>> [mc.nn.count_parameters(mc.models.LeNetGAP(mode)) for mode in ("replace", "concatenate")]
    [2742, 61866]
    """

    def __init__(
        self,
        mode: Literal["replace", "concatenate"] = "replace",
        activation: Callable[[], nn.Module] = nn.Tanh,
        num_classes: int = 10,
    ) -> None:
        if mode not in ("replace", "concatenate"):
            raise checks.value_error("LeNetGAP", f"mode must be 'replace' or 'concatenate', got {mode!r}")
        self.mode = mode
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.AvgPool2d(2)
        self.gap = nn.GlobalAvgPool2d()
        self.c5 = nn.Conv2d(16, 120, 5) if mode == "concatenate" else None
        self.f6 = nn.Linear(120, 84) if mode == "concatenate" else None
        self.output = nn.Linear(16 if mode == "replace" else 100, num_classes)
        self.activation = activation()

    def forward(self, input: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, num_classes) logits."""
        _check("LeNetGAP", input, 32 if self.mode == "concatenate" else None)
        f = self.activation
        maps = self.s4(f(self.c3(self.s2(f(self.c1(input))))))
        features = self.gap(maps)
        if self.c5 is not None and self.f6 is not None:
            dense = f(self.f6(ops.flatten(f(self.c5(maps)), 1)))
            features = ops.concatenate([dense, features], 1)
        logits: Tensor = self.output(features)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy, averaged over the batch."""
        return ops.cross_entropy(logits, labels)

    def predict(self, input: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N,) classes."""
        return ops.argmax(self(input), 1)


def _subsampling(pooling: str, maps: int, activation: Callable[[], nn.Module]) -> nn.Module:
    if pooling == "average":
        return nn.AvgPool2d(2)
    return nn.TrainableSubsampling(maps, 2, activation=activation())


def _check(model: str, input: Tensor, size: int | None) -> None:
    if input.ndim != 4 or input.shape[1] != 1 or (size is not None and input.shape[2:] != (size, size)):
        wanted = "(N, 1, H, W)" if size is None else f"(N, 1, {size}, {size})"
        raise checks.value_error(model, f"input must have shape {wanted}", input=input)
