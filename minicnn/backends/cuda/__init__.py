"""The CUDA backend: CuPy for arrays, the kernels in ``kernels/*.cu`` for the rest; without a GPU, the emulator.

The modules here mirror those of ``backends/cpu`` by name and signature. They reach the device through one seam
(``seam.py``), behind which stands CuPy (device ``"cuda"``) or the emulator (``"cuda-emulated"``), so both run the
same launch code and the same kernel text. Nothing here imports CuPy before a Tensor asks for it.
"""

from collections.abc import Callable
from functools import cached_property, wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from minicnn.backends.cuda import seam


class Backend:
    """What ``device.backend`` is: the modules of this package, each call of which runs on one device's runtime."""

    DTYPES = ("float16", "bfloat16", "float32", "float64")  # what the kernels are compiled for

    def __init__(self, runtime: seam.Runtime) -> None:
        self.runtime = runtime

    def to_host(self, array: Any) -> Any:
        """A copy as a NumPy array."""
        return self.runtime.to_host(array)

    def uploader(self) -> Any:
        """Copies batches to the device ahead of their use: ``start(host arrays)``, then ``finish``."""
        return self.runtime.uploader()

    def __getattr__(self, name: str) -> "Room":
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            module = import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name == f"{__name__}.{name}":
                raise AttributeError(f"minicnn.backends.cuda has no kernel module {name!r}") from None
            raise
        room = self.__dict__[name] = Room(module, self.runtime)
        return room

    @cached_property
    def arrays(self) -> "Room":
        """The array namespace that ops see."""
        return Room(import_module(f"{__name__}.arrays"), self.runtime)


class Room:
    """A module whose functions run on one runtime."""

    def __init__(self, module: ModuleType, runtime: seam.Runtime) -> None:
        self._module, self._runtime = module, runtime

    def __getattr__(self, name: str) -> Any:
        with seam.on(self._runtime):
            found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            found = Room(found, self._runtime)
        elif (getattr(found, "__module__", None) or "").startswith(__name__) and not isinstance(found, type):
            found = self._bound(found)  # a function of ours; CuPy's and NumPy's own need no runtime
        self.__dict__[name] = found
        return found

    def _bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        runtime = self._runtime

        @wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            with seam.on(runtime):
                return function(*args, **kwargs)

        return call


def load_cuda() -> Backend:
    """The backend of the GPU; raises with the missing link of the chain where there is none."""
    from minicnn.backends.cuda.device import CupyRuntime

    return Backend(CupyRuntime())


def load_emulated() -> Backend:
    """The backend that runs the kernels' text on the CPU."""
    from minicnn.backends.cuda.emulator import EmulatedRuntime

    return Backend(EmulatedRuntime())
