"""Values over a pipe: arrays as their bytes, everything else as JSON; nothing that is read can run code."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

import numpy as np

#: Bytes of one message; a result larger than this is a mistake.
LIMIT = 1 << 26


def send(stream: BinaryIO, value: Any) -> None:
    """Write one message: JSON values, arrays, and lists, tuples and dicts of them.

    Raises
    ------
    TypeError
        For anything else, objects in arrays included; nothing was written then.
    ValueError
        For more than 64 MiB.
    """
    arrays: list[Any] = []
    tree = _encode(value, arrays)
    if sum(a.nbytes for a in arrays) > LIMIT:
        raise ValueError("the result is larger than 64 MiB")
    heads = [(a.dtype.str, a.shape, bool(a.flags.c_contiguous)) for a in arrays]
    stream.write(json.dumps([tree, heads]).encode() + b"\n")
    stream.writelines(np.ascontiguousarray(array).tobytes() for array in arrays)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    line = stream.readline(LIMIT)
    if not line.endswith(b"\n"):
        raise EOFError("the other side is gone")
    tree, heads = json.loads(line)
    arrays = [_read(stream, *head) for head in heads]
    return _decode(tree, arrays)


def _read(stream: BinaryIO, dtype: str, shape: list[int], contiguous: bool) -> Any:
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if kind.hasobject or not 0 <= size <= LIMIT:
        raise EOFError("what came is no array")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side is gone")
    array = np.frombuffer(data, kind).reshape(shape).copy()
    return array if contiguous or not array.ndim else np.repeat(array, 2, axis=-1)[..., ::2]  # as strided as it was


def _encode(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"an array of {array.dtype}, expected numbers")
        arrays.append(array)
        return {"array": len(arrays) - 1}
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, arrays) for v in value]}
    if isinstance(value, list):
        return [_encode(v, arrays) for v in value]
    if isinstance(value, dict):
        return {"dict": [[str(k), _encode(v, arrays)] for k, v in value.items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__}, expected arrays")


def _decode(tree: Any, arrays: list[Any]) -> Any:
    if isinstance(tree, list):
        return [_decode(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    if "tuple" in tree:
        return tuple(_decode(v, arrays) for v in tree["tuple"])
    return {k: _decode(v, arrays) for k, v in tree["dict"]}
