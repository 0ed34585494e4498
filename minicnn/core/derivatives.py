"""Derivatives of functions as functions: products with Jacobians and Hessians, and the full matrices.

``f`` takes Tensors and returns one Tensor. Forward-mode products come from reverse mode twice: ``J^T u`` is linear
in ``u``, so its gradient with respect to ``u``, along ``v``, is ``J v``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from minicnn.core import backprop
from minicnn.core.modes import enable_grad
from minicnn.core.tensor import Tensor

Inputs = Tensor | Sequence[Tensor]


def _leaves(inputs: Inputs) -> list[Tensor]:
    return [t.detach().requires_grad_() for t in ([inputs] if isinstance(inputs, Tensor) else inputs)]


def _grad(outputs: Any, inputs: Any, cotangents: Any = None, create_graph: bool = False, retain: bool = False) -> Any:
    """Gradients, ``None`` where nothing depends on the input."""
    roots = [outputs] if isinstance(outputs, Tensor) else outputs
    if not all(r.requires_grad for r in roots):
        return (None,) * (1 if isinstance(inputs, Tensor) else len(inputs))
    return backprop.grad(outputs, inputs, cotangents, retain or create_graph, create_graph, allow_unused=True)


def _like(value: Any, inputs: Inputs) -> Any:
    return value[0] if isinstance(inputs, Tensor) else tuple(value)


def _filled(gradients: Sequence[Any], leaves: list[Tensor]) -> list[Tensor]:
    """Zeros where an input was not used."""
    return [Tensor(x.device.xp.zeros_like(x.data), x.device) if g is None else g
            for g, x in zip(gradients, leaves, strict=True)]  # fmt: skip


def vjp(f: Callable[..., Tensor], inputs: Inputs, v: Tensor | None = None) -> tuple[Tensor, Any]:
    """``(f(inputs), J^T v)``: the value and the vector-Jacobian product (``v`` of the output's shape)."""
    with enable_grad():
        leaves = _leaves(inputs)
        output = f(*leaves)
        gradients = _grad(output, leaves, v)
    return output.detach(), _like(_filled(gradients, leaves), inputs)


def jvp(f: Callable[..., Tensor], inputs: Inputs, v: Inputs) -> tuple[Tensor, Tensor]:
    """``(f(inputs), J v)``: the value and the Jacobian-vector product (``v`` of the inputs' shapes).

    Examples
    --------
    >>> import minicnn as mc
    >>> value, slope = mc.jvp(lambda x: x * x, mc.tensor([1.0, 2.0]), mc.tensor([1.0, 1.0]))
    >>> slope
    tensor([2., 4.])
    """
    with enable_grad():
        leaves = _leaves(inputs)
        output = f(*leaves)
        u = Tensor(output.device.xp.zeros_like(output.data), output.device, requires_grad=True)
        rows = _grad(output, leaves, u, create_graph=True)
        directions = [v] if isinstance(v, Tensor) else list(v)
        used = [(r, d) for r, d in zip(rows, directions, strict=True) if r is not None and r.requires_grad]
        products = _grad([r for r, _ in used], u, [d for _, d in used]) if used else [None]
    return output.detach(), _filled(products, [u])[0]


def hvp(f: Callable[..., Tensor], inputs: Inputs, v: Inputs) -> tuple[Tensor, Any]:
    """``(f(inputs), H v)`` for a scalar ``f``: the Hessian times a vector, at the cost of two backward passes."""
    with enable_grad():
        leaves = _leaves(inputs)
        output = f(*leaves)
        gradients = _grad(output, leaves, create_graph=True)
        directions = [v] if isinstance(v, Tensor) else list(v)
        used = [(g, d) for g, d in zip(gradients, directions, strict=True) if g is not None and g.requires_grad]
        products = _grad([g for g, _ in used], leaves, [d for _, d in used]) if used else [None] * len(leaves)
    return output.detach(), _like(_filled(products, leaves), inputs)


def _rows(output: Tensor, leaf: Tensor) -> Tensor:
    """D output / d leaf, shape ``output.shape + leaf.shape``, a row for each element of the output."""
    xp = output.device.xp
    rows = xp.zeros((output.numel(), *leaf.shape), dtype=leaf.dtype)
    for i in range(output.numel() if output.requires_grad else 0):
        e = xp.zeros_like(output.data)
        e.reshape(-1)[i] = 1
        (row,) = _grad(output, leaf, Tensor(e, output.device), retain=True)
        if row is not None:
            rows[i] = row.data
    return Tensor(rows.reshape(*output.shape, *leaf.shape), output.device)


def jacobian(f: Callable[..., Tensor], inputs: Inputs) -> Any:
    """All of ``d f / d input``: for each input a Tensor of shape ``output.shape + input.shape``.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.jacobian(lambda x: x * x, mc.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    with enable_grad():
        leaves = _leaves(inputs)
        output = f(*leaves)
        return _like([_rows(output, leaf) for leaf in leaves], inputs)


def hessian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """All second derivatives of a scalar ``f`` of one Tensor, shape ``x.shape + x.shape``."""

    def gradient(leaf: Tensor) -> Tensor:
        return _filled(_grad(f(leaf), leaf, create_graph=True), [leaf])[0]

    return jacobian(gradient, x)  # type: ignore[no-any-return]
