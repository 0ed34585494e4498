"""BLAS from inside numba kernels: one matrix product on the calling thread.

SciPy exports the addresses of its Fortran BLAS. A kernel takes such an address as an integer argument and calls it
through :func:`gemm`, so numba can cache the kernel (a function that held the pointer itself could not be cached), and
each iteration of a ``prange`` multiplies its own block while it is in that core's cache.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic


@cache
def _address(dtype: str) -> int:
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype]
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


@cache
def _thread_count() -> tuple[Callable[[], int], Callable[[int], Any]]:
    """Get and set the threads of SciPy's own BLAS library (NumPy's is another one), as plain C calls."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    library = next((lib for lib in found if "scipy.libs" in lib.filepath), found[0] if len(found) == 1 else None)
    if library is None:
        return lambda: 1, lambda n: None
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_"):
            get = getattr(library.dynlib, f"{prefix}openblas_get_num_threads{suffix}", None)
            put = getattr(library.dynlib, f"{prefix}openblas_set_num_threads{suffix}", None)
            if get and put:
                return get, put
    return library.get_num_threads, library.set_num_threads


@contextmanager
def single_threaded(dtype: Any) -> Iterator[int]:
    """The address of sgemm or dgemm, whose library uses one thread per caller inside the block."""
    address = _address(np.dtype(dtype).name)
    get, put = _thread_count()
    before = get()
    if before == 1:
        yield address
        return
    put(1)
    try:
        yield address
    finally:
        put(before)


@intrinsic
def gemm(typingctx, address, ta, tb, m, n, k, a, a0, lda, b, b0, ldb, beta, c, c0, ldc):  # type: ignore[no-untyped-def]
    """``C = op(A) op(B) + beta C`` for row-major blocks inside flat arrays, called from numba code only.

    op(A) is (m, k), op(B) is (k, n), C is (m, n); ``ta`` and ``tb`` are 1 where the stored block is the transpose.
    A block starts at element ``a0`` of the contiguous array ``a`` and its rows are ``lda`` elements apart.
    """
    whole = types.intp
    signature = types.void(
        whole, whole, whole, whole, whole, whole, a, whole, whole, b, whole, whole, a.dtype, c, whole, whole
    )

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        number = context.get_value_type(signature.args[6].dtype)
        i8, i32 = ir.IntType(8), ir.IntType(32)

        def block(position: int) -> Any:
            array = context.make_array(signature.args[position])(context, builder, args[position])
            return builder.bitcast(builder.gep(array.data, [args[position + 1]]), i8.as_pointer())

        def slot(value: Any) -> Any:
            place = cgutils.alloca_once(builder, value.type)  # Fortran takes every number by address
            builder.store(value, place)
            return builder.bitcast(place, i8.as_pointer())

        def integer(value: Any) -> Any:
            return slot(builder.trunc(value, i32))

        def letter(flag: Any) -> Any:
            is_set = builder.icmp_signed("!=", flag, ir.Constant(flag.type, 0))
            return slot(builder.select(is_set, ir.Constant(i8, ord("T")), ir.Constant(i8, ord("N"))))

        # Row-major C = A B is column-major C' = B' A', and Fortran reads our rows as columns: swap the factors.
        operands = [letter(args[2]), letter(args[1]), integer(args[4]), integer(args[3]), integer(args[5])]
        operands += [slot(ir.Constant(number, 1.0)), block(9), integer(args[11]), block(6), integer(args[8])]
        operands += [slot(args[12]), block(13), integer(args[15])]
        pointer = ir.FunctionType(ir.VoidType(), [i8.as_pointer()] * 13).as_pointer()
        builder.call(builder.inttoptr(args[0], pointer), operands)
        return context.get_dummy_value()

    return signature, codegen
