"""A float64 gradient checker: what backward says against what forward does.

The gradient of ``<v, f(x)>`` for a random cotangent ``v`` is compared with its numerical derivative, entry by entry
where the input is small and along random directions where it is large. Never a plain sum of the outputs: that of a
softmax is constant, and every rule passes. Order 2 checks the function ``(x, v) -> d<v, f(x)>/dx`` in the same way,
and order 3 that function's gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.modes import enable_grad, no_grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing.arguments import Arguments, label
from minicnn.testing.numeric import derivative
from minicnn.testing.report import Finding, Report

Tensors = list[Tensor]
Mapping = Callable[[Tensors], Tensors]  # from the differentiated inputs to the float outputs

_COTANGENTS = 2


def gradcheck(
    f: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    order: int = 1,
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
    constants: tuple[int | str, ...] = (),
    writes: tuple[int | str, ...] = (),
    flat: bool = False,
    rtol: float = 1e-6,
    step: float = 1e-3,
    full: int = 64,
) -> Report:
    """Check the gradients of ``f`` at ``inputs``, up to a derivative order.

    Parameters
    ----------
    f : callable
        From Tensors to a Tensor or a tuple of Tensors; outputs that are not float are ignored.
    inputs : sequence
        Positional arguments: arrays or Tensors (floats are promoted to float64 and differentiated, integers passed
        on), lists of them, ``None`` and plain values.
    order : int
        Highest derivative order to check.
    kwargs : dict, optional
        Keyword arguments, treated like ``inputs``.
    seed : int
        Of the cotangents and directions; the same seed gives the same verdict.
    constants : tuple of int or str
        Float arguments, by position or keyword, that are not differentiated.
    writes : tuple of int or str
        Arguments that ``f`` may write; every other one must come back unchanged.
    flat : bool
        ``f`` is declared to be constant around its inputs, so that a zero gradient is no vacuous check.
    rtol : float
        Allowed difference, relative to the larger of both values; error bounds of the numerical side are added.
    step : float
        Largest step of the central differences; keep kinks and ties further away than twice this.
    full : int
        Inputs of at most this many elements are checked entry by entry at order 1.

    Returns
    -------
    Report
        True if everything agreed and could have disagreed; ``.require()`` raises otherwise.

    Raises
    ------
    ValueError
        If ``order`` is less than 1.

    Notes
    -----
    Also checked: shape and dtype of every gradient, that neither inputs nor cotangents are written, that backward
    gives the same bits twice, on one graph and on a fresh one. An input whose numerical derivative is zero within its
    error along every probe makes the report vacuous: the rule could not have been caught.

    Examples
    --------
    >>> import numpy as np
    >>> import minicnn as mc
    >>> from minicnn.testing.gradcheck import gradcheck
    >>> bool(gradcheck(lambda x, y: x * y, [np.array([1.0, 2.0]), np.array([3.0, -1.0])], order=2))
    True
    """
    if order < 1:
        raise ValueError(f"gradcheck: order must be at least 1, got {order}")
    arguments = Arguments(tuple(_plain(v) for v in inputs), {k: _plain(v) for k, v in (kwargs or {}).items()})
    wanted = arguments.floats(constants)
    report = Report(seed=seed, expected_flat=flat)
    random = np.random.default_rng(seed)
    written = {i for i, path in enumerate(arguments.paths) if path[0] in writes}

    def mapping(tensors: Tensors) -> Tensors:
        given = dict(zip(wanted, tensors, strict=True))
        leaves = [given[i] if i in given else _wrap(leaf, i in written) for i, leaf in enumerate(arguments.leaves)]
        args, options = arguments.build(leaves)
        result = f(*args, **options)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        return [y for y in outputs if isinstance(y, Tensor) and y.dtype.kind == "f"]

    names = [label(arguments.paths[i]) for i in wanted]
    arrays = [arguments.leaves[i] for i in wanted]
    before = [leaf.copy() if isinstance(leaf, np.ndarray) else None for leaf in arguments.leaves]
    if not arrays or not mapping([Tensor(a) for a in arrays]):
        return report
    step_names = names
    function: Mapping = mapping
    for level in range(1, order + 1):
        check = _Check(function, arrays, step_names, level, random, report)
        check.run(rtol=rtol, step=step, full=full if level == 1 else 0, directions=2 if level < 3 else 1)
        if report.findings:
            break
        function = _gradient_of(function, len(arrays))
        arrays = [*arrays, *check.cotangents[0]]
        step_names = [*step_names, *(f"cotangent {i} of order {level}" for i in range(len(check.cotangents[0])))]
    for path, leaf, copy, skip in zip(
        arguments.paths, arguments.leaves, before, (i in written for i in range(len(before))), strict=True
    ):
        if copy is not None and not skip and not _same(leaf, copy):
            report.findings.append(Finding("input modified", 1, label(path), "f or its backward wrote into it"))
    return report


class _Check:
    """One order: analytic gradients of <v, F(x)> against numerical ones."""

    def __init__(
        self, function: Mapping, arrays: list[Array], names: list[str], order: int,
        random: np.random.Generator, report: Report,
    ) -> None:
        self.function, self.arrays, self.names, self.order = function, arrays, names, order
        self.random, self.report = random, report
        with no_grad():
            outputs = function([Tensor(a) for a in arrays])
        self.cotangents = [[random.standard_normal(y.shape) for y in outputs] for _ in range(_COTANGENTS)]
        for i, y in enumerate(outputs):
            if not np.all(np.isfinite(y.data)):
                self.find("not finite", f"output {i}", "f is not finite here; the check needs finite values")

    def find(self, kind: str, where: str, message: str) -> None:
        self.report.findings.append(Finding(kind, self.order, where, message))

    def run(self, *, rtol: float, step: float, full: int, directions: int) -> None:
        analytic = [self.gradients(v) for v in self.cotangents]
        self.repeatable(analytic[0])
        if self.report.findings:
            return
        for block, (name, x) in enumerate(zip(self.names, self.arrays, strict=True)):
            if x.size == 0:
                continue
            everywhere = x.size <= full
            probes = _entries(x) if everywhere else self.directions(x, directions)
            flat = True
            for where, probe in probes:
                numeric, error = derivative(lambda t, i=block, u=probe: self.dots(i, t * u), step=step)  # type: ignore[misc]
                exact = np.array([np.sum(g[block] * probe) for g in analytic])
                flat &= bool(np.all(np.abs(numeric) <= error))
                self.compare(name + where, exact, numeric, error, [g[block] for g in analytic], rtol)
            if flat and self.order == 1:
                self.report.flat.append(name)

    def gradients(self, cotangents: list[Array]) -> list[Array]:
        """Gradients of <v, F(x)>, with what can be said about them without knowing their values."""
        tensors = [Tensor(a, requires_grad=True) for a in self.arrays]
        copies = [v.copy() for v in cotangents]
        outputs = self.function(tensors)
        first = _pull(outputs, tensors, cotangents, retain_graph=True)
        kept = [None if g is None else g.data.copy() for g in first]
        second = _pull(outputs, tensors, cotangents)
        result = []
        for name, x, g, old, again in zip(self.names, self.arrays, first, kept, second, strict=True):
            if g is None or again is None or old is None:
                result.append(np.zeros(x.shape))
                continue
            if g.shape != x.shape:
                self.find("shape", name, f"the gradient has shape {g.shape}, the input {x.shape}")
            elif g.dtype != x.dtype:
                self.find("dtype", name, f"the gradient is {g.dtype}, the input {x.dtype}")
            elif not np.all(np.isfinite(old)):
                self.find("not finite", name, f"{np.sum(~np.isfinite(old))} entries of the gradient are not finite")
            elif not _same(old, again.data):
                self.find("nondeterministic", name, "backward on the same graph gave other bits the second time")
            result.append(old)
        for i, (v, copy) in enumerate(zip(cotangents, copies, strict=True)):
            if not _same(v, copy):
                self.find("input modified", f"cotangent {i}", "backward wrote into the incoming gradient")
        return result

    def repeatable(self, first: list[Array]) -> None:
        again = self.gradients(self.cotangents[0])
        for name, a, b in zip(self.names, first, again, strict=True):
            if not _same(a, b):
                self.find("nondeterministic", name, "forward and backward again gave a gradient with other bits")

    def dots(self, block: int, change: Array) -> Array:
        """<v, F(x)> for every cotangent v, with one input changed."""
        tensors = [Tensor(a + change if i == block else a) for i, a in enumerate(self.arrays)]
        with no_grad():
            outputs = self.function(tensors)
        return np.array([
            sum(np.sum(y.data * c) for y, c in zip(outputs, v, strict=True)) for v in self.cotangents
        ])

    def directions(self, x: Array, count: int) -> list[tuple[str, Array]]:
        """Random dense directions with entries between -1 and 1."""
        found = []
        for i in range(count):
            u = self.random.uniform(0.2, 1.0, x.shape) * self.random.choice([-1.0, 1.0], x.shape)
            found.append((f" along direction {i}", u))
        return found

    def compare(
        self, where: str, exact: Array, numeric: Array, error: Array, whole: list[Array], rtol: float
    ) -> None:
        size = np.maximum(np.abs(exact), np.abs(numeric))
        scale = np.array([np.sqrt(np.mean(g * g)) for g in whole])  # an entry may be a cancelled sum of such terms
        allowed = rtol * size + 1e-9 * scale + 4 * error
        ratio = np.abs(exact - numeric) / np.maximum(allowed, np.finfo(float).tiny)
        worst = int(np.argmax(ratio))
        self.report.comparisons += len(exact)
        self.report.worst = max(self.report.worst, float(ratio[worst]))
        values = f"backward {exact[worst]:.10g}, numerical {numeric[worst]:.10g} +- {error[worst]:.1g}"
        if ratio[worst] > 1:
            self.find("mismatch", where, values)
        elif np.any(error > 1e-3 * np.maximum(size, scale) + 1e-9):
            self.find("error bar", where, f"too wide to conclude ({values}): a kink or tie nearby?")


def _gradient_of(function: Mapping, count: int) -> Mapping:
    """(x, v) -> gradients of <v, function(x)>, as a mapping that can itself be differentiated."""

    def mapping(tensors: Tensors) -> Tensors:
        recording = any(t.requires_grad for t in tensors)
        points = [t if t.requires_grad else Tensor(t.data, requires_grad=True) for t in tensors[:count]]
        with enable_grad():
            gradients = _pull(function(points), points, tensors[count:], create_graph=recording)
        return [
            Tensor(np.zeros(x.shape)) if g is None else g for x, g in zip(points, gradients, strict=True)
        ]

    return mapping


def _pull(
    outputs: Tensors, inputs: Tensors, cotangents: Sequence[Any], *,
    retain_graph: bool | None = None, create_graph: bool = False,
) -> list[Tensor | None]:
    pairs = [
        (y, v if isinstance(v, Tensor) else Tensor(v))
        for y, v in zip(outputs, cotangents, strict=True) if y.requires_grad
    ]
    if not pairs:
        return [None] * len(inputs)
    ys, vs = zip(*pairs, strict=True)
    return list(grad(ys, inputs, vs, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True))


def _entries(x: Array) -> list[tuple[str, Array]]:
    """The unit vectors of ``x``'s space, named by their index."""
    found = []
    for index in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[index] = 1.0
        found.append((f" at {list(index)}" if index else "", unit))
    return found


def _plain(value: Any) -> Any:
    """Tensors as arrays, float arrays as float64 (layout kept), containers alike."""
    if isinstance(value, (list, tuple)):
        items = [_plain(v) for v in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != np.float64:
        return value.astype(np.float64)
    return value


def _wrap(value: Any, copied: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return Tensor(value.copy() if copied else value)


def _same(a: Array, b: Array) -> bool:
    """Equal bit for bit, NaN included (but not the sign of zero)."""
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
