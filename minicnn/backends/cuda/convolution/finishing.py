"""What several algorithms do before and after their products: cutting sums into parts, joining them, bias and ReLU."""

from minicnn.backends.cuda import activations, seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.core.types import Array, Shape


def finish(y: Array, bias: Array | None, relu: bool) -> Array:
    """Add the bias of each channel (the second axis) and rectify, in place."""
    if bias is not None:
        return activations.add_bias(y, bias, relu, out=y)
    if relu:
        seam.packs("activations.relu", y, y, y, y.size)
    return y


def sum_parts(parts: Array, shape: Shape, dtype: object, bias: Array | None = None, relu: bool = False) -> Array:
    """The sum over the leading axis, in its order; finished as :func:`finish` does."""
    total = seam.empty(shape, dtype)
    if len(parts) >= thresholds.MANY_PARTS and bias is None and not relu:
        grid, block = -(-total.size // 32), 256
        seam.launch("convolution.sum_many_parts", grid, block, parts, total, len(parts), total.size)
        return total
    sizes = (parts.shape[0], shape[1], max(1, shape[2] * shape[3]), relu, total.size)
    seam.elementwise("convolution.sum_parts", total.size, parts, bias, total, *sizes)
    return total


def parts_of(products: int, rows: int, columns: int, most: int) -> int:
    """Into how many parts the sums of these products are cut, so that their blocks keep a GPU busy; at most so many.

    A block of cuBLAS has a tile of the result. Few tiles of long sums would leave most multiprocessors idle.
    """
    blocks = products * -(-rows // thresholds.TILE) * -(-columns // thresholds.TILE)
    return max(1, min(most, -(-thresholds.BLOCKS // max(1, blocks))))


def up(count: int, by: int) -> int:
    """The next multiple of ``by``."""
    return -(-count // by) * by
