"""Functions of minicnn's Tensors and of torch's: both keep a tape."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.modes import enable_grad, no_grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing.subjects.subject import COTANGENT, Call, Gradients, Mapping, Subject, as_laid_out


class Taped(Subject):
    """A function of minicnn's Tensors."""

    kind = "minicnn"
    source = "minicnn's tape"

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
                self.writes.add(COTANGENT)
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
    source = "torch"

    @staticmethod
    def leaf(array: Array, track: bool = False) -> Any:
        import torch

        array = array if isinstance(array, torch.Tensor) else np.asarray(array)
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
