"""Vectors of channels: the three innermost steps of Winograd convolution, as LLVM vectors.

- ``transpose``        between planes (NCHW) and pixels that hold a vector of neighbouring channels
- ``sandwich(M)``      ``M d M.T`` of a small matrix ``d`` whose elements are vectors
- ``product``          a register tile of a matrix product

As in :mod:`~minicnn.backends.cpu.simd`, numba's own loops over such blocks stay scalar: LLVM must assume that the many
places read and written overlap.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minicnn.backends.cpu.simd import _I32, _I64, _WIDE, _Emit

TILE_VECTORS = 2  # vectors of columns in the register tile of a product
TILE_ROWS = 12 if _WIDE else 6  # its rows where they are apart: 24 accumulators of 32 registers, or 12 of 16
TOGETHER_ROWS = 8 if _WIDE else 4  # its rows where they lie together: a divisor of a vector's lanes

Matrix = Sequence[Sequence[float]]


class _Body(_Emit):
    """Inside a function of its own, whose arguments are addresses where the intrinsic's are arrays."""

    def pointer(self, position: int, index: Any = None) -> Any:
        return self.args[position] if index is None else self.builder.gep(self.args[position], [index])


def _apart(name: str, generate: Callable[..., None]) -> Callable[..., Any]:
    """Code generation that calls one function per module instead of repeating its body wherever it is used."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        given = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        full = f"minicnn_{name}_{signature.args[0].dtype}"
        function = builder.module.globals.get(full)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [a.type for a in given]), full)
            function.linkage = "internal"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            generate(_Body(context, inner, signature, function.args, signature.args[0].dtype))
            inner.ret_void()
        builder.call(function, given)
        return context.get_dummy_value()

    return codegen


def _lane_mask(emit: _Emit, count: Any) -> Any:
    """True in the first ``count`` lanes."""
    lanes = emit.vector.count
    numbers = ir.VectorType(_I64, lanes)
    empty = ir.Constant(numbers, ir.Undefined)
    first = emit.builder.insert_element(empty, count, ir.Constant(_I32, 0))
    spread = emit.builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, lanes), None))
    return emit.builder.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), spread)


def _masked(emit: _Emit, name: str, arguments: list[Any], result: Any) -> Any:
    suffix = f"v{emit.vector.count}f{8 * emit.item}.p0"
    kind = ir.FunctionType(result, [a.type for a in arguments])
    full = f"llvm.masked.{name}.{suffix}"
    function = emit.builder.module.globals.get(full) or ir.Function(emit.builder.module, kind, full)
    return emit.builder.call(function, arguments)


@intrinsic
def transpose(typingctx, source, at, pitch, rows, columns, target, to, out_pitch):  # type: ignore[no-untyped-def]
    """target[to + c*out_pitch + r] = source[at + r*pitch + c] for r < rows, c < columns, each at most one vector."""
    whole = types.intp
    signature = types.void(source, whole, whole, whole, whole, target, whole, whole)

    def generate(emit: _Body) -> None:
        builder, args, lanes = emit.builder, emit.args, emit.vector.count
        bits = ir.VectorType(ir.IntType(1), lanes)
        align, nothing, empty = ir.Constant(_I32, emit.item), ir.Constant(bits, None), ir.Constant(emit.vector, None)
        read, write = _lane_mask(emit, args[4]), _lane_mask(emit, args[3])

        def within(row: int, count: Any, mask: Any) -> Any:
            return builder.select(builder.icmp_signed("<", ir.Constant(_I64, row), count), mask, nothing)

        def place(start: Any, row: int, distance: Any) -> Any:
            pointer = emit.step(start, builder.mul(distance, ir.Constant(_I64, row)))
            return builder.bitcast(pointer, emit.vector.as_pointer())

        start, goal = emit.pointer(0, args[1]), emit.pointer(5, args[6])
        block = [
            _masked(emit, "load", [place(start, r, args[2]), align, within(r, args[3], read), empty], emit.vector)
            for r in range(lanes)
        ]
        step = 1
        while step < lanes:  # exchange the off-diagonal blocks of size ``step``
            low = [j if not j & step else lanes + j - step for j in range(lanes)]
            high = [j + step if not j & step else lanes + j for j in range(lanes)]
            masks = [ir.Constant(ir.VectorType(_I32, lanes), picks) for picks in (low, high)]
            for i in range(lanes):
                if not i & step:
                    a, b = block[i], block[i + step]
                    block[i], block[i + step] = (builder.shuffle_vector(a, b, mask) for mask in masks)
            step *= 2
        for r in range(lanes):
            _masked(
                emit, "store", [block[r], place(goal, r, args[7]), align, within(r, args[4], write)], ir.VoidType()
            )

    return signature, _apart("transpose", generate)


def _combination(emit: _Emit, weights: Sequence[float], values: list[Any]) -> Any:
    """Sum of weights[k] * values[k]; ones and zeros cost nothing."""
    total = None
    for weight, value in sorted(zip(weights, values, strict=True), key=lambda pair: pair[0] not in (1, -1)):
        if weight == 0:
            continue
        if weight in (1, -1) and total is not None:
            add = emit.builder.fadd if weight == 1 else emit.builder.fsub
            total = add(total, value, flags=("contract",))
            continue
        if weight != 1:
            factor = ir.Constant(emit.vector, [weight] * emit.vector.count)
            value = emit.builder.fmul(value, factor, flags=("contract",))
        total = value if total is None else emit.builder.fadd(total, value, flags=("contract",))
    return total


def sandwich(name: str, matrix: Matrix, finish: bool = False) -> Any:
    """An intrinsic of that name that computes ``matrix @ d @ matrix.T``, each element of ``d`` a vector of channels.

    It reads element (i, j) at ``at + i*down + j*right`` and writes at ``to + i*out_down + j*out_right``. With
    ``finish`` it adds a vector of biases and replaces what is below ``least`` by it (ReLU, or minus infinity).
    """
    height, width = len(matrix), len(matrix[0])

    def generate(emit: _Body) -> None:
        builder, args = emit.builder, emit.args
        source, target = emit.pointer(0, args[1]), emit.pointer(4, args[5])

        def offset(i: int, j: int, down: Any, right: Any) -> Any:
            return builder.add(builder.mul(down, ir.Constant(_I64, i)), builder.mul(right, ir.Constant(_I64, j)))

        half = []  # matrix @ d, by columns
        for j in range(width):
            column = [emit.load(emit.step(source, offset(i, j, args[2], args[3]))) for i in range(width)]
            half.append([_combination(emit, weights, column) for weights in matrix])
        for i in range(height):
            for j in range(height):
                value = _combination(emit, matrix[j], [half[k][i] for k in range(width)])
                if finish:
                    value = builder.fadd(value, emit.load(emit.pointer(8, args[9])))
                    least = emit.spread(args[10])
                    value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
                emit.store(value, emit.step(target, offset(i, j, args[6], args[7])))

    whole = types.intp
    if finish:

        @intrinsic
        def finished(typingctx, source, at, down, right, target, to, out_down, out_right, bias, first, least):  # type: ignore[no-untyped-def]
            places = (whole, whole, whole)
            return types.void(source, *places, target, *places, bias, whole, source.dtype), _apart(name, generate)

        return finished

    @intrinsic
    def plain(typingctx, source, at, down, right, target, to, out_down, out_right):  # type: ignore[no-untyped-def]
        places = (whole, whole, whole)
        return types.void(source, *places, target, *places), _apart(name, generate)

    return plain


def _product(together: bool) -> Any:
    count = TOGETHER_ROWS if together else TILE_ROWS

    @intrinsic
    def product(typingctx, a, a0, pitch, b, b0, b_pitch, steps, c, c0, c_pitch, add):  # type: ignore[no-untyped-def]
        """c[c0 + r*c_pitch + j] (+)= sum over k < steps of A[r, k] * b[b0 + k*b_pitch + j].

        For TILE_ROWS (TOGETHER_ROWS) rows r and TILE_VECTORS vectors of columns j. ``A[r, k]`` is
        ``a[a0 + r*pitch + k]``, or ``a[a0 + k*pitch + r]`` where the rows lie together. With ``add`` 1, to what ``c``
        holds.
        """
        whole = types.intp
        signature = types.void(a, whole, whole, b, whole, whole, whole, c, whole, whole, whole)

        def generate(emit: _Body) -> None:
            builder, args, lanes = emit.builder, emit.args, emit.vector.count
            left, right, target = emit.pointer(0, args[1]), emit.pointer(3, args[4]), emit.pointer(7, args[8])
            rows = [emit.step(left, builder.mul(args[2], ir.Constant(_I64, r))) for r in range(count)]
            lines = [emit.step(target, builder.mul(args[9], ir.Constant(_I64, r))) for r in range(count)]
            sums = emit.grid(count, TILE_VECTORS)
            for row in sums:
                for place in row:
                    builder.store(ir.Constant(emit.vector, None), place)
            with cgutils.for_range(builder, args[6]) as loop:
                line = emit.step(right, builder.mul(loop.index, args[5]))
                bs = [emit.load(emit.step(line, v * lanes)) for v in range(TILE_VECTORS)]
                column = emit.step(left, builder.mul(loop.index, args[2])) if together else None
                for r in range(count):
                    at = emit.step(column, r) if together else emit.step(rows[r], loop.index)
                    factor = emit.spread(builder.load(at))
                    for v in range(TILE_VECTORS):
                        emit.multiply_add(sums[r][v], factor, bs[v])
            with builder.if_then(builder.icmp_signed("!=", args[10], ir.Constant(_I64, 0))):
                for r in range(count):
                    for v in range(TILE_VECTORS):
                        before = emit.load(emit.step(lines[r], v * lanes))
                        builder.store(builder.fadd(builder.load(sums[r][v]), before), sums[r][v])
            for r in range(count):
                for v in range(TILE_VECTORS):
                    emit.store(builder.load(sums[r][v]), emit.step(lines[r], v * lanes))

        return signature, _apart(f"product_{'columns' if together else 'rows'}", generate)

    return product


product_rows = _product(together=False)  # A's rows are ``pitch`` apart
product_columns = _product(together=True)  # A's columns are: A.T @ b without a transposition
