"""Settings of every test process, made before NumPy or numba load."""

import os

import pytest

# Several test processes share the cores. A thread that waits must sleep, not spin on a core that another needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "2")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile all kernels before the whole suite starts on several processes, which would each compile their own."""
    config = session.config
    parallel = getattr(config.option, "numprocesses", None)
    if not parallel or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    from minicnn.testing.warmup import is_warm, warm_up

    if not is_warm():
        for stem, done, total in warm_up(int(parallel)):
            print(f"\rcompiling kernels (once; kept in a cache): {stem}, {done} of {total}    ", end="", flush=True)
        print()
