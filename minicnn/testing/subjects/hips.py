"""Functions written with HIPS/autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.subjects.subject import Call, Gradients, Mapping, Subject


class Autograd(Subject):
    """A function written with HIPS/autograd's ``autograd.numpy``."""

    kind = "autograd"
    source = "HIPS/autograd"

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
        return [np.asarray(y) for y in self.mapping([scalar(a) for a in arrays])]

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        import autograd
        import autograd.builtins

        def bundle(points: Any) -> Any:
            return autograd.builtins.tuple(self.mapping(list(points)))

        with np.errstate(all="ignore"):
            back, _ = autograd.make_vjp(bundle)(tuple(scalar(a) for a in arrays))
            return [[np.array(g) for g in back(tuple(scalar(v) for v in vs))] for vs in cotangents]

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


def scalar(array: Array) -> Any:
    """A 0-d array as the float that autograd's own functions pass."""
    return float(array) if array.ndim == 0 else array
