"""Settings of every test process, made before NumPy or numba load."""

import os

import pytest

# Several test processes share the cores. A thread that waits must sleep, not spin on a core that another needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(scope="session", params=["cuda-emulated", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The devices that run kernels/*.cu: the emulated one always, and with ``-m gpu`` the GPU."""
    from minicnn.core.device import DeviceUnavailableError
    from minicnn.core.device import device as find_device

    name: str = request.param
    try:
        _ = find_device(name).backend
    except DeviceUnavailableError as missing:
        pytest.skip(str(missing))
    return name


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
