"""The array namespace that ops see on the GPU: the device's own functions under NumPy's names.

CuPy's elementwise and reduction kernels run at the speed of memory, so there is nothing to replace, only what it spells
differently from NumPy.
"""

from typing import Any

from minicnn.backends.cuda import seam


def __getattr__(name: str) -> Any:
    if not seam.entered():  # asked by a tool that looks at modules, without a device
        raise AttributeError(name)
    return getattr(seam.xp(), name)
