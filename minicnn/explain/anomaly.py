"""Anomaly mode: find the operation that first made a NaN or an infinity, or memory that was written behind us."""

import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.core import events
from minicnn.core.dtypes import is_float
from minicnn.core.function import Function

_LIBRARY = str(Path(__file__).parents[1])


def _user_line() -> str:
    """The innermost stack frame outside the library."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_LIBRARY):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "<unknown>"


def _describe(values: Any) -> str:
    parts = []
    for x in values:
        if x is None:
            parts.append("None")
            continue
        a = x._host()
        finite = a[np.isfinite(a)] if is_float(a.dtype) else a
        span = f" in [{finite.min():.4g}, {finite.max():.4g}]" if finite.size else ""
        bad = f", {int(a.size - finite.size)} not finite" if finite.size != a.size else ""
        parts.append(f"{tuple(a.shape)} {a.dtype}{span}{bad}")
    return "; ".join(parts)


def _is_bad(x: Any) -> bool:
    return x is not None and is_float(x.dtype) and not np.isfinite(x._host()).all()


def _checksum(array: Any, device: Any) -> int:
    host = array if isinstance(array, np.ndarray) else device.backend.to_host(array)
    return zlib.crc32(np.ascontiguousarray(host).tobytes())


class _Watch:
    """Listener that remembers where each node was called and what it saved."""

    def __init__(self) -> None:
        self.sums: dict[Function, list[int]] = {}
        self.inside: Function | None = None  # the node whose backward is running

    def __call__(self, kind: str, *args: Any) -> None:
        if kind == "forward":
            self.forward(*args)
        elif kind == "enter":
            self.inside = args[0]
        elif kind == "backward":
            self.inside = None
            self.backward(*args)

    def forward(self, node: Function, inputs: Any, outputs: Any) -> None:
        node.location = _user_line()
        if any(map(_is_bad, outputs)) and not any(map(_is_bad, inputs)):
            outer, self.inside = self.inside, None
            what = (
                f"{node.name}: forward made NaN or Inf at {node.location}"
                if outer is None
                else f"{outer.name}: backward made NaN or Inf (its {node.name}); forward was called at {outer.location}"
            )
            raise FloatingPointError(f"{what}\n  inputs:  {_describe(inputs)}\n  outputs: {_describe(outputs)}")
        if node.sequence >= 0 and node.segment is None:  # what a checkpointed segment saves is computed again
            self.sums[node] = self.saved_sums(node)

    def backward(self, node: Function, gys: Any, gxs: Any) -> None:
        known = self.sums.pop(node, None)
        if known is not None and known != self.saved_sums(node):
            raise RuntimeError(
                f"{node.name}: a value saved for backward was overwritten from outside (through .numpy() or another "
                f"view of its memory) after the call at {node.location}"
            )
        if any(map(_is_bad, gxs)) and not any(map(_is_bad, gys)):
            raise FloatingPointError(
                f"{node.name}: backward made NaN or Inf; forward was called at {node.location}\n"
                f"  gradients in:  {_describe(gys)}\n  gradients out: {_describe(gxs)}"
            )

    @staticmethod
    def saved_sums(node: Function) -> list[int]:
        arrays = [array for _, _, array in node._saved_inputs or ()]
        arrays += [array for array, _, _ in node._saved_outputs or ()]
        return [_checksum(a, node.device) for a in arrays]


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise at the first operation whose forward or backward makes a NaN or an infinity out of finite values.

    The error names the user's line of the forward call, the operation, and shapes and ranges on both sides.
    Values saved for backward are checksummed, so that writes through ``.numpy()`` are found as well. Slow; for
    hunting.

    Raises
    ------
    FloatingPointError
        At the first value that is not finite.
    RuntimeError
        If saved memory was overwritten.
    """
    with events.listen(_Watch()):
        yield
