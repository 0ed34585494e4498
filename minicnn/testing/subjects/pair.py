"""A plain function and its hand-written backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.arguments import Arguments
from minicnn.testing.subjects.subject import COTANGENT, OTHER, Call, Gradients, Subject, as_laid_out

NO_SECOND_ORDER = (
    "gradcheck: order 2 needs gradients that can be differentiated, and a backward on plain arrays cannot; "
    "check order 1, or write f with minicnn's, torch's or autograd's operations"
)


class Pair(Subject):
    """A plain function and its hand-written backward, on NumPy or CuPy arrays."""

    complex_ok = True

    def __init__(self, call: Call, backward: Callable[..., Any], place: Callable[[Array], Any], kind: str) -> None:
        super().__init__()
        self.call, self.backward, self.place, self.kind = call, backward, place, kind
        self.complex_ok = kind == "NumPy pair"
        self.floats: list[bool] = []

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        return self._forward(arrays)[0]

    def _forward(self, arrays: Sequence[Array]) -> tuple[list[Array], Any, list[Any]]:
        points, args, options, others = self._handed(arrays)  # copies: f may write, and that is found out here
        result = self.call.f(*args, **options)
        self._note_all(arrays, points, others)
        raw = list(result) if isinstance(result, (tuple, list)) else [result]
        arrays_out = [_host(y) for y in raw]
        for y in arrays_out:
            if y.dtype.kind not in "iufcb":
                raise TypeError(f"gradcheck: f returned {_kind(raw)}; an array or a tuple of arrays is expected")
            if y.dtype.kind == "c" and all(a.dtype.kind != "c" for a in arrays):
                raise ValueError("gradcheck: complex outputs of real inputs are not supported; return two real arrays")
        self.floats = [y.dtype.kind in "fc" for y in arrays_out]
        kept = [y for y, is_float in zip(arrays_out, self.floats, strict=True) if is_float]
        return kept, result, raw

    def _handed(self, arrays: Sequence[Array]) -> tuple[list[Any], tuple[Any, ...], dict[str, Any], list[Any]]:
        """Copies of all arrays, the arguments made of them, and those that are not differentiated with their copies."""
        others: list[Any] = []

        def copied(array: Array) -> Any:
            others.append((array, self.place(array.copy())))
            return others[-1][1]

        points = [self.place(as_laid_out(a)) for a in arrays]
        args, options = self.call.build(points, copied)
        return points, args, options, others

    def _note_all(self, arrays: Sequence[Array], points: list[Any], others: list[Any]) -> None:
        self.note_writes(arrays, [_host(p) for p in points])
        if not self.call.written and not all(
            np.array_equal(a, _host(b), equal_nan=a.dtype.kind in "fc") for a, b in others
        ):
            self.writes.add(OTHER)

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        found: list[Gradients] = []
        for vs in cotangents:
            _, result, raw = self._forward(arrays)  # right before backward, for rules that remember their forward pass
            points, args, options, others = self._handed(arrays)
            given = iter(vs)
            gys: list[Any] = [
                _like(self.place(as_laid_out(next(given))), y) if is_float else None
                for y, is_float in zip(raw, self.floats, strict=True)
            ]
            gy = tuple(gys) if isinstance(result, (tuple, list)) else gys[0]
            got = self.backward(gy, *args, **options)
            got = tuple(got) if hasattr(got, "__next__") else got
            self._note_all(arrays, points, others)
            if not all(np.array_equal(_host(g), v) for g, v in zip([g for g in gys if g is not None], vs, strict=True)):
                self.writes.add(COTANGENT)
            found.append(self._by_leaf(got))
        return found

    def answered(self, arrays: Sequence[Array]) -> set[int]:
        """Differentiated leaves for which backward returns a gradient; all of them where it cannot be called."""
        try:
            vs = [np.ones(y.shape) for y in self.values(arrays)]
            found = self.gradients(arrays, [vs])[0]
        except Exception:  # noqa: BLE001 (a rule under test may raise anything; the check itself will report it)
            return set(self.call.wanted)
        return {leaf for leaf, g in zip(self.call.wanted, found, strict=True) if g is not None}

    def _by_leaf(self, got: Any) -> Gradients:
        """The gradients of the differentiated leaves; what came for others must be nothing."""
        positions = self.call.arguments.args
        many = isinstance(got, (tuple, list))
        if many and len(positions) == 1 and isinstance(positions[0], (tuple, list)):  # one input that is a list
            many = len(got) == 1 and isinstance(got[0], (tuple, list))
        got = got if many else (got,)
        if len(got) != len(positions):
            raise GradientCountError(len(positions), len(got))
        given = Arguments(tuple(got))
        by_path = dict(zip(given.paths, given.leaves, strict=True))
        found: Gradients = []
        for i, path in enumerate(self.call.arguments.paths):
            if isinstance(path[0], str):
                continue
            value = by_path.get(path)
            if value is None and len(path) == 1 and isinstance(got[path[0]], (tuple, list)) and got[path[0]]:
                value = np.asarray(got[path[0]])  # a list of numbers for a list of numbers
            leaf = self.call.arguments.leaves[i]
            if i in self.call.wanted:
                found.append(None if value is None else np.array(_host(value)))
            elif isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iub" and value is not None:
                raise IntegerGradientError(i)
        return found

    def derived(self, count: int) -> Subject:
        raise ValueError(NO_SECOND_ORDER)


class GradientCountError(ValueError):
    """Backward returned another number of gradients than there are inputs."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(
            f"backward returned {got} gradient{'s' * (got != 1)} for {expected} input{'s' * (expected != 1)}; "
            "None stands for no gradient"
        )
        self.expected, self.got = expected, got


class IntegerGradientError(ValueError):
    """Backward returned a gradient for an integer input."""

    def __init__(self, leaf: int) -> None:
        super().__init__("backward returned a gradient for an integer input; return None")
        self.leaf = leaf


def _kind(raw: list[Any]) -> str:
    return ", ".join(type(y).__name__ for y in raw) or "nothing"


def _like(array: Any, output: Any) -> Any:
    """The cotangent of a scalar is a NumPy scalar where the function returned one."""
    return array[()] if isinstance(output, (float, np.generic)) else array


def _host(value: Any) -> Array:
    """A NumPy array of whatever a plain function returned."""
    return np.asarray(value.get() if hasattr(value, "__cuda_array_interface__") else value)
