"""Which algorithm runs when the user names none: the first rule that applies, or a table given beforehand.

Nothing is timed during a run, and nothing was timed on a GPU to write these rules: they follow from what the
algorithms move and multiply, and their numbers stand in ``thresholds.py``. ``minicnn conv explain --device cuda``
prints what they say of a layer.
"""

from minicnn.backends.choice import Chooser, Rule, always, grouped
from minicnn.backends.convolution import Problem
from minicnn.backends.cuda.convolution.algorithms import ALGORITHMS
from minicnn.backends.cuda.convolution.thresholds import EXACT_CHANNELS, FEW_CHANNELS, WINOGRAD_CHANNELS


def _channels(p: Problem) -> int:
    return min(p.in_channels, p.out_channels) // p.groups


def _many_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= WINOGRAD_CHANNELS


def _more_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= EXACT_CHANNELS


def _few_inputs(which: str, p: Problem) -> bool:
    """The input gradient of a first layer.

    Its product has a row for each input channel: of 3, a tile multiplies 13 rows of nothing. As columns it has C KH KW
    rows, which are then added up: 147 for a 7x7 kernel. They move 8 bytes for each row and output position, which at 64
    outputs is less than the time of 128 products. With as few outputs as inputs there is nothing to gain.
    """
    inputs, outputs = p.in_channels // p.groups, p.out_channels // p.groups
    return which == "input_grad" and inputs < FEW_CHANNELS and inputs < outputs


# Bytes of an element: halves would be rounded as columns, and tensor cores multiply them faster than Winograd's floats.
WIDE = (4, 8)

RULES = (
    Rule("dense", "one window covers the image: a fully connected layer", always),
    Rule("pointwise", "a 1x1 kernel is a product of matrices, which cuBLAS does in place", always),
    Rule("depthwise", "each channel has filters of its own: no sum over channels, so no product of matrices", grouped),
    Rule("winograd", "3x3 with channels enough: 2.25 multiplications instead of 9", _many_channels, WIDE),
    Rule("winograd_f2", "3x3 with channels enough: 4 multiplications instead of 9", _more_channels, WIDE),
    Rule("im2col", "few channels of x: columns have rows for all taps, tiles of x would be empty", _few_inputs, WIDE),
    Rule("implicit_gemm", "it can do everything, and copies nothing through memory", always),
    Rule("im2col", "it can do everything", always),
    Rule("naive", "it can do everything, and sums in float64", always),
)

CHOOSER = Chooser("a GPU", ALGORITHMS, RULES)
