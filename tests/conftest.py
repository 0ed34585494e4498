"""Settings of every test process, made before NumPy or numba load."""

import os

# Several test processes share the cores. A thread that waits must sleep, not spin on a core that another needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "2")
