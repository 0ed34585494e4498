"""A call to check: its function, with its arguments in float64, as a subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing import modules
from minicnn.testing.arguments import Arguments, label
from minicnn.testing.report import Report
from minicnn.testing.subjects import Call, Pair, Subject, Torch, placed, recognise


class Problem:
    """A function with its arguments in float64, as a subject."""

    def __init__(
        self, f: Callable[..., Any], inputs: Sequence[Any], kwargs: dict[str, Any], backward: Callable[..., Any] | None,
        constants: tuple[int | str, ...], writes: tuple[int | str, ...], report: Report,
    ) -> None:
        self.report = report
        if isinstance(inputs, (str, dict)) or hasattr(inputs, "shape") or not hasattr(inputs, "__len__"):
            raise TypeError(f"gradcheck: inputs is a list of arguments, as in [x], got {type(inputs).__name__}")
        if not inputs:
            raise ValueError("gradcheck: inputs is empty; there is nothing to differentiate")
        if backward is not None and not callable(backward):
            raise TypeError(f"gradcheck: backward must be callable, got {type(backward).__name__}")
        of_torch = any(type(v).__module__.partition(".")[0] == "torch" for v in Arguments(tuple(inputs), kwargs).leaves)
        place, kind = placed(inputs)
        promoted: set[str] = set()
        plain = backward is not None
        args = tuple(_plain(v, promoted, listed=plain) for v in inputs)
        options = {k: _plain(v, promoted, listed=False) for k, v in kwargs.items()}
        if promoted:
            report.notes.append(f"promoted {', '.join(sorted(promoted))} to float64")
        if backward is None and hasattr(f, "named_parameters"):
            parameters = modules.parameters(f)
            f, options = modules.functional(f, tuple(parameters)), options | parameters
        else:
            parameters = {}
        self.arguments = Arguments(args, options)
        wanted = self.arguments.floats(constants)
        if plain:
            wanted = [i for i in wanted if not isinstance(self.arguments.paths[i][0], str)]
        numbers = {i for i in wanted if plain and _is_number(inputs[int(self.arguments.paths[i][0])])}
        written = {i for i, path in enumerate(self.arguments.paths) if path[0] in writes}
        self.call = Call(f, self.arguments, wanted, written, numbers)
        self.labels = [label(path) for path in self.arguments.paths]
        self.arrays: list[Array] = [self.arguments.leaves[i] for i in wanted]
        if backward is not None:
            pair = Pair(self.call, backward, place, kind)
            self.subject: Subject = pair
            if numbers and not numbers <= (given := pair.answered(self.arrays)):
                self.call.wanted = [i for i in wanted if i not in numbers - given]  # a plain number that is an option
                self.arrays = [self.arguments.leaves[i] for i in self.call.wanted]
        elif of_torch:
            self.subject = Torch.of(self.call)
        else:
            self.subject = recognise(self.call, self.arrays)
            report.notes.append(f"gradients of {self.subject.source}; no backward= was given")
        self.names = [self.labels[i] for i in self.call.wanted]
        self.fixed = frozenset(k for k, name in enumerate(self.names) if name in parameters)
        self.writable = frozenset(k for k, i in enumerate(self.call.wanted) if i in written)


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def _plain(value: Any, promoted: set[str], *, listed: bool) -> Any:
    """Tensors as arrays, float arrays as float64 (layout kept), containers alike."""
    if isinstance(value, (list, tuple)):
        if listed and value and all(isinstance(v, (float, np.floating)) for v in value):
            return np.array(value)
        items = [_plain(v, promoted, listed=listed) for v in value]
        return tuple(items) if isinstance(value, tuple) else items
    if listed and isinstance(value, (float, np.floating)):
        return np.array(value, np.float64)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("gradcheck: masked arrays are not supported; fill them, or pass data and mask")
    if isinstance(value, np.matrix):
        value = np.asarray(value)
    if isinstance(value, Tensor):
        value = value.detach().numpy()
    elif hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "__cuda_array_interface__"):
        value = value.get()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OV":
        raise TypeError(f"gradcheck: arrays of dtype {value.dtype} are not supported")
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        raise ValueError("gradcheck: complex inputs are not supported; pass real and imaginary parts")
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != np.float64:
        promoted.add(str(value.dtype))
        return value.astype(np.float64)
    return value
