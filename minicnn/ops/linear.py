"""Products of matrices and tensors: matmul, the fused affine layer, einsum and what is built on it."""

from collections.abc import Sequence

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import match
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import mul
from minicnn.ops.cast import fit
from minicnn.ops.joining import alike
from minicnn.ops.reduce import sum
from minicnn.ops.shape import permute, reshape, transpose, unsqueeze


class Matmul(Function):
    """Stacks of matrices (..., m, k) @ (..., k, n); leading axes broadcast."""

    precision = "half"

    def forward(self, a: Array, b: Array) -> Array:
        self.keep_inputs(0, 1)
        a, b = match(a, b)
        try:
            return self.xp.matmul(a, b)
        except ValueError:
            raise checks.value_error("matmul", f"shapes {a.shape} and {b.shape} do not fit", input=a, other=b) from None

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = self.kept_inputs()
        return (
            fit(Matmul()(gy, transpose(b, -1, -2)), a.shape, a.dtype) if self.needs(0) else None,
            fit(Matmul()(transpose(a, -1, -2), gy), b.shape, b.dtype) if self.needs(1) else None,
        )


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; vectors count as a row on the left and as a column on the right.

    Parameters
    ----------
    input : Tensor (..., m, k) or (k,)
    other : Tensor (..., k, n) or (k,)
        Leading axes broadcast.

    Returns
    -------
    Tensor (..., m, n), without m or n where the operand was a vector

    Raises
    ------
    ValueError
        If the inner sizes differ or the leading axes do not broadcast.

    Gradient
    --------
    gy @ other.T to the input, input.T @ gy to the other, summed over broadcast axes. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.matmul(mc.tensor([[1, 2], [3, 4]]), mc.tensor([1, 1])).tolist()
    [3, 7]
    """
    row, column = input.data.ndim == 1, other.data.ndim == 1
    if row or column or not input.ndim or not other.ndim:
        return _vector_matmul(input, other, row, column)
    if other.data.ndim == 2 and input.data.ndim > 2:  # one large product instead of many small ones
        flat = Matmul()(reshape(input, (-1, input.shape[-1])) if input.numel() else input, other)
        return reshape(flat, (*input.shape[:-1], other.shape[-1]))
    return Matmul()(input, other)  # type: ignore[no-any-return]


def _vector_matmul(input: Tensor, other: Tensor, row: bool, column: bool) -> Tensor:
    if not input.ndim or not other.ndim:
        raise checks.value_error("matmul", "operands must be at least 1-d; use *", input=input, other=other)
    y = matmul(unsqueeze(input, 0) if row else input, unsqueeze(other, 1) if column else other)
    shape = y.shape[:-2] + (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:])
    return reshape(y, shape)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """:func:`matmul` of two matrices.

    Gradient
    --------
    gy @ mat2.T to the input, input.T @ gy to ``mat2``. Any order.
    """
    checks.ndim("mm", "input", input, 2)
    checks.ndim("mm", "mat2", mat2, 2)
    return Matmul()(input, mat2)  # type: ignore[no-any-return]


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """:func:`matmul` of two stacks of matrices (b, m, k) and (b, k, n).

    Gradient
    --------
    gy @ mat2.T to the input, input.T @ gy to ``mat2``, matrix by matrix. Any order.
    """
    checks.ndim("bmm", "input", input, 3)
    checks.ndim("bmm", "mat2", mat2, 3)
    return Matmul()(input, mat2)  # type: ignore[no-any-return]


class Linear(Function):
    """x @ w.T + b on matrices, one node."""

    precision = "half"

    def forward(self, x: Array, w: Array, b: Array | None) -> Array:
        self.keep_inputs(0, 1)
        if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
            given = {} if b is None else {"bias": b}
            raise checks.value_error("linear", "expected (..., n), (m, n) and (m,)", input=x, weight=w, **given)
        if x.dtype != w.dtype or (b is not None and b.dtype != w.dtype):
            raise checks.type_error("linear", "input, weight and bias must share a dtype", input=x, weight=w)
        xp = self.xp
        y = xp.matmul(x, w.T)
        return y if b is None else xp.add(y, b, out=y)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, w = self.kept_inputs()
        return (
            Matmul()(gy, w) if self.needs(0) else None,
            Matmul()(transpose(gy, 0, 1), x) if self.needs(1) else None,
            sum(gy, 0) if self.needs(2) else None,
        )


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Affine map, y = input @ weight.T + bias.

    Parameters
    ----------
    input : Tensor (..., n)
    weight : Tensor (m, n)
    bias : Tensor (m,), optional

    Returns
    -------
    Tensor (..., m)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If the dtypes differ.

    Gradient
    --------
    gy @ weight to the input, gy.T @ input to the weight, the column sums of gy to the bias. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.linear(mc.tensor([[1.0, 2.0]]), mc.tensor([[3.0, 4.0]]), mc.tensor([0.5])).tolist()
    [[11.5]]
    """
    shape = input.data.shape
    if len(shape) == 2:
        return Linear()(input, weight, bias)  # type: ignore[no-any-return]
    if not shape:
        raise checks.value_error("linear", "input must be at least 1-d", input=input)
    rows = 1
    for n in shape[:-1]:
        rows *= n
    return reshape(Linear()(reshape(input, (rows, shape[-1])), weight, bias), (*shape[:-1], weight.shape[0]))


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Inner product of two vectors.

    Gradient
    --------
    gy times the other vector. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.dot(mc.tensor([1, 2]), mc.tensor([3, 4])).item()
    11
    """
    checks.ndim("dot", "input", input, 1)
    checks.ndim("dot", "tensor", tensor, 1)
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors: y[i, j] = input[i] * vec2[j].

    Gradient
    --------
    gy @ vec2 and gy.T @ input. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.outer(mc.tensor([1, 2]), mc.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    checks.ndim("outer", "input", input, 1)
    checks.ndim("outer", "vec2", vec2, 1)
    return mul(unsqueeze(input, 1), vec2)


class Einsum(Function):
    """Sum of products; every index of an operand stands once in it, and again in the output or another operand."""

    precision = "half"

    def __init__(self, operands: Sequence[str], output: str) -> None:
        self.operands, self.output = list(operands), output

    def forward(self, *arrays: Array) -> Array:
        self.keep_inputs(*range(len(arrays)))
        return self.xp.einsum(f"{','.join(self.operands)}->{self.output}", *arrays, optimize=len(arrays) > 1)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        inputs = self.kept_inputs()
        found: list[Tensor | None] = []
        for i, wanted in enumerate(self.operands):
            if not self.needs(i):
                found.append(None)
                continue
            others = [j for j in range(len(inputs)) if j != i]
            subscripts = [self.output, *(self.operands[j] for j in others)]
            found.append(Einsum(subscripts, wanted)(gy, *(inputs[j] for j in others)))
        return tuple(found)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Einstein's summation: indices that are not in the output are summed over.

    Parameters
    ----------
    equation : str
        "bij,bjk->bik"; without "->" the indices that occur once are the output, in alphabetical order. An index
        twice in one operand takes the diagonal; "..." stands for leading axes that broadcast.
    *operands : Tensor
        One for each group of indices; different dtypes meet in their common one.

    Raises
    ------
    ValueError
        If the equation does not fit the operands.

    Gradient
    --------
    To each operand the einsum of gy with all others, indexed as that operand. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.einsum("ij,j->i", mc.tensor([[1.0, 2.0], [3.0, 4.0]]), mc.tensor([1.0, 1.0])).tolist()
    [3.0, 7.0]
    """
    if operands:
        operands = tuple(alike("einsum", operands))
    terms, output = _subscripts(equation, operands)
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n and n != 1 and sizes[letter] != 1:
                raise checks.value_error("einsum", f"index {letter!r} has sizes {sizes[letter]} and {n}", input=x)
            sizes[letter] = max(sizes[letter], n) if n != 0 and sizes[letter] != 0 else 0
    plain = [_plain(term, x, sizes) for term, x in zip(terms, operands, strict=True)]
    for i, (term, x) in enumerate(plain):  # an index of one operand alone is summed out first
        rest = output + "".join(other for j, (other, _) in enumerate(plain) if j != i)
        alone = tuple(axis for axis, letter in enumerate(term) if letter not in rest)
        if alone:
            plain[i] = "".join(letter for letter in term if letter in rest), sum(x, alone)
    present = "".join(term for term, _ in plain)
    core = "".join(letter for letter in output if letter in present)
    y: Tensor = Einsum([term for term, _ in plain], core)(*(x for _, x in plain))
    return y if core == output else reshape(y, tuple(sizes[letter] for letter in output))


