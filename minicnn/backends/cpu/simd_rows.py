"""Loops over short rows that numba leaves scalar: copies, sums and products of rows, as LLVM vectors.

A row of a small feature map is shorter than the call of ``memcpy`` is long, and LLVM must assume that two rows of one
buffer overlap. These intrinsics work through rows with whole vectors and one masked vector for the rest, so that they
touch exactly the elements they name. Elements are counted in flat contiguous arrays; called from kernels only.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minicnn.backends.cpu.simd import lanes

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
WAYS = 8  # accumulators of a long sum: enough to keep both multipliers busy


class _Rows:
    """The body of one loop, as a function of its own: pointers to elements, vectors that are whole or masked.

    A function that is not inlined: copied into every place that calls it, the loops made a kernel compile for minutes.
    """

    def __init__(self, name: str, context: Any, builder: Any, signature: Any, args: Any) -> None:
        element = signature.args[0].dtype
        self.number = context.get_value_type(element)
        self.item = element.bitwidth // 8
        self.count = lanes(self.item)
        self.vector = ir.VectorType(self.number, self.count)
        self.mask_type = ir.VectorType(_I1, self.count)
        values = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        result = ir.VoidType() if signature.return_type == types.void else self.number
        name, module = f"minicnn_{name}_f{8 * self.item}", builder.module
        function = module.globals.get(name)
        self.is_new = function is None
        if function is None:
            function = ir.Function(module, ir.FunctionType(result, [value.type for value in values]), name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            function.attributes.add("nounwind")
        self.result = builder.call(function, values)
        self.args = function.args
        self.builder = ir.IRBuilder(function.append_basic_block()) if self.is_new else builder

    def pointer(self, position: int, index: Any) -> Any:
        return self.builder.gep(self.args[position], [index])

    def spread(self, scalar: Any) -> Any:
        kind = ir.VectorType(scalar.type, self.count)
        empty = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, self.count), None))

    def mask(self, rest: Any) -> Any:
        """The first ``rest`` lanes."""
        steps = ir.Constant(ir.VectorType(_I64, self.count), [ir.Constant(_I64, i) for i in range(self.count)])
        return self.builder.icmp_signed("<", steps, self.spread(rest))

    def _masked(self, name: str, result: Any, kinds: list[Any]) -> Any:
        name = f"llvm.masked.{name}.v{self.count}f{8 * self.item}.p0"
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, kinds), name)

    def load(self, pointer: Any, mask: Any = None) -> Any:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            return self.builder.load(place, align=self.item)
        function = self._masked("load", self.vector, [place.type, _I32, self.mask_type, self.vector])
        zero = ir.Constant(self.vector, None)
        return self.builder.call(function, [place, ir.Constant(_I32, self.item), mask, zero])

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, place, align=self.item)
            return
        function = self._masked("store", ir.VoidType(), [self.vector, place.type, _I32, self.mask_type])
        self.builder.call(function, [value, place, ir.Constant(_I32, self.item), mask])

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=("contract",)), total, flags=("contract",))

    def over(self, length: Any, body: Callable[[Any, Any], None]) -> None:
        """``body(first, mask)`` for every vector of a row of that length; mask is None for whole ones."""
        wide = ir.Constant(_I64, self.count)
        whole = self.builder.sdiv(length, wide)
        with cgutils.for_range(self.builder, whole) as loop:
            body(self.builder.mul(loop.index, wide), None)
        done = self.builder.mul(whole, wide)
        rest = self.builder.sub(length, done)
        with self.builder.if_then(self.builder.icmp_signed(">", rest, ir.Constant(_I64, 0))):
            body(done, self.mask(rest))

    def total(self, value: Any) -> Any:
        """The sum of a vector's lanes, always in the same order."""
        name = f"llvm.vector.reduce.fadd.v{self.count}f{8 * self.item}"
        kind = ir.FunctionType(self.number, [self.number, self.vector])
        function = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, [ir.Constant(self.number, -0.0), value], fastmath=("reassoc",))


