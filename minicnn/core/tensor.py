"""The Tensor: an array, the device it lives on, and the node that made it.

There is no maths here. Operators and methods (``x + y``, ``x.sum()``, ``x[0]``) are bound from one table in
``minicnn/ops/operators.py``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.core import checks
from minicnn.core.conversion import Convertible
from minicnn.core.device import Device
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_float
from minicnn.core.modes import state
from minicnn.core.types import Array

if TYPE_CHECKING:
    from minicnn.core.function import Function


class Storage:
    """The version of one block of memory, shared by views and ``detach``: every in-place write adds one."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class Tensor(Convertible):
    """A multi-dimensional array that remembers how it was computed; made by :func:`tensor` or by an operation.

    Attributes
    ----------
    data : raw array of the device (``numpy.ndarray`` on ``"cpu"``)
    grad : Tensor or None
        Accumulated gradient of a leaf.
    requires_grad : bool
        Whether operations on it are recorded.
    node : Function or None
        The operation that made it; ``None`` for a leaf. ``index`` is its place among the node's outputs.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda-emulated"``.
    """

    __slots__ = ("__weakref__", "data", "device", "grad", "hooks", "index", "node", "requires_grad", "storage")
    __array_ufunc__ = None  # so that ``numpy_scalar * tensor`` asks the Tensor

    data: Array
    grad: "Tensor | None"
    requires_grad: bool
    node: "Function | None"
    index: int
    device: Device
    storage: Storage
    hooks: "list[Callable[[Tensor], Tensor | None]] | None"

    def __init__(self, data: Array, device: Device | None = None, *, requires_grad: bool = False) -> None:
        self.data = data
        self.device = device or find_device()
        self.grad = None
        self.requires_grad = requires_grad
        self.node = None
        self.index = 0
        self.storage = Storage()
        self.hooks = None

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Any:
        """Kernel modules of the tensor's device."""
        return self.device.backend

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self.node is None

    @property
    def grad_fn(self) -> "Function | None":
        """PyTorch's name for ``node``."""
        return self.node

    # -- out of the graph ---------------------------------------------------------------------------------------

    def detach(self) -> "Tensor":
        """The same memory without history; a later in-place write to either is noticed by both."""
        out = Tensor(self.data, self.device)
        out.storage = self.storage
        return out

    # -- gradients ----------------------------------------------------------------------------------------------

    def backward(
        self, gradient: "Tensor | None" = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add d(self . gradient)/d(leaf) to the ``.grad`` of every leaf that requires it.

        Parameters
        ----------
        gradient : Tensor of the same shape, optional
            The cotangent; may be left out for a one-element tensor, where it is 1.
        retain_graph : bool, optional
            Keep saved values so that backward can run again; defaults to ``create_graph``.
        create_graph : bool
            Record the backward pass, so that gradients can be differentiated.
        """
        from minicnn.core.backprop import backward

        backward(self, gradient, retain_graph, create_graph)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Set ``requires_grad`` of a leaf, in place."""
        if self.node is not None:
            raise RuntimeError("requires_grad_: only leaves can change it; use .detach() to get one")
        if requires_grad and not is_float(self.dtype):
            raise checks.type_error("requires_grad_", "only floating tensors have gradients", input=self)
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: "Callable[[Tensor], Tensor | None]") -> Callable[[], None]:
        """Call ``hook(gradient)`` when this tensor's gradient is complete; what it returns replaces it.

        Returns a function that removes the hook.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require grad")
        if self.node is None:
            self.hooks = hooks = self.hooks if self.hooks is not None else []
        else:
            hooks = self.node.hooks.setdefault(self.index, [])
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf in its ``.grad`` as well."""
        if self.node is not None:

            def keep(gradient: "Tensor") -> None:
                self.grad = gradient

            self.register_hook(keep)

    # -- in-place writes ----------------------------------------------------------------------------------------

    def bump_version(self) -> None:
        """Say that ``data`` was written in place; backward compares versions with those it saved."""
        self.storage.version += 1

    def writable(self, op: str) -> Array:
        """``data`` for an in-place write by ``op``; raises where a write would falsify gradients."""
        if state.grad and self.requires_grad:
            if self.node is None:
                raise RuntimeError(f"{op}: a leaf that requires grad was written in place; use mc.no_grad()")
            raise RuntimeError(
                f"{op}: in-place maths on a tensor with history (made by {self.node.name}); "
                "use the out-of-place form, such as x = x + y, or .detach().clone()"
            )
        self.bump_version()
        return self.data

    def copy_(self, source: Any) -> "Tensor":
        """Write ``source`` (broadcast, cast) into this tensor's memory."""
        values = _without_history("copy_", source, self.device)
        self.writable("copy_")[...] = values
        return self

    def fill_(self, value: float) -> "Tensor":
        """Write one number everywhere."""
        self.writable("fill_")[...] = value
        return self

    def zero_(self) -> "Tensor":
        """Write zeros."""
        return self.fill_(0)

    def __setitem__(self, index: Any, value: Any) -> None:
        raw = tuple(i.data if isinstance(i, Tensor) else i for i in (index if isinstance(index, tuple) else (index,)))
        values = _without_history("__setitem__", value, self.device)
        self.writable("__setitem__")[raw] = values


def _on(place: Device, source: Tensor) -> Any:
    """Its array for use on that device: its own, or a copy through the host."""
    return source.data if source.device is place else place.xp.asarray(source.device.backend.to_host(source.data))


def _without_history(op: str, source: Any, place: Device) -> Any:
    """Values for an in-place write on a device, through which no gradient would flow."""
    if not isinstance(source, Tensor):
        return source
    if state.grad and source.requires_grad:
        raise RuntimeError(
            f"{op}: a tensor that requires grad was written into memory, where its history would be lost; "
            "use mc.ops.where or scatter, or pass .detach()"
        )
    return _on(place, source)


def tensor(data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A leaf Tensor holding a copy of ``data``.

    Parameters
    ----------
    data : array, Tensor, number or nested sequence of numbers
        Arrays keep their dtype; Python floats become float32, ints int64, bools bool.
    dtype : dtype, optional
        Cast to this instead.
    device : str, optional
        Where to put it; ``"cpu"`` by default.
    requires_grad : bool
        Record operations on it (floating dtypes only).

    Raises
    ------
    TypeError
        For data that is not numeric, or gradients asked of an integer tensor.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    place = find_device(device if device is not None else data.device if isinstance(data, Tensor) else None)
    source = _on(place, data) if isinstance(data, Tensor) else data
    typed = hasattr(source, "dtype")
    try:
        host = source if typed else np.array([np.asarray(s) for s in source] if _holds_tensors(source) else source)
    except ValueError:
        raise ValueError("tensor: data must be a regular array, got rows of different lengths") from None
    wanted = host.dtype if dtype is None else find_dtype(dtype)
    kind = "f" if is_float(wanted) else wanted.kind
    if kind not in "fiub":
        raise TypeError(f"tensor: data must be real numbers or bools, got dtype {wanted}")
    if dtype is None and not typed:
        wanted = np.dtype({"f": np.float32, "i": np.int64, "u": np.int64}.get(kind, wanted))
    out = Tensor(place.xp.array(host, dtype=wanted), place)
    return out.requires_grad_() if requires_grad else out


def _holds_tensors(source: Any) -> bool:
    return isinstance(source, list | tuple) and any(isinstance(s, Tensor) for s in source)
