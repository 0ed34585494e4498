"""What can be checked: a function of minicnn Tensors, of torch tensors, of autograd's arrays, or a pair of plain rules.

A subject computes float outputs from float inputs, and gradients from cotangents, all as float64 NumPy arrays; the
checker knows nothing else about it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.modes import enable_grad, no_grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing.arguments import Arguments

#: From the framework's values of all differentiated inputs to those of all float outputs.
Mapping = Callable[[list[Any]], list[Any]]
Gradients = list[Array | None]

#: What a function may raise where it is not defined.
OUTSIDE = (ArithmeticError, ValueError, LookupError, RuntimeError)


class Subject:
    """Base of all subjects: plain arrays in, plain arrays out.

    Attributes
    ----------
    kind : str
        What it is, for the report.
    complex_ok : bool
        Whether :meth:`values` may be tried on complex and extended-precision arrays.
    writes : set of int
        Positions of input arrays that the function or its backward was seen to write, and -1 for a cotangent.
    """

    kind = "subject"
    complex_ok = False

    def __init__(self) -> None:
        self.writes: set[int] = set()

    def note_writes(self, arrays: Sequence[Array], copies: Sequence[Any]) -> None:
        """Compare what was handed out with what it was a copy of."""
        for i, (array, copy) in enumerate(zip(arrays, copies, strict=True)):
            if not np.array_equal(copy, array, equal_nan=array.dtype.kind in "fc"):
                self.writes.add(i)

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        """The float outputs."""
        raise NotImplementedError

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        """For each set of cotangents (one per output) the gradients of the inputs, as backward returns them."""
        raise NotImplementedError

    def derived(self, count: int) -> Subject:
        """The subject ``(inputs, cotangents) -> gradients``, of which the first ``count`` arrays are the inputs."""
        raise NotImplementedError


class Call:
    """A function and its arguments, some of which are differentiated.

    Parameters
    ----------
    f : callable
    arguments : Arguments
    wanted : list of int
        Positions of the differentiated leaves.
    written : set of int
        Positions of leaves that ``f`` may write; it gets copies.
    numbers : set of int
        Positions of 0-d leaves that ``f`` gets as plain numbers.
    """

    def __init__(
        self, f: Callable[..., Any], arguments: Arguments, wanted: list[int], written: set[int],
        numbers: set[int] | None = None,
    ) -> None:
        self.f, self.arguments, self.wanted, self.written = f, arguments, wanted, written
        self.numbers = numbers or set()

    def __call__(self, points: Sequence[Any], wrap: Callable[[Any], Any]) -> list[Any]:
        """Outputs as a list, the differentiated leaves being ``points`` and other arrays wrapped."""
        args, options = self.build(points, wrap)
        result = self.f(*args, **options)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def build(self, points: Sequence[Any], wrap: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments."""
        given = dict(zip(self.wanted, points, strict=True))
        leaves = []
        for i, leaf in enumerate(self.arguments.leaves):
            if i in self.numbers:
                leaves.append(given.get(i, leaf)[()])
            elif i in given:
                leaves.append(given[i])
            elif isinstance(leaf, np.ndarray):
                leaves.append(wrap(leaf.copy() if i in self.written else leaf))
            else:
                leaves.append(leaf)
        return self.arguments.build(leaves)