def _outlined(name: str, body: Callable[[_Rows, Any, Any], Any]) -> Any:
    """The code generator of an intrinsic whose loop is ``body(emit, builder, args)``."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = _Rows(name, context, builder, signature, args)
        is_void = signature.return_type == types.void
        if emit.is_new:
            result = body(emit, emit.builder, emit.args)
            if is_void:
                emit.builder.ret_void()
            else:
                emit.builder.ret(result)
        return context.get_dummy_value() if is_void else emit.result

    return codegen


def _make_rows(name: str, add: bool) -> Any:
    def body(emit: _Rows, builder: Any, args: Any) -> None:
        with cgutils.for_range(builder, args[6]) as loop:
            target = emit.pointer(0, builder.add(args[1], builder.mul(loop.index, args[2])))
            source = emit.pointer(3, builder.add(args[4], builder.mul(loop.index, args[5])))

            def vector(first: Any, mask: Any) -> None:
                there = builder.gep(target, [first])
                value = emit.load(builder.gep(source, [first]), mask)
                if add:
                    value = builder.fadd(emit.load(there, mask), value)
                emit.store(value, there, mask)

            emit.over(args[7], vector)

    @intrinsic
    def rows(typingctx, target, to, target_pitch, source, start, source_pitch, number, length):  # type: ignore[no-untyped-def]
        """target[to + r*target_pitch + j] = (or +=) source[start + r*source_pitch + j], r < number, j < length."""
        whole = types.intp
        return types.void(target, whole, whole, source, whole, whole, whole, whole), _outlined(name, body)

    return rows


copy_rows = _make_rows("copy_rows", add=False)
add_rows = _make_rows("add_rows", add=True)


def _make_strided(name: str, add: bool) -> Any:
    def body(emit: _Rows, builder: Any, args: Any) -> None:
        with cgutils.for_range(builder, args[8]) as loop:
            target = emit.pointer(0, builder.add(args[1], builder.mul(loop.index, args[2])))
            source = emit.pointer(4, builder.add(args[5], builder.mul(loop.index, args[6])))
            with cgutils.for_range(builder, args[9]) as element:
                there = builder.gep(target, [builder.mul(element.index, args[3])])
                value = builder.load(builder.gep(source, [builder.mul(element.index, args[7])]))
                builder.store(builder.fadd(builder.load(there), value) if add else value, there)

    @intrinsic
    def rows(typingctx, target, to, target_pitch, target_step, source, start, pitch, step, number, length):  # type: ignore[no-untyped-def]
        """Like copy_rows and add_rows, for elements that are ``step`` apart."""
        whole = types.intp
        signature = types.void(target, whole, whole, whole, source, whole, whole, whole, whole, whole)
        return signature, _outlined(name, body)

    return rows


copy_strided = _make_strided("copy_strided", add=False)
add_strided = _make_strided("add_strided", add=True)


def _fill(emit: _Rows, builder: Any, args: Any) -> None:
    value, place = emit.spread(args[3]), emit.pointer(0, args[1])
    emit.over(args[2], lambda first, mask: emit.store(value, builder.gep(place, [first]), mask))


@intrinsic
def fill(typingctx, target, to, length, value):  # type: ignore[no-untyped-def]
    """target[to : to + length] = value."""
    return types.void(target, types.intp, types.intp, target.dtype), _outlined("fill", _fill)


def _finish_rows(emit: _Rows, builder: Any, args: Any) -> None:
    bias, zero = emit.spread(args[8]), ir.Constant(emit.vector, None)
    relu = emit.spread(builder.icmp_unsigned("!=", args[9], ir.Constant(args[9].type, 0)))
    with cgutils.for_range(builder, args[6]) as loop:
        target = emit.pointer(0, builder.add(args[1], builder.mul(loop.index, args[2])))
        source = emit.pointer(3, builder.add(args[4], builder.mul(loop.index, args[5])))

        def vector(first: Any, mask: Any) -> None:
            value = builder.fadd(emit.load(builder.gep(source, [first]), mask), bias)
            negative = builder.and_(builder.fcmp_ordered("<", value, zero), relu)
            emit.store(builder.select(negative, zero, value), builder.gep(target, [first]), mask)

        emit.over(args[7], vector)


@intrinsic
def finish_rows(typingctx, target, to, target_pitch, source, start, source_pitch, number, length, bias, relu):  # type: ignore[no-untyped-def]  # fmt: skip
    """Each target row becomes source row + bias, or its max with 0; NaN stays NaN. Both may be one row."""
    whole = types.intp
    signature = types.void(target, whole, whole, source, whole, whole, whole, whole, target.dtype, types.boolean)
    return signature, _outlined("finish_rows", _finish_rows)


def _keep_positive(emit: _Rows, builder: Any, args: Any) -> None:
    target, source, signs = (emit.pointer(k, args[3]) for k in range(3))
    zero = ir.Constant(emit.vector, None)

    def vector(first: Any, mask: Any) -> None:
        dropped = builder.fcmp_ordered("<=", emit.load(builder.gep(signs, [first]), mask), zero)
        value = builder.select(dropped, zero, emit.load(builder.gep(source, [first]), mask))
        emit.store(value, builder.gep(target, [first]), mask)

    emit.over(args[4], vector)


@intrinsic
def keep_positive(typingctx, target, source, signs, start, length):  # type: ignore[no-untyped-def]
    """target[start + j] = 0 if signs[start + j] <= 0 else source[start + j], j < length; NaN is no sign."""
    whole = types.intp
    return types.void(target, source, signs, whole, whole), _outlined("keep_positive", _keep_positive)


def _weighted_shifts(emit: _Rows, builder: Any, args: Any) -> None:
    run = ir.Constant(_I64, WAYS * emit.count)
    runs = builder.sdiv(builder.add(args[8], ir.Constant(_I64, WAYS * emit.count - 1)), run)
    target, source, weight = emit.pointer(0, args[1]), emit.pointer(2, args[3]), emit.pointer(5, args[6])
    sums = [cgutils.alloca_once(builder, emit.vector) for _ in range(WAYS)]
    with cgutils.for_range(builder, runs) as loop:
        here = builder.mul(loop.index, run)
        for place in sums:
            builder.store(ir.Constant(emit.vector, None), place)
        with cgutils.for_range(builder, args[7]) as tap:
            shift = builder.load(emit.pointer(4, tap.index))
            row = builder.gep(source, [builder.add(here, shift)])
            factor = emit.spread(builder.load(builder.gep(weight, [tap.index])))
            for way, place in enumerate(sums):
                value = emit.load(builder.gep(row, [ir.Constant(_I64, way * emit.count)]))
                builder.store(emit.multiply_add(factor, value, builder.load(place)), place)
        for way, place in enumerate(sums):
            there = builder.add(here, ir.Constant(_I64, way * emit.count))
            emit.store(builder.load(place), builder.gep(target, [there]))


@intrinsic
def weighted_shifts(typingctx, out, to, source, start, offsets, weights, first, taps, length):  # type: ignore[no-untyped-def]
    """out[to + j] = sum over k < taps of weights[first + k] * source[start + offsets[k] + j], j < length.

    Works in runs of WAYS vectors and rounds the last one up: both arrays need that margin.
    """
    whole = types.intp
    signature = types.void(out, whole, source, whole, offsets, weights, whole, whole, whole)
    return signature, _outlined("weighted_shifts", _weighted_shifts)


def _add_multiple(emit: _Rows, builder: Any, args: Any) -> None:
    target, source, factor = emit.pointer(0, args[1]), emit.pointer(2, args[3]), emit.spread(args[4])

    def vector(first: Any, mask: Any) -> None:
        there = builder.gep(target, [first])
        value = emit.load(builder.gep(source, [first]), mask)
        emit.store(emit.multiply_add(factor, value, emit.load(there, mask)), there, mask)

    emit.over(args[5], vector)


@intrinsic
def add_multiple(typingctx, target, to, source, start, factor, length):  # type: ignore[no-untyped-def]
    """target[to + j] += factor * source[start + j], j < length."""
    whole = types.intp
    return types.void(target, whole, source, whole, target.dtype, whole), _outlined("add_multiple", _add_multiple)


def _dot(emit: _Rows, builder: Any, args: Any) -> Any:
    left, right = emit.pointer(0, args[1]), emit.pointer(2, args[3])
    sums = [cgutils.alloca_once(builder, emit.vector) for _ in range(WAYS)]
    for place in sums:
        builder.store(ir.Constant(emit.vector, None), place)

    def step(place: Any, first: Any, mask: Any = None) -> None:
        a, b = (emit.load(builder.gep(side, [first]), mask) for side in (left, right))
        builder.store(emit.multiply_add(a, b, builder.load(place)), place)

    run = ir.Constant(_I64, WAYS * emit.count)
    runs = builder.sdiv(args[4], run)
    with cgutils.for_range(builder, runs) as loop:
        here = builder.mul(loop.index, run)
        for way, place in enumerate(sums):
            step(place, builder.add(here, ir.Constant(_I64, way * emit.count)))
    done = builder.mul(runs, run)
    emit.over(builder.sub(args[4], done), lambda first, mask: step(sums[0], builder.add(done, first), mask))
    while len(sums) > 1:
        for one, other in zip(sums[::2], sums[1::2], strict=True):
            builder.store(builder.fadd(builder.load(one), builder.load(other)), one)
        sums = sums[::2]
    return emit.total(builder.load(sums[0]))


@intrinsic
def dot(typingctx, a, a0, b, b0, length):  # type: ignore[no-untyped-def]
    """The sum of a[a0 + j] * b[b0 + j], j < length; WAYS vectors of partial sums, joined in a fixed order."""
    whole = types.intp
    return a.dtype(a, whole, b, whole, whole), _outlined("dot", _dot)


def _largest(emit: _Rows, builder: Any, args: Any) -> Any:
    row = emit.pointer(0, args[1])
    bests = [cgutils.alloca_once(builder, emit.vector) for _ in range(WAYS)]
    first = emit.spread(builder.load(row))
    for place in bests:
        builder.store(first, place)

    def step(place: Any, at: Any, mask: Any = None) -> None:
        value, best = emit.load(builder.gep(row, [at]), mask), builder.load(place)
        larger = builder.fcmp_ordered(">", value, best)
        larger = larger if mask is None else builder.and_(larger, mask)
        builder.store(builder.select(larger, value, best), place)

    run = ir.Constant(_I64, WAYS * emit.count)
    runs = builder.sdiv(args[2], run)
    with cgutils.for_range(builder, runs) as loop:
        here = builder.mul(loop.index, run)
        for way, place in enumerate(bests):
            step(place, builder.add(here, ir.Constant(_I64, way * emit.count)))
    done = builder.mul(runs, run)
    emit.over(builder.sub(args[2], done), lambda at, mask: step(bests[0], builder.add(done, at), mask))
    for place in bests[1:]:
        value, best = builder.load(place), builder.load(bests[0])
        builder.store(builder.select(builder.fcmp_ordered(">", value, best), value, best), bests[0])
    name = f"llvm.vector.reduce.fmax.v{emit.count}f{8 * emit.item}"
    kind = ir.FunctionType(emit.number, [emit.vector])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [builder.load(bests[0])])


@intrinsic
def largest(typingctx, a, a0, length):  # type: ignore[no-untyped-def]
    """The largest of a[a0 + j], j < length (at least one); NaN if the first is, other NaNs are passed over."""
    return a.dtype(a, types.intp, types.intp), _outlined("largest", _largest)
