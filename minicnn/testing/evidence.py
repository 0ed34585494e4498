"""What a failed check hands to the diagnosis: two Jacobians, the values around them, and further experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.core.types import Array, Shape


@dataclass(frozen=True)
class JacobianPair:
    """Two Jacobians of one output by one input: what backward says and what the function does.

    Parameters
    ----------
    input, output : str
        Labels: ``input 0``, ``bias``; ``output 0``.
    order : int
        Derivative order; from 2 on the function is the gradient of the order below.
    input_shape, output_shape : tuple of int
    columns, rows : numpy.ndarray of int
        Flat indices of the input elements and output elements that were looked at (all, where the arrays are small).
    analytic, numeric, error : numpy.ndarray, (len(rows), len(columns))
        ``d output[row] / d input[column]``, and the error bar of ``numeric``.
    """

    input: str
    output: str
    order: int
    input_shape: Shape
    output_shape: Shape
    columns: Array
    rows: Array
    analytic: Array
    numeric: Array
    error: Array

    @property
    def complete(self) -> bool:
        """Whether every element of input and output was looked at."""
        whole = int(np.prod(self.output_shape)), int(np.prod(self.input_shape))
        return (len(self.rows), len(self.columns)) == whole

    @property
    def wrong(self) -> Array:
        """Where the two differ by more than can be explained, (len(rows), len(columns)) of bool."""
        size = np.maximum(np.abs(self.analytic), np.abs(self.numeric))
        scale = float(np.max(np.abs(self.numeric), initial=0.0, where=np.isfinite(self.numeric)))
        gap = np.abs(self.analytic - self.numeric)
        return ~(gap <= 1e-6 * size + 1e-8 * scale + 4 * self.error) | ~np.isfinite(self.analytic)


@dataclass(frozen=True)
class Evidence:
    """One input and output whose gradients disagree, with what a diagnosis may look at and try.

    Parameters
    ----------
    jacobians : JacobianPair
        At the point that failed.
    inputs : dict of str to numpy.ndarray
        Every array argument at that point by its label, integers too, in the order of the call.
    outputs : dict of str to numpy.ndarray
        Every float output there.
    options : dict
        Keyword arguments that are no arrays (``alpha``, ``eps``, ``padding``).
    gradient : callable
        Backward's gradient of the input from a cotangent of the output (other cotangents zero); None where it
        returned None.
    value : callable
        From replaced inputs, by label, to the output there; None where the function cannot be evaluated.
    numeric_at : callable
        From replaced inputs, by label, to the numerical Jacobian there, rows and columns as in ``jacobians``; None
        where it cannot be had.
    """

    jacobians: JacobianPair
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    gradient: Callable[[Array], Array | None]
    value: Callable[[dict[str, Array]], Array | None]
    numeric_at: Callable[[dict[str, Array]], Array | None]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> Array:
        """The input that is differentiated."""
        return self.inputs[self.jacobians.input]

    @property
    def y(self) -> Array:
        """The output."""
        return self.outputs[self.jacobians.output]


@dataclass(frozen=True)
class Diagnosis:
    """A probable cause of a failure.

    Parameters
    ----------
    cause : str
        An identifier of :data:`minicnn.testing.catalogue.CAUSES`.
    where : str
        The input (and output) it concerns.
    sentence : str
        What was seen, with its numbers: "analytic is 64.0 times numeric everywhere".
    """

    cause: str
    where: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.cause} ({self.where}): {self.sentence}"
