"""Which dtypes are floating: NumPy's, and bfloat16, which the package ``ml_dtypes`` adds to NumPy.

To NumPy it is a dtype of kind ``"V"``, as everything is that others added, so the kind alone does not tell.
"""

from typing import Any

import numpy as np


def is_float(dtype: "np.dtype[Any]") -> bool:
    """Whether numbers of that dtype are real, so that they have gradients.

    Examples
    --------
    >>> import numpy as np
    >>> is_float(np.dtype("float16")), is_float(np.dtype("int64"))
    (True, False)
    """
    return dtype.kind == "f" or is_bfloat16(dtype)


def is_bfloat16(dtype: "np.dtype[Any]") -> bool:
    """Whether it is that one."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def find(dtype: Any) -> "np.dtype[Any]":
    """What NumPy makes of it; also of ``"bfloat16"``, which NumPy knows once ``ml_dtypes`` was imported."""
    return bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)


def is_name(text: str) -> bool:
    """Whether it names a dtype, and not a device, say."""
    try:
        return text == "bfloat16" or np.dtype(text) is not None
    except TypeError:
        return False


def bfloat16() -> "np.dtype[Any]":
    """The dtype of float32's range and 8 bits of precision.

    Raises
    ------
    ModuleNotFoundError
        Where ``ml_dtypes`` is not installed.
    """
    try:
        import ml_dtypes
    except ImportError as error:
        message = f"bfloat16: NumPy has it from the package ml_dtypes ({error}); pip install ml_dtypes"
        raise ModuleNotFoundError(message, name="ml_dtypes") from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found
