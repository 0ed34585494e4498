"""The algorithms by name. Each is a module, or looks like one, with the functions of the CPU's:

    forward(x, w, bias, problem, relu) -> y
    input_grad(gy, w, problem) -> gx         the adjoint by x: also the transposed convolution
    weight_grad(gy, x, problem) -> gw        the adjoint by w
    cannot(which, problem) -> reason or None
    workspace(which, problem, item) -> bytes
    operations(which, problem) -> floating-point operations
    ERROR                                    bound of max |y - y64| / max |y64| in float32

To add one: write the file, enter it here, give it a rule in ``choose.py``; the tests iterate over the table.
"""

from types import MappingProxyType
from typing import Any

from minicnn.backends.cuda.convolution import dense, depthwise, im2col, implicit_gemm, naive, pointwise, winograd

ALGORITHMS: MappingProxyType[str, Any] = MappingProxyType(
    {
        "naive": naive,
        "im2col": im2col,
        "implicit_gemm": implicit_gemm.of("", 5e-6),
        "implicit_gemm_tf32": implicit_gemm.of("_tf32", 2e-3),
        "dense": dense,
        "pointwise": pointwise,
        "depthwise": depthwise,
        "winograd": winograd.of(4, 2e-5),
        "winograd_f2": winograd.of(2, 5e-6),
    }
)
DEVICE_ONLY = ("implicit_gemm_tf32",)  # where the emulator multiplies fragments by other instructions than the device
