"""What a Tensor is to Python and NumPy: its shape and dtype, a number, a text, an array that shares its memory."""

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.core import checks
from minicnn.core.dtypes import is_bfloat16
from minicnn.core.operators import Operators
from minicnn.core.types import Array, Shape

if TYPE_CHECKING:
    from minicnn.core.device import Device
    from minicnn.core.function import Function


class Convertible(Operators):
    """The part of Tensor that reads its data and never changes it."""

    __slots__ = ()

    data: Array
    device: "Device"
    node: "Function | None"
    requires_grad: bool

    @property
    def shape(self) -> Shape:
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self.data.ndim  # type: ignore[no-any-return]

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.data.dtype  # type: ignore[no-any-return]

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one entry of it."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        return int(self.data.size)

    def dim(self) -> int:
        """Number of dimensions (PyTorch's name for ``ndim``)."""
        return self.ndim

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"index: only integer tensors index, got {self.dtype}")
        return int(self.item())

    def __repr__(self) -> str:
        text = np.array2string(self._host(), separator=", ", prefix="tensor(", precision=4, threshold=100)
        notes = [f"dtype={self.dtype}"] if self.dtype not in ("float32", "int64", "bool") else []
        notes += [f"device={str(self.device)!r}"] if self.device != "cpu" else []
        if self.node is not None:
            notes.append(f"node=<{self.node.name}>")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def _host(self) -> Any:
        return self.device.backend.to_host(self.data)

    def numpy(self) -> Any:
        """The array itself on the CPU (shared memory), a host copy elsewhere.

        Writes through it are not counted by the version counter; anomaly mode finds them by checksums.
        """
        if self.requires_grad:
            raise RuntimeError("numpy: the tensor requires grad and NumPy would lose it; use .detach().numpy()")
        return self._host()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError("__dlpack__: the tensor requires grad; export .detach()")
        if is_bfloat16(self.dtype) and str(self.device) == "cpu":
            raise BufferError("__dlpack__: NumPy exports no bfloat16; export .float()")
        return self.data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def item(self) -> Any:
        """The only element as a Python number."""
        if self.data.size != 1:
            raise checks.value_error("item", "only one-element tensors convert to a number", input=self)
        return self.data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.data.tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)
