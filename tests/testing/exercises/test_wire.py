"""Values cross the pipe as they are, and nothing that could run code crosses at all."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from minicnn.testing.exercises import wire


def crossed(value: Any) -> Any:
    stream = io.BytesIO()
    wire.send(stream, value)
    stream.seek(0)
    return wire.receive(stream)


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.1, "text", [1, [2.5, None]], (1, ("a",)), {"axis": 1, "size": (2, 3)}, float("inf")]
)
def test_plain_values_come_back(value: Any) -> None:
    assert crossed(value) == value


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.array(2), np.zeros((0, 3)), np.array([True])])
def test_arrays_come_back_bit_for_bit(array: Any) -> None:
    back = crossed((array, {"again": array}))
    for found in (back[0], back[1]["again"]):
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_arrays_that_are_not_contiguous_stay_so() -> None:
    assert not crossed(np.arange(12.0).reshape(3, 4)[:, ::2]).flags.c_contiguous
    assert crossed(np.arange(3.0)).flags.writeable


@pytest.mark.parametrize("value", [object(), np.array([object()]), np.array(["a"]), {1, 2}])
def test_objects_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="expected"):
        crossed(value)


@pytest.mark.parametrize(
    "bytes_", [b"", b"[0", b'[{"array": 0}, [["<f8", [2], true]]]\n1234', b'[0, [["|O", [1], true]]]\n12345678']
)
def test_a_message_cut_short_or_with_objects_is_an_end(bytes_: bytes) -> None:
    with pytest.raises(EOFError):
        wire.receive(io.BytesIO(bytes_))
