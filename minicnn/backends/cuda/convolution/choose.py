"""Which algorithm runs when the user names none: the first rule that applies, or a table given beforehand.

Nothing is timed during a run, and nothing was timed on a GPU to write these rules: they follow from what the
algorithms move and multiply, and their numbers stand in ``thresholds.py``. ``minicnn conv explain --device cuda``
prints what they say of a layer.
"""

from minicnn.backends.choice import Chooser, Rule, always, grouped
from minicnn.backends.convolution import Problem
from minicnn.backends.cuda.convolution.algorithms import ALGORITHMS
from minicnn.backends.cuda.convolution.thresholds import EXACT_CHANNELS, WINOGRAD_CHANNELS


def _channels(p: Problem) -> int:
    return min(p.in_channels, p.out_channels) // p.groups


def _many_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= WINOGRAD_CHANNELS


def _more_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= EXACT_CHANNELS


WIDE = (4, 8)  # bytes: Winograd's tiles are never halves, which tensor cores multiply many times as fast

RULES = (
    Rule("dense", "one window covers the image: a fully connected layer", always),
    Rule("pointwise", "a 1x1 kernel is a product of matrices, which cuBLAS does in place", always),
    Rule("depthwise", "each channel has filters of its own: no sum over channels, so no product of matrices", grouped),
    Rule("winograd", "3x3 with channels enough: 2.25 multiplications instead of 9", _many_channels, WIDE),
    Rule("winograd_f2", "3x3 with channels enough: 4 multiplications instead of 9", _more_channels, WIDE),
    Rule("implicit_gemm", "it can do everything, and copies nothing through memory", always),
    Rule("im2col", "it can do everything", always),
    Rule("naive", "it can do everything, and sums in float64", always),
)

CHOOSER = Chooser("a GPU", ALGORITHMS, RULES)