class Taped(Subject):
    """A function of minicnn's Tensors."""

    kind = "minicnn"

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.mapping = mapping

    @classmethod
    def of(cls, call: Call) -> Taped:
        """The subject of a call."""
        return cls(lambda points: [y for y in call(points, cls.leaf) if cls.is_float(y)])

    @staticmethod
    def leaf(array: Array, track: bool = False) -> Any:
        return Tensor(array, requires_grad=track)

    @staticmethod
    def is_float(value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype.kind == "f"

    @staticmethod
    def array(value: Any) -> Array:
        return value.data

    @staticmethod
    def tracked(value: Any) -> bool:
        return bool(value.requires_grad)

    @staticmethod
    def pull(outputs: Any, inputs: Any, cotangents: Any, retain: bool, create: bool) -> list[Any]:
        return list(
            grad(outputs, inputs, cotangents, retain_graph=retain, create_graph=create, allow_unused=True)
        )

    recording = staticmethod(enable_grad)
    silent = staticmethod(no_grad)

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        with self.silent():
            return [np.asarray(self.array(y)) for y in self.mapping([self.leaf(a) for a in arrays])]

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        copies = [as_laid_out(a) for a in arrays]
        points = [self.leaf(a, True) for a in copies]
        outputs = self.mapping(points)
        found = []
        for i, vs in enumerate(cotangents):
            kept = i < len(cotangents) - 1
            handed = [as_laid_out(v) for v in vs]
            rows = self._pull(outputs, points, [self.leaf(v) for v in handed], retain=kept)
            found.append([None if g is None else np.array(self.array(g)) for g in rows])
            if not all(np.array_equal(a, b) for a, b in zip(handed, vs, strict=True)):
                self.writes.add(-1)
        self.note_writes(arrays, copies)
        return found

    def _pull(
        self, outputs: list[Any], inputs: list[Any], cotangents: Sequence[Any], *, retain: bool, create: bool = False
    ) -> list[Any]:
        pairs = [(y, v) for y, v in zip(outputs, cotangents, strict=True) if self.tracked(y)]
        if not pairs:
            return [None] * len(inputs)
        ys, vs = zip(*pairs, strict=True)
        return self.pull(list(ys), inputs, list(vs), retain, create)

    def derived(self, count: int) -> Subject:
        def mapping(values: list[Any]) -> list[Any]:
            recording = any(self.tracked(v) for v in values)
            points = [v if self.tracked(v) else self.leaf(self.array(v), True) for v in values[:count]]
            with self.recording():
                found = self._pull(self.mapping(points), points, values[count:], retain=recording, create=recording)
            return [
                self.leaf(np.zeros(x.shape)) if g is None else g for x, g in zip(points, found, strict=True)
            ]

        return type(self)(mapping)


class Torch(Taped):
    """A function of torch tensors, or a ``torch.autograd.Function``'s ``apply``."""

    kind = "torch"

    @staticmethod
    def leaf(array: Array, track: bool = False) -> Any:
        import torch

        if isinstance(array, torch.Tensor):
            return array.detach().requires_grad_(track)
        positive = all(s >= 0 for s in array.strides)
        return torch.from_numpy(array if positive and array.flags.writeable else array.copy()).requires_grad_(track)

    @staticmethod
    def is_float(value: Any) -> bool:
        import torch

        return isinstance(value, torch.Tensor) and value.dtype.is_floating_point

    @staticmethod
    def array(value: Any) -> Array:
        return value.detach().cpu().numpy()

    @staticmethod
    def pull(outputs: Any, inputs: Any, cotangents: Any, retain: bool, create: bool) -> list[Any]:
        import torch

        return list(
            torch.autograd.grad(
                outputs, inputs, cotangents, retain_graph=retain, create_graph=create, allow_unused=True
            )
        )

    @staticmethod
    def recording() -> Any:
        return importlib.import_module("torch").enable_grad()

    @staticmethod
    def silent() -> Any:
        return importlib.import_module("torch").no_grad()


class Autograd(Subject):
    """A function written with HIPS/autograd's ``autograd.numpy``."""

    kind = "autograd"

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.mapping = mapping

    @classmethod
    def of(cls, call: Call) -> Autograd:
        """The subject of a call."""
        return cls(lambda points: [y for y in call(points, lambda a: a) if cls.is_float(y)])

    @staticmethod
    def is_float(value: Any) -> bool:
        from autograd.extend import Box

        while isinstance(value, Box):
            value = value._value
        return isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        return [np.asarray(y) for y in self.mapping([_scalar(a) for a in arrays])]

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        import autograd
        import autograd.builtins

        def bundle(points: Any) -> Any:
            return autograd.builtins.tuple(self.mapping(list(points)))

        with np.errstate(all="ignore"):
            back, _ = autograd.make_vjp(bundle)(tuple(_scalar(a) for a in arrays))
            return [[np.array(g) for g in back(tuple(_scalar(v) for v in vs))] for vs in cotangents]

    def derived(self, count: int) -> Subject:
        import autograd
        import autograd.builtins

        def mapping(values: list[Any]) -> list[Any]:
            def bundle(points: Any) -> Any:
                return autograd.builtins.tuple(self.mapping(list(points)))

            back, _ = autograd.make_vjp(bundle)(autograd.builtins.tuple(values[:count]))
            found = back(autograd.builtins.tuple(values[count:]))
            return [found[i] for i in range(count)]

        return Autograd(mapping)


def _scalar(array: Array) -> Any:
    """A 0-d array as the float that autograd's own functions pass."""
    return float(array) if array.ndim == 0 else array


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
        points = [self.place(as_laid_out(a)) for a in arrays]  # copies: f may write, and that is found out here
        args, options = self.call.build(points, lambda a: self.place(a.copy()))
        result = self.call.f(*args, **options)
        self.note_writes(arrays, [_host(p) for p in points])
        raw = list(result) if isinstance(result, (tuple, list)) else [result]
        arrays_out = [_host(y) for y in raw]
        for y in arrays_out:
            if y.dtype.kind == "c" and all(a.dtype.kind != "c" for a in arrays):
                raise ValueError("gradcheck: complex outputs of real inputs are not supported; return two real arrays")
        self.floats = [y.dtype.kind in "fc" for y in arrays_out]
        kept = [y for y, is_float in zip(arrays_out, self.floats, strict=True) if is_float]
        return kept, result, raw

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        found: list[Gradients] = []
        for vs in cotangents:
            _, result, raw = self._forward(arrays)  # right before backward, for rules that remember their forward pass
            points = [self.place(as_laid_out(a)) for a in arrays]
            args, options = self.call.build(points, lambda a: self.place(a.copy()))
            given = iter(vs)
            gys: list[Any] = [
                _like(self.place(as_laid_out(next(given))), y) if is_float else None
                for y, is_float in zip(raw, self.floats, strict=True)
            ]
            gy = tuple(gys) if isinstance(result, (tuple, list)) else gys[0]
            got = self.backward(gy, *args, **options)
            self.note_writes(arrays, [_host(p) for p in points])
            if not all(np.array_equal(_host(g), v) for g, v in zip([g for g in gys if g is not None], vs, strict=True)):
                self.writes.add(-1)
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
            leaf = self.call.arguments.leaves[i]
            if i in self.call.wanted:
                found.append(None if value is None else np.array(_host(value)))
            elif isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iub" and value is not None:
                raise IntegerGradientError(i)
        return found

    def derived(self, count: int) -> Subject:
        raise ValueError(
            "gradcheck: order 2 needs gradients that can be differentiated, and a backward on plain arrays cannot; "
            "check order 1, or write f with minicnn's, torch's or autograd's operations"
        )


class GradientCountError(ValueError):
    """Backward returned another number of gradients than there are inputs."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"backward returned {got} gradients for {expected} inputs; None stands for no gradient")
        self.expected, self.got = expected, got


class IntegerGradientError(ValueError):
    """Backward returned a gradient for an integer input."""

    def __init__(self, leaf: int) -> None:
        super().__init__("backward returned a gradient for an integer input; return None")
        self.leaf = leaf


def as_laid_out(array: Array) -> Array:
    """A copy, with the same strides where these say something, so that a rule which relies on them is found out."""
    if array.flags.c_contiguous:
        return array.copy()
    base = np.lib.array_utils.byte_bounds(array)
    buffer = np.full(base[1] - base[0], 255, np.uint8)  # NaN between the elements
    offset = array.__array_interface__["data"][0] - base[0]
    view: Array = np.ndarray(array.shape, array.dtype, buffer, offset, array.strides)
    view[...] = array
    return view


def _like(array: Any, output: Any) -> Any:
    """The cotangent of a scalar is a NumPy scalar where the function returned one."""
    return array[()] if isinstance(output, (float, np.generic)) else array


def _host(value: Any) -> Array:
    """A NumPy array of whatever a plain function returned."""
    return np.asarray(value.get() if hasattr(value, "__cuda_array_interface__") else value)


def recognise(call: Call, arrays: Sequence[Array]) -> Subject:
    """The subject that ``f`` is without a hand-written rule, by what it returns.

    Raises
    ------
    TypeError
        If it returns plain arrays, or nothing that has a gradient.
    """
    first: BaseException | None = None
    candidates: list[type[Taped | Autograd]] = [Taped]
    candidates += [Torch] if "torch" in sys.modules else []
    candidates += [Autograd] if "autograd" in sys.modules else []
    plain = False
    for kind in candidates:
        if kind is Autograd:
            found = _traced(call, arrays)
        else:
            seen: list[Any] = []
            wrap = kind.leaf  # type: ignore[union-attr]
            try:
                seen = call([wrap(a, True) for a in arrays], wrap)  # tracked: NumPy's functions refuse these
            except Exception as error:  # noqa: BLE001 (whatever f raises on another framework's arrays)
                first = first or error
            ours = Tensor if kind is Taped else sys.modules["torch"].Tensor
            found = any(isinstance(y, ours) for y in seen)
            plain = plain or bool(seen)
        if found:
            return kind.of(call)
    if first is not None and not plain:
        raise first
    raise TypeError(
        "gradcheck: f returned neither minicnn Tensors nor torch tensors nor autograd's arrays; "
        "pass its hand-written rule as backward=, called as backward(gy, *inputs, **kwargs)"
    )


def _traced(call: Call, arrays: Sequence[Array]) -> bool:
    """Whether autograd can follow the function from its inputs to a float output."""
    import autograd
    import autograd.builtins
    from autograd.extend import Box

    seen: list[Any] = []

    def bundle(points: Any) -> Any:
        seen.extend(call(list(points), lambda a: a))
        return 0.0

    try:
        autograd.make_vjp(bundle)(tuple(_scalar(a) for a in arrays))
    except Exception:  # noqa: BLE001 (f may be anything)
        return False
    return any(isinstance(y, Box) for y in seen)


def placed(inputs: Sequence[Any]) -> tuple[Callable[[Array], Any], str]:
    """How host arrays become the arrays that a pair works on, by what its inputs are."""
    if any(hasattr(value, "__cuda_array_interface__") and hasattr(value, "get") for value in inputs):
        return importlib.import_module("cupy").asarray, "CuPy pair"
    return lambda array: array, "NumPy pair"
