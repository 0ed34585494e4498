"""Two register tiles that numba cannot be talked into: the innermost loops of direct convolution, as LLVM vectors.

numba's loops over overlapping shifts of one buffer stay scalar, because LLVM must assume that the output may overlap
the inputs. These intrinsics keep a tile of vector accumulators in registers and spell the multiply-adds out; they are
the only place where the library writes machine-level code by hand.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
VECTOR = 64 if _WIDE else 32  # bytes of one vector
ROWS = 6  # channels of a tile: 6 x 4 accumulators fit 32 registers, 6 x 2 fit 16
VECTORS = 4 if _WIDE else 2  # vectors of positions of a tile
COLUMNS = 4  # taps of a dot-product tile
DOT_ROWS = 6 if _WIDE else 3  # channels of a dot-product tile

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def lanes(item: int) -> int:
    """Numbers of ``item`` bytes in one vector."""
    return VECTOR // item


class _Emit:
    """What both tiles need: pointers to elements, unaligned loads and stores, multiply-add, accumulators."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, element: Any) -> None:
        self.context, self.builder, self.types, self.args = context, builder, signature.args, args
        self.item = element.bitwidth // 8
        self.vector = ir.VectorType(context.get_value_type(element), lanes(self.item))

    def pointer(self, position: int, index: Any = None) -> Any:
        """Address of an element of the array argument at that position."""
        array = self.context.make_array(self.types[position])(self.context, self.builder, self.args[position])
        return array.data if index is None else self.builder.gep(array.data, [index])

    def step(self, pointer: Any, index: Any) -> Any:
        return self.builder.gep(pointer, [ir.Constant(_I64, index) if isinstance(index, int) else index])

    def load(self, pointer: Any) -> Any:
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.item)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.item)

    def spread(self, scalar: Any) -> Any:
        """A vector of copies of a scalar."""
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, self.vector.count), None))

    def grid(self, rows: int, columns: int) -> list[list[Any]]:
        """Accumulators on the stack, which LLVM moves into registers."""
        return [[cgutils.alloca_once(self.builder, self.vector) for _ in range(columns)] for _ in range(rows)]

    def multiply_add(self, place: Any, a: Any, b: Any) -> None:
        product = self.builder.fmul(a, b, flags=("contract",))
        self.builder.store(self.builder.fadd(self.builder.load(place), product, flags=("contract",)), place)

    def total(self, value: Any) -> Any:
        """The sum of a vector's lanes, in an order that the instruction set likes (always the same one)."""
        number = self.vector.element
        name = f"llvm.vector.reduce.fadd.v{self.vector.count}f{8 * self.item}"
        kind = ir.FunctionType(number, [number, self.vector])
        function = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, [ir.Constant(number, -0.0), value], fastmath=("reassoc",))


def _make_correlate(vectors: int) -> Any:
    @intrinsic
    def correlate(typingctx, x, start, offsets, weights, first, taps, bias, row, y, pitch):  # type: ignore[no-untyped-def]
        """y[r*pitch + start + j] = bias[row + r] + sum_k weights[first + k*ROWS + r] * x[start + offsets[k] + j].

        For ROWS rows r and ``vectors`` vectors of positions j.
        """
        whole = types.intp
        signature = types.void(x, whole, offsets, weights, whole, whole, bias, whole, y, whole)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            emit = _Emit(context, builder, signature, args, signature.args[0].dtype)
            source, shifts, weight = emit.pointer(0, args[1]), emit.pointer(2), emit.pointer(3, args[4])
            constant, target = emit.pointer(6, args[7]), emit.pointer(8, args[1])
            sums = emit.grid(ROWS, vectors)
            for r in range(ROWS):
                begin = emit.spread(builder.load(emit.step(constant, r)))
                for v in range(vectors):
                    builder.store(begin, sums[r][v])
            with cgutils.for_range(builder, args[5]) as loop:
                shifted = emit.step(source, builder.load(emit.step(shifts, loop.index)))
                xs = [emit.load(emit.step(shifted, v * emit.vector.count)) for v in range(vectors)]
                column = emit.step(weight, builder.mul(loop.index, ir.Constant(_I64, ROWS)))
                for r in range(ROWS):
                    factor = emit.spread(builder.load(emit.step(column, r)))
                    for v in range(vectors):
                        emit.multiply_add(sums[r][v], factor, xs[v])
            for r in range(ROWS):
                line = emit.step(target, builder.mul(args[9], ir.Constant(_I64, r)))
                for v in range(vectors):
                    emit.store(builder.load(sums[r][v]), emit.step(line, v * emit.vector.count))
            return context.get_dummy_value()

        return signature, codegen

    return correlate


correlate_wide = _make_correlate(VECTORS)
correlate_one = _make_correlate(1)


@intrinsic
def dots(typingctx, a, a0, pitch, a_next, b, b0, b_next, offsets, first, steps, images, out):  # type: ignore[no-untyped-def]
    """out[r*COLUMNS + c] = sum of a[a0 + n*a_next + r*pitch + j] * b[b0 + n*b_next + offsets[first + c] + j].

    The sum runs over images n and ``steps`` vectors of positions j; DOT_ROWS rows r, COLUMNS shifts c.
    """
    whole = types.intp
    signature = types.void(a, whole, whole, whole, b, whole, whole, offsets, whole, whole, whole, out)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = _Emit(context, builder, signature, args, signature.args[0].dtype)
        lines = [
            emit.step(emit.pointer(0, args[1]), builder.mul(args[2], ir.Constant(_I64, r))) for r in range(DOT_ROWS)
        ]
        shifts = emit.pointer(7, args[8])
        shifted = [emit.step(emit.pointer(4, args[5]), builder.load(emit.step(shifts, c))) for c in range(COLUMNS)]
        sums = emit.grid(DOT_ROWS, COLUMNS)
        for row in sums:
            for place in row:
                builder.store(ir.Constant(emit.vector, None), place)
        with cgutils.for_range(builder, args[10]) as image:
            a_at, b_at = builder.mul(image.index, args[3]), builder.mul(image.index, args[6])
            with cgutils.for_range(builder, args[9]) as loop:
                j = builder.mul(loop.index, ir.Constant(_I64, emit.vector.count))
                left = [emit.load(emit.step(line, builder.add(a_at, j))) for line in lines]
                for c in range(COLUMNS):
                    right = emit.load(emit.step(shifted[c], builder.add(b_at, j)))
                    for r in range(DOT_ROWS):
                        emit.multiply_add(sums[r][c], left[r], right)
        for r in range(DOT_ROWS):
            for c in range(COLUMNS):
                builder.store(emit.total(builder.load(sums[r][c])), emit.step(emit.pointer(11), r * COLUMNS + c))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy(typingctx, target, to, source, start, count):  # type: ignore[no-untyped-def]
    """target[to : to+count] = source[start : start+count] of contiguous arrays of one dtype (``memcpy``)."""
    whole = types.intp
    signature = types.void(target, whole, source, whole, whole)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = _Emit(context, builder, signature, args, signature.args[0].dtype)
        cgutils.raw_memcpy(builder, emit.pointer(0, args[1]), emit.pointer(2, args[3]), args[4], emit.item)
        return context.get_dummy_value()

    return signature, codegen
