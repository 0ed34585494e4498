"""A GPU that is not there: CuPy itself, its arrays, its kernels and its calls, over the host's memory.

``python -m pytest -p tests.absent_gpu -m gpu`` runs the tests of the GPU with it. CuPy's compiled modules take CUDA's
functions from two of them (``runtime`` and ``driver``), through tables of addresses. Here functions of our own are put
into these tables before CuPy is imported: memory is the host's, streams do their work as late as they may, a module is
its own text, and a launch runs that text as g++ compiles it. cuBLAS is a library of the same name, products by the
definition.

All above that is CuPy's own: which kernels it writes, their text and arguments, dtypes, pools, streams, events. What
this cannot show: NVRTC, work that is done early and not late, the device's arithmetic, CUB (reductions and sorts of it
are replaced: the first by CuPy's other ones, the second by NumPy's), and speed.
"""

from __future__ import annotations

from tests.absent_gpu.plug import plug_in


def pytest_configure() -> None:
    plug_in()
