"""A Function is a differentiable operation and, once called, the node it leaves on the tape.

``forward`` works on raw arrays, ``backward`` on Tensors and in public operations; so the gradient of a gradient
needs no further code. What backward may use from the forward pass is only

- an input, output or auxiliary output that forward declared with :meth:`Function.keep_inputs` or
  :meth:`Function.keep_outputs`: the engine hands it back as a Tensor with its history;
- ints, bools, shapes and declared constants, as plain attributes.

A float array that depends on an input and is smuggled through an attribute makes second derivatives silently
wrong, because the engine cannot see that it is not a constant.
"""

import re
from itertools import count
from typing import Any, ClassVar

import numpy as np

from minicnn.core import events
from minicnn.core.device import Device
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import is_float
from minicnn.core.lift import lift
from minicnn.core.modes import state
from minicnn.core.tensor import Storage, Tensor
from minicnn.core.types import Array, Shape

_SEQUENCE = count()


class Function:
    """Base of all differentiable operations; subclass it, give it ``forward`` and ``backward``, call it.

    Class attributes
    ----------------
    name : str
        How errors and graphs call it; the class name in snake_case by default.
    aux : int
        The last ``aux`` outputs of forward are auxiliary: they can be kept and differentiated, but the caller
        does not get them.
    constants : dict[int, str]
        Inputs that are read but not differentiated, each with the reason.
    order : int or None
        ``None``: gradients of any order. ``1``: the gradient cannot be differentiated again, and trying raises.
    precision : str or None
        What inputs are cast to in a region of mixed precision (``minicnn.autocast``): ``"half"``, ``"float32"``, or as
        they are.

    Examples
    --------
    >>> import minicnn as mc
    >>> class Cube(mc.Function):
    ...     def forward(self, x):
    ...         self.keep_inputs(0)
    ...         return x * x * x
    ...     def backward(self, gy):
    ...         (x,) = self.kept_inputs()
    ...         return gy * 3.0 * x * x
    >>> x = mc.tensor([2.0], requires_grad=True)
    >>> (g,) = mc.grad(Cube()(x), [x], create_graph=True)
    >>> g.item(), mc.grad(g, [x])[0].item()
    (12.0, 12.0)
    """

    name: ClassVar[str] = "function"
    aux: ClassVar[int] = 0
    constants: ClassVar[dict[int, str]] = {}
    order: ClassVar[int | None] = None
    precision: ClassVar[str | None] = None
    registry: ClassVar[dict[str, type["Function"]]] = {}

    backend: Any
    xp: Any
    device: Device
    edges: "tuple[Any, ...]" = ()  # per input: None, a leaf Tensor, or (node, output index)
    in_shapes: "tuple[Any, ...]" = ()  # per input: its shape, or None where it is absent
    out_shapes: "tuple[Shape, ...]" = ()
    out_dtypes: "tuple[Any, ...]" = ()
    sequence: int = -1
    location: str | None = None  # where the user called it, noted in anomaly mode
    segment: Any = None
    _needs: "tuple[bool, ...]" = ()
    _keep_inputs: "tuple[int, ...]" = ()
    _keep_outputs: "tuple[int, ...]" = ()
    _saved_inputs: "tuple[tuple[Tensor, int, Array], ...] | None" = None
    _saved_outputs: "tuple[tuple[Array, Storage, int], ...] | None" = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__.lstrip("_")).lower()
        Function.registry[f"{cls.__module__}.{cls.__qualname__}"] = cls

    def forward(self, *arrays: Any) -> Any:
        """Outputs from input arrays; an absent optional input is ``None``."""
        raise NotImplementedError(f"{self.name}: forward is not defined")

    def backward(self, *gys: Any) -> Any:
        """Gradients of the inputs (a Tensor or ``None`` each) from those of the outputs."""
        raise NotImplementedError(f"{self.name}: backward is not defined")

    # -- for forward and backward -------------------------------------------------------------------------------

    def keep_inputs(self, *indices: int) -> None:
        """Declare inputs that backward will read."""
        self._keep_inputs = indices

    def keep_outputs(self, *indices: int) -> None:
        """Declare outputs (auxiliary ones too) that backward will read."""
        self._keep_outputs = indices

    def kept_inputs(self) -> tuple[Tensor, ...]:
        """The kept inputs, with their history, in the order they were declared."""
        if not self._keep_inputs:
            raise RuntimeError(f"{self.name}: backward asks for kept inputs, but forward kept none; call keep_inputs")
        saved = self._saved_inputs if self._saved_inputs is not None else self._restore()[0]
        for value, version, array in saved:
            if value.storage.version != version or value.data is not array:
                raise self._stale("input", array.shape)
        return tuple([value for value, _, _ in saved])

    def kept_outputs(self) -> tuple[Tensor, ...]:
        """The kept outputs, as made by this node, in the order they were declared."""
        saved = self._saved_outputs if self._saved_outputs is not None else self._restore()[1]
        values = []
        for index, (array, storage, version) in zip(self._keep_outputs, saved, strict=True):
            if storage.version != version:
                raise self._stale("output", array.shape)
            values.append(_output(array, self.device, storage, self, index))
        return tuple(values)

    def needs(self, index: int) -> bool:
        """Whether the gradient of that input is wanted."""
        return index < len(self._needs) and self._needs[index]

    # -- the call -----------------------------------------------------------------------------------------------

    def __call__(self, *args: Any) -> Any:
        """Run forward on Tensors (``None`` where an optional input is absent) and record the node."""
        if self.sequence >= 0:
            raise RuntimeError(f"{self.name}: this node already stands in a graph; make a new one each time: F()(x)")
        inputs = args
        for value in args:
            if value is not None and not isinstance(value, Tensor):
                inputs = lift(self.name, args)
                break
        if state.autocast is not None and self.precision is not None:
            inputs = state.autocast.prepared(self.precision, inputs)
        place: Device | None = None
        recording = False
        for value in inputs:
            if value is not None:
                if place is None:
                    place = value.device
                elif value.device is not place:
                    found = sorted({str(v.device) for v in inputs if v is not None})
                    raise ValueError(f"{self.name}: inputs live on different devices {found}; move them with .to()")
                recording = recording or value.requires_grad
        self.device = place = place or find_device()
        self.backend, self.xp = place.backend, place.xp
        recording = recording and state.grad
        if recording:
            self._needs = tuple(value is not None and value.requires_grad for value in inputs)
            self._refuse_constants()

        result = self._compute(inputs)
        arrays = result if result.__class__ is tuple else (result,)
        outputs = []
        for index, raw in enumerate(arrays):
            array = place.xp.asarray(raw) if isinstance(raw, np.generic) else raw  # NumPy makes scalars of 0-d
            storage = _shared_storage(array, inputs)
            node = self if recording and is_float(array.dtype) else None
            outputs.append(_output(array, place, storage, node, index))
        if recording:
            self._record(inputs, outputs)
        if events.LISTENERS:
            events.emit("forward", self, inputs, outputs)
        if self.aux:
            outputs = outputs[: -self.aux]
        return outputs[0] if result.__class__ is not tuple or len(outputs) == 1 else tuple(outputs)

    def _refuse_constants(self) -> None:
        for index, reason in self.constants.items():
            if self.needs(index):
                raise RuntimeError(f"{self.name}: input {index} is not differentiated ({reason}); pass .detach()")

    def _compute(self, inputs: tuple[Any, ...]) -> Any:
        """Forward on raw arrays; NaN and Inf are values here, and anomaly mode finds where they begin."""
        try:
            with np.errstate(all="ignore"):
                return self.forward(*[None if value is None else value.data for value in inputs])
        except ValueError as error:
            if "could not be broadcast" not in str(error):
                raise
            shapes = [value.shape for value in inputs if value is not None]
            raise ValueError(f"{self.name}: shapes {' and '.join(map(str, shapes))} do not broadcast") from None

    def _record(self, inputs: tuple[Any, ...], outputs: list[Tensor]) -> None:
        """Become a node: number, edges, and the saved values that forward declared."""
        self.sequence = next(_SEQUENCE)
        self.hooks: dict[int, list[Any]] = {}
        self.edges = tuple(
            None if not need else (x if x.node is None else (x.node, x.index))
            for x, need in zip(inputs, self._needs, strict=True)
        )
        self.in_shapes = tuple([None if x is None else x.data.shape for x in inputs])
        self.out_shapes = tuple([y.data.shape for y in outputs])
        self.out_dtypes = tuple([y.data.dtype for y in outputs])
        kept_in = tuple([(x, x.storage.version, x.data) for x in [inputs[i] for i in self._keep_inputs]])
        kept_out = tuple([(y.data, y.storage, y.storage.version) for y in [outputs[i] for i in self._keep_outputs]])
        self._saved_inputs, self._saved_outputs = kept_in, kept_out
        if state.segment is not None:
            state.segment.add(self)

    # -- saved values -------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Drop the saved values after backward."""
        self._saved_inputs = self._saved_outputs = None

    def _restore(self) -> tuple[Any, Any]:
        if self.segment is not None:
            self.segment.replay()
        if self._saved_inputs is None or self._saved_outputs is None:
            raise RuntimeError(
                f"{self.name}: the values saved for backward were freed by an earlier backward; "
                "call the earlier one with retain_graph=True"
            )
        return self._saved_inputs, self._saved_outputs

    def _stale(self, what: str, shape: Shape) -> RuntimeError:
        where = f" (called at {self.location})" if self.location else ""
        return RuntimeError(
            f"{self.name}: an {what} of shape {shape} that backward needs was changed in place after it was "
            f"saved{where}; write out of place, or .clone() it first"
        )

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _output(array: Array, place: Device, storage: Storage, node: Function | None, index: int) -> Tensor:
    """A Tensor for one output of a node; written out because it runs for every operation."""
    out = Tensor.__new__(Tensor)
    out.data, out.device, out.storage, out.node, out.index = array, place, storage, node, index
    out.requires_grad = node is not None
    out.grad = out.hooks = None
    return out


def _shared_storage(array: Array, inputs: tuple[Any, ...]) -> Storage:
    """The storage of the input that ``array`` is a view of, or a new one."""
    base = array.base
    for value in inputs:
        if value is not None and (
            array is value.data or (base is not None and (base is value.data or base is value.data.base))
        ):
            return value.storage  # type: ignore[no-any-return]
    return Storage()


def constant(array: Array, like: Tensor) -> Tensor:
    """A Tensor without history on ``like``'s device, for results that have no gradient (indices, masks)."""
    return Tensor(like.device.xp.asarray(array), like.device)
