"""Folding batch normalisation into the layer before it, for inference.

In evaluation mode batch normalisation is one multiplication and one addition for each map,
``y = s (x - μ) + β`` with ``s = γ / √(σ² + ε)``; and what comes before it is linear in its weight. So the layer

    W' = s W,    b' = s (b - μ) + β

(``s`` taken along the output maps) does both at once.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.tensor import Tensor, tensor
from minicnn.nn.containers import Sequential
from minicnn.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from minicnn.nn.hooks import HookTable
from minicnn.nn.linear import Identity, Linear
from minicnn.nn.module import Module
from minicnn.nn.normalization import BatchNorm1d, BatchNorm2d
from minicnn.nn.parameter import Parameter

__all__ = ["fold_batch_norm", "fold_batch_norms"]

_Conv = Conv1d | Conv2d | ConvTranspose1d | ConvTranspose2d
_Layer = _Conv | Linear
_FOLDED = (Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear)
L = TypeVar("L", Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear)
M = TypeVar("M", bound=Module)


def fold_batch_norm(layer: L, norm: BatchNorm1d | BatchNorm2d) -> L:
    """One layer that computes ``norm(layer(x))`` as it is in evaluation mode.

    Parameters
    ----------
    layer : Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d or Linear
        Of any stride, groups, ...; left as it is. Not a subclass whose forward is its own, as `ConvReLU2d`.
    norm : BatchNorm1d or BatchNorm2d
        With running statistics, of as many maps as the layer gives.

    Returns
    -------
    layer of the same type
        With a bias, and parameters of its own; hooks are not carried over.

    Raises
    ------
    ValueError
        If either is in training mode, where the normalisation depends on the batch; if the normalisation has no
        running statistics; if the numbers of maps differ.

    Notes
    -----
    Weights are computed in float64 and rounded once. Outputs differ from the pair's by rounding: below 1e-12 of the
    largest in float64.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer, norm = mc.nn.Linear(2, 1, bias=False).eval(), mc.nn.BatchNorm1d(1, eps=0.0).eval()
    >>> _ = layer.weight.detach().copy_([[1.0, 2.0]]), norm.running_mean.fill_(3.0), norm.running_var.fill_(4.0)
    >>> folded = mc.nn.fold_batch_norm(layer, norm)
    >>> folded.weight.tolist(), folded.bias.tolist()
    ([[0.5, 1.0]], [-1.5])
    """
    op = "fold_batch_norm"
    if not isinstance(layer, _Layer) or all(type(layer).forward is not kind.forward for kind in _FOLDED):
        raise checks.type_error(op, f"layer must be a convolution or Linear, got {type(layer).__name__}")
    if not isinstance(norm, BatchNorm1d | BatchNorm2d):
        raise checks.type_error(op, f"norm must be BatchNorm1d or BatchNorm2d, got {type(norm).__name__}")
    if layer.training or norm.training:
        raise checks.value_error(op, "in training mode a batch is normalised by its own statistics; call .eval() first")
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise checks.value_error(op, "norm has no running statistics (track_running_stats=False)")
    maps = layer.out_features if isinstance(layer, Linear) else layer.out_channels
    if norm.num_features != maps:
        raise checks.value_error(op, f"norm has {norm.num_features} channels, layer gives {maps}")
    scale = 1.0 / np.sqrt(_wide(var) + norm.eps)
    if norm.weight is not None:
        scale = scale * _wide(norm.weight)
    shift = -_wide(mean) * scale
    if layer.bias is not None:
        shift = shift + _wide(layer.bias) * scale
    if norm.bias is not None:
        shift = shift + _wide(norm.bias)
    weight = _wide(layer.weight)
    folded = copy.copy(layer)
    folded._buffer_names, folded._hooks = dict(layer._buffer_names), HookTable()  # what the copy must not share
    folded.weight = _like(layer.weight, weight * _along_outputs(layer, scale))
    folded.bias = _like(layer.weight, shift)
    return folded


def fold_batch_norms(module: M) -> M:
    """A copy of a network for inference, in which batch normalisation is folded into the layers before it.

    A normalisation is folded where it follows its layer in a `Sequential`, and in modules whose class says which
    of its children follow each other: ``folds = {"conv1": "bn1"}``, as the residual blocks do. Its place is taken by
    an `Identity`. Others stay, and so do those of layers that are used in several places, of subclasses of the
    layers (which may do more than their base), and of layers or norms with hooks.

    Parameters
    ----------
    module : Module
        In evaluation mode throughout; left as it is.

    Returns
    -------
    Module of the same type
        With parameters of its own, in evaluation mode.

    Raises
    ------
    ValueError
        If any part is in training mode.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.resnet18(10, width=8).eval()
    >>> folded = mc.nn.fold_batch_norms(net)
    >>> folded.layer1[0].bn1
    Identity()
    >>> mc.nn.count_parameters(net) - mc.nn.count_parameters(folded) == sum(
    ...     m.num_features for m in net.modules() if isinstance(m, mc.nn.BatchNorm2d))
    True
    """
    if any(part.training for part in module.modules()):
        raise checks.value_error(
            "fold_batch_norms", "the network must be in evaluation mode throughout; call .eval() first"
        )
    folded = copy.deepcopy(module)
    uses = Counter(id(part) for _, part in folded._walk("", None))
    for part in list(folded.modules()):
        children = dict(part._own_children())
        for before, after in _pairs(part, list(children)):
            layer: Any = children.get(before)
            norm: Any = children.get(after)
            if _fit(layer, norm) and uses[id(layer)] == uses[id(norm)] == 1:
                setattr(part, before, fold_batch_norm(layer, norm))
                setattr(part, after, Identity().eval())
    return folded


def _pairs(part: Module, names: list[str]) -> Iterable[tuple[str, str]]:
    """Names of children of which the second takes what the first gives."""
    if type(part).forward is Sequential.forward:
        return itertools.pairwise(names)
    folds: dict[str, str] = getattr(type(part), "folds", {})
    return folds.items()


def _fit(layer: Any, norm: Any) -> bool:
    """Whether the two can be folded: a subclass or a hook may do something between them or after."""
    if type(layer) not in _FOLDED or type(norm) not in (BatchNorm1d, BatchNorm2d) or norm.running_mean is None:
        return False
    if layer._hooks or norm._hooks:
        return False
    maps = layer.out_features if isinstance(layer, Linear) else layer.out_channels
    return bool(maps == norm.num_features)


def _along_outputs(layer: _Layer, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """One factor for each output map, shaped to multiply the weight."""
    if isinstance(layer, ConvTranspose1d | ConvTranspose2d):  # (in, out / groups, ...), groups along the first axis
        groups, inputs = layer.groups, layer.in_channels
        rows = np.repeat(scale.reshape(groups, -1), inputs // groups, axis=0)
        return rows.reshape(*rows.shape, *(1,) * layer.axes)
    return scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))


def _wide(value: Tensor) -> NDArray[np.float64]:
    return np.asarray(value.detach().numpy(), dtype=np.float64)


def _like(parameter: Parameter, values: NDArray[np.float64]) -> Parameter:
    """Values in the dtype and place of a parameter, and frozen if that is."""
    made = tensor(values, dtype=parameter.dtype, device=str(parameter.device))
    return Parameter(made, requires_grad=parameter.requires_grad)
