"""The ten digits as 7 x 12 bitmaps: target codes of the RBF output units of LeNet-5.

The drawings are this project's own (the paper shows its codes in figure 3 and the lecture does not). Twelve
bytes per digit, one per row from top to bottom; bit 6 is the leftmost pixel.
"""

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 12, 7

_ROWS = (
    "001c36636363636363361c00",
    "000c1c3c0c0c0c0c0c0c3f00",
    "003e636303060c1830607f00",
    "007f03060c1e030303633e00",
    "0003070f1b33637f03030300",
    "007f6060607e030303633e00",
    "001e3060607e636363633e00",
    "7f7f030306060c0c18181800",
    "003e6363633e636363633e00",
    "003e6363633f030303037c40",
)


def digit_bitmaps() -> NDArray[np.bool_]:
    """The drawings.

    Returns
    -------
    bool array (10, 12, 7)
        True is ink.

    Examples
    --------
    >>> from minicnn.models.classification.bitmaps import digit_bitmaps
    >>> for row in digit_bitmaps()[1][:4]:
    ...     print("".join("-#"[int(ink)] for ink in row))
    -------
    ---##--
    --###--
    -####--
    """
    rows = np.array([list(bytes.fromhex(text)) for text in _ROWS], dtype=np.uint8)
    return np.unpackbits(rows[:, :, None], axis=2)[:, :, 1:].astype(bool)


def digit_codes() -> NDArray[np.float32]:
    """The drawings as target vectors of the 84 units of F6.

    Returns
    -------
    float32 array (10, 84)
        +1 for ink, -1 for paper; row by row.
    """
    return np.where(digit_bitmaps(), 1.0, -1.0).astype(np.float32).reshape(10, HEIGHT * WIDTH)
