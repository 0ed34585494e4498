"""Products of matrices by three loops, and einsum by a loop over every index."""

import itertools
import math

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.ndim == 1:
        return matmul(a[None], b)[..., 0, :] if b.ndim > 1 else np.array(math.fsum(a * b))
    if b.ndim == 1:
        return matmul(a, b[:, None])[..., 0]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])
    y = np.zeros((*lead, a.shape[-2], b.shape[-1]))
    for place in np.ndindex(*y.shape):
        *stack, i, j = place
        y[place] = math.fsum(a[(*stack, i, k)] * b[(*stack, k, j)] for k in range(a.shape[-1]))
    return y


mm = bmm = dot = matmul


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([[x * y for y in b] for x in a])


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], len(w)))
    for place in np.ndindex(*y.shape):
        y[place] = math.fsum(x[place[:-1]] * w[place[-1]]) + (0.0 if b is None else b[place[-1]])
    return y


def bilinear(x: np.ndarray, z: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], len(w)))
    for *lead, o in np.ndindex(*y.shape):
        pairs = itertools.product(range(w.shape[1]), range(w.shape[2]))
        y[(*lead, o)] = math.fsum(x[(*lead, i)] * w[o, i, j] * z[(*lead, j)] for i, j in pairs)
        y[(*lead, o)] += 0.0 if b is None else b[o]
    return y


def einsum(equation: str, *operands: np.ndarray) -> np.ndarray:
    left, arrow, output = equation.partition("->")
    terms = left.split(",")
    assert "." not in equation
    if not arrow:
        letters = "".join(terms)
        output = "".join(c for c in sorted(set(letters)) if letters.count(c) == 1)
    sizes = {c: n for term, x in zip(terms, operands, strict=True) for c, n in zip(term, x.shape, strict=True)}
    y = np.zeros([sizes[c] for c in output])
    for values in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        factors = [x[tuple(at[c] for c in term)] for term, x in zip(terms, operands, strict=True)]
        y[tuple(at[c] for c in output)] += math.prod(factors)
    return y
