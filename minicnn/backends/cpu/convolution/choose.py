"""Which algorithm runs when the user names none: the first rule that applies, or a table measured beforehand.

Nothing is timed during a run. The plots in ``docs/convolution`` show where one algorithm overtakes another;
``minicnn conv explain`` prints what they say of a layer, ``minicnn tune`` measures a table for this machine.
"""

from minicnn.backends.choice import Chooser, Rule, always, grouped
from minicnn.backends.convolution import Problem
from minicnn.backends.cpu.convolution.algorithms import ALGORITHMS

LONG_SUM = 2048  # taps from which packed weights leave the cache, and BLAS's blocking wins
SMALL_MAP = 100  # positions below which a flat row is mostly dropped positions
MANY_CHANNELS = 16  # channels that fill a vector
LARGE_WINDOW = 225  # taps of one channel from which spectra overtook the others in measurements
FFT_GAIN = 16  # operations saved for one that transforms and small complex products do: they run far below the peak
LONG_ROW = 1 << 18  # staged elements of one output row from which the direct algorithm leaves the cache


def _channels(which: str, p: Problem) -> int:
    """Channels that are summed over (of the weight gradient: of the input), in one group."""
    return (p.out_channels if which == "input_grad" else p.in_channels) // p.groups


def _fills_vectors(which: str, p: Problem) -> bool:
    return min(p.in_channels, p.out_channels) >= MANY_CHANNELS


def _fills_panels(which: str, p: Problem) -> bool:
    return min(p.in_channels, p.out_channels) >= 2 * MANY_CHANNELS


def _long_row(which: str, p: Problem) -> bool:
    return _channels(which, p) * p.kernel_h * p.dilation_h * max(p.in_w, p.out_w * p.stride_w) > LONG_ROW


def _long_sum(which: str, p: Problem) -> bool:
    taps = _channels(which, p) * p.kernel_h * p.kernel_w
    return taps > LONG_SUM or (p.out_h * p.out_w < SMALL_MAP and taps > LONG_SUM // 4)


def _strided_gradient(which: str, p: Problem) -> bool:
    return which != "forward" and not p.stride_h == p.stride_w == 1


def _large_window(which: str, p: Problem) -> bool:
    fft = ALGORITHMS["fft"]
    nominal = 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps
    large = p.kernel_h * p.kernel_w >= LARGE_WINDOW
    return large and fft.bounded(which, p) and FFT_GAIN * fft.operations(which, p) < nominal


def _nothing_else(which: str, p: Problem) -> bool:
    return ALGORITHMS["im2col"].cannot(which, p) is not None


RULES = (
    Rule("dense", "one window covers the image: a fully connected layer", always),
    Rule("pointwise", "a 1x1 kernel is a product of matrices, and nothing need be copied", always),
    Rule("depthwise", "each channel has filters of its own: no sum over channels, so no product of matrices", grouped),
    Rule("winograd", "3x3 with enough channels to fill vectors: 2.25 multiplications instead of 9", _fills_vectors),
    Rule("winograd_f2", "3x3 with enough channels for its products: 4 multiplications instead of 9", _fills_panels),
    Rule("fft", "the window is so large that products of spectra take a sixteenth of the operations", _large_window),
    Rule("im2col", "a row of windows does not fit the cache", _long_row),
    Rule("im2col", "the sums are long: BLAS's blocking wins", _long_sum),
    Rule("im2col", "the gradient of a strided window falls apart into many short sums", _strided_gradient),
    Rule("direct", "few channels: lowering would cost more than multiplying", always),
    Rule("im2col", "it can do everything", always),
    Rule("naive", "whatever else can do it would take too much scratch memory", _nothing_else),
)

CHOOSER = Chooser("cpu", ALGORITHMS, RULES)