def _subscripts(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """One string of letters for each operand and for the output, "..." spelt out in capitals not used otherwise."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise checks.value_error("einsum", f"{equation!r} names {len(terms)} operands, got {len(operands)}")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    depth = 0
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        extra = x.ndim - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term):
            raise checks.value_error("einsum", f"{term!r} does not fit a {x.ndim}-d operand", operand=x)
        depth = max(depth, extra)
        terms[i] = term.replace("...", "".join(spare[:extra][::-1]))  # aligned at the last of the leading axes
    leading = "".join(spare[:depth][::-1])
    if arrow:
        output = output.replace("...", leading)
    else:
        letters = "".join(terms)
        output = leading + "".join(c for c in sorted(set(letters)) if letters.count(c) == 1 and c not in leading)
    unknown = set(output) - set("".join(terms))
    if unknown or len(set(output)) != len(output) or not all(c.isalpha() for c in output + "".join(terms)):
        raise checks.value_error("einsum", f"the output of {equation!r} must name indices of the operands, each once")
    return terms, output


def _plain(term: str, x: Tensor, sizes: dict[str, int]) -> tuple[str, Tensor]:
    """The operand without broadcast axes and with diagonals taken: each of its indices once, at full size."""
    axes = [i for i, letter in enumerate(term) if x.shape[i] == sizes[letter]]
    if len(axes) < len(term):
        x, term = reshape(x, tuple(x.shape[i] for i in axes)), "".join(term[i] for i in axes)
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        i = term.index(letter)
        j = term.index(letter, i + 1)
        order = [k for k in range(len(term)) if k not in (i, j)]
        n = sizes[letter]
        x = reshape(permute(x, (*order, i, j)), (*(x.shape[k] for k in order), n * n))
        x = x[..., :: n + 1]
        term = "".join(term[k] for k in order) + letter
    return term, x


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = input1 @ weight[o] @ input2 + bias[o].

    Parameters
    ----------
    input1 : Tensor (..., n)
    input2 : Tensor (..., k)
    weight : Tensor (m, n, k)
    bias : Tensor (m,), optional

    Gradient
    --------
    That of the einsum "...i,oij,...j->...o". Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.bilinear(mc.tensor([[2.0]]), mc.tensor([[3.0]]), mc.tensor([[[4.0]]])).tolist()
    [[24.0]]
    """
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias
