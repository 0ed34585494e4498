"""Pooling over regions of interest: RoI max-pooling on whole cells, RoIAlign on interpolated points.

Two closed linear families stand here. Max-pooling picks flat indices; picking (gather) and its adjoint (scatter) are
linear. RoIAlign is linear itself, once the boxes are given; its adjoint spreads every sample over its four cells.
Boxes are read, never differentiated.
"""

from collections.abc import Sequence

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Array, Pair, Shape
from minicnn.ops.joining import cat

_CONSTANT_BOXES = {1: "boxes say where to read, they are not learnt through the pooling"}


class RoiPool(Function):
    constants = _CONSTANT_BOXES

    def __init__(self, size: Shape, scale: float, overlap: bool) -> None:
        self.size, self.scale, self.overlap = size, scale, overlap

    def forward(self, x: Array, boxes: Array) -> Array:
        self.keep_inputs(1)
        y, self.index = self.backend.roi.roi_pool(x, boxes, self.size, self.scale, self.overlap)
        return y

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        (boxes,) = self.kept_inputs()
        return ScatterBins(self.index, self.in_shapes[0], self.scale, self.overlap)(gy, boxes), None


class GatherBins(Function):
    """Values at flat indices, 0 where an index is -1; the boxes and how bins lie in them are its adjoint's."""

    constants = _CONSTANT_BOXES

    def __init__(self, index: Array, scale: float, overlap: bool) -> None:
        self.index, self.scale, self.overlap = index, scale, overlap

    def forward(self, x: Array, boxes: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.roi.gather_bins(x, self.index)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        (boxes,) = self.kept_inputs()
        return ScatterBins(self.index, self.in_shapes[0], self.scale, self.overlap)(gy, boxes), None


class ScatterBins(Function):
    """Adjoint of GatherBins: cells that several bins picked add up."""

    constants = _CONSTANT_BOXES

    def __init__(self, index: Array, shape: Shape, scale: float, overlap: bool) -> None:
        self.index, self.shape, self.scale, self.overlap = index, shape, scale, overlap

    def forward(self, gy: Array, boxes: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.roi.roi_pool_adjoint(gy, boxes, self.index, self.shape, self.scale, self.overlap)

    def backward(self, g: Tensor) -> tuple[Tensor, None]:
        (boxes,) = self.kept_inputs()
        return GatherBins(self.index, self.scale, self.overlap)(g, boxes), None


class RoiAlign(Function):
    """Means over interpolated samples; with ``chosen`` (sample numbers), one sample for each bin."""

    constants = _CONSTANT_BOXES

    def __init__(self, size: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None = None) -> None:
        self.size, self.scale, self.aligned, self.sampling, self.chosen = size, scale, aligned, sampling, chosen

    def forward(self, x: Array, boxes: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.roi.roi_align(x, boxes, self.size, self.scale, self.aligned, self.sampling, self.chosen)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        (boxes,) = self.kept_inputs()
        options = self.scale, self.aligned, self.sampling, self.chosen
        return RoiAlignAdjoint(self.in_shapes[0], *options)(gy, boxes), None


class RoiAlignMax(RoiAlign):
    """Maxima over interpolated samples: which sample wins is a number, reading it is linear."""

    def forward(self, x: Array, boxes: Array) -> Array:
        options = self.size, self.scale, self.aligned, self.sampling
        self.chosen = self.backend.roi.roi_align_choice(x, boxes, *options)
        return super().forward(x, boxes)


class RoiAlignAdjoint(Function):
    constants = _CONSTANT_BOXES

    def __init__(self, shape: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None) -> None:
        self.shape, self.scale, self.aligned, self.sampling, self.chosen = shape, scale, aligned, sampling, chosen

    def forward(self, gy: Array, boxes: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.roi.roi_align_adjoint(
            gy, boxes, self.shape, self.scale, self.aligned, self.sampling, self.chosen
        )

    def backward(self, g: Tensor) -> tuple[Tensor, None]:
        (boxes,) = self.kept_inputs()
        options = self.scale, self.aligned, self.sampling, self.chosen
        return RoiAlign(self.in_shapes[0][2:], *options)(g, boxes), None


def _rows(op: str, input: Tensor, boxes: Tensor | Sequence[Tensor]) -> Tensor:
    """Boxes as one Tensor (K, 5), checked against the batch."""
    checks.kernel_dtype(op, input=input)
    checks.ndim(op, "input", input, 4)
    if not isinstance(boxes, Tensor):
        boxes = _numbered(op, input, boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise checks.value_error(op, "boxes must have shape (K, 5): image, x1, y1, x2, y2", input=input, boxes=boxes)
    fault = boxes.backend.roi.box_fault(boxes.data, input.shape[0])
    if fault:
        message = f"column 0 of boxes must be an image number in 0..{input.shape[0] - 1}"
        raise checks.value_error(op, "boxes must be finite" if fault == 1 else message, input=input, boxes=boxes)
    return boxes


def _numbered(op: str, input: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """A list with one Tensor (L, 4) per image as one Tensor (K, 5)."""
    if len(boxes) != input.shape[0]:
        message = f"a list of boxes needs one entry per image, got {len(boxes)} for {input.shape[0]}"
        raise checks.value_error(op, message, input=input)
    rows = []
    for number, found in enumerate(boxes):
        if found.ndim != 2 or found.shape[1] != 4:
            raise checks.value_error(op, f"boxes[{number}] must have shape (L, 4): x1, y1, x2, y2", boxes=found)
        column = tensor([[float(number)]] * len(found), dtype=found.dtype, device=str(found.device))
        rows.append(cat([column.reshape((len(found), 1)), found], 1))
    return cat(rows, 0) if rows else tensor([], dtype=input.dtype, device=str(input.device)).reshape((0, 5))


def roi_pool(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
    bins: str = "caffe",
) -> Tensor:
    """Maximum over a grid of bins laid over each box.

    The box's corners, times ``spatial_scale``, are rounded to cells (half away from zero) and belong to the box, so
    it is ``size = max(end - start + 1, 1)`` cells long. Of P bins, bin p covers the cells ``start +``
    ``[floor(p size / P), ceil((p + 1) size / P))``, clipped to the map; neighbours may share a cell. With
    ``bins="disjoint"`` the end is ``floor((p + 1) size / P)``. An empty bin is 0.

    Parameters
    ----------
    input : Tensor (N, C, H, W)
    boxes : Tensor (K, 5) or list of N Tensors (L, 4)
        Rows (image, x1, y1, x2, y2), or (x1, y1, x2, y2) per image.
    output_size : int or (int, int)
        Bins down and across.
    spatial_scale : float
        Cells per unit of the boxes: 1/16 behind VGG16's conv5.
    bins : {"caffe", "disjoint"}
        ``"caffe"`` is Fast R-CNN's code (and torchvision's); ``"disjoint"`` is how it is often drawn.

    Returns
    -------
    Tensor (K, C, *output_size)

    Raises
    ------
    ValueError
        For misshapen or infinite boxes, or an image number outside the batch.
    RuntimeError
        If the boxes require grad.

    Gradient
    --------
    Each bin's gradient goes to the cell that won (the first in row-major order among equals); cells that won several
    bins, of one box or of many, add up. Empty bins have none, boxes have none. Any order.

    Notes
    -----
    Bin limits are computed in whole numbers; Caffe's float arithmetic can add a cell where p size / P is whole.
    A NaN in a bin is its maximum.

    References
    ----------
    Girshick, "Fast R-CNN" (2015), section 2.1.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[8.0 * y + x for x in range(8)] for y in range(8)]]])
    >>> box = mc.tensor([[0.0, 0.0, 3.0, 6.0, 7.0]])
    >>> mc.ops.roi_pool(x, box, 2).tolist()
    [[[[43.0, 46.0], [59.0, 62.0]]]]
    >>> mc.ops.roi_pool(x, box, 2, bins="disjoint").tolist()
    [[[[34.0, 38.0], [58.0, 62.0]]]]
    """
    op = "roi_pool"
    size = checks.pair(op, "output_size", output_size, least=1)
    if bins not in ("caffe", "disjoint"):
        raise checks.value_error(op, f"bins must be 'caffe' or 'disjoint', got {bins!r}")
    rows = _rows(op, input, boxes)
    return RoiPool(size, float(spatial_scale), bins == "caffe")(input, rows)  # type: ignore[no-any-return]


def roi_align(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    mode: str = "avg",
) -> Tensor:
    """Mean (or maximum) over interpolated points in a grid of bins laid over each box; nothing is rounded.

    Each bin holds s x s points at ``(i + 1/2) / s`` of its sides; a point's value is interpolated between its four
    cells. A point more than one cell outside the map is 0; one less far outside takes the border's value.

    Parameters
    ----------
    input : Tensor (N, C, H, W)
    boxes : Tensor (K, 5) or list of N Tensors (L, 4)
        Rows (image, x1, y1, x2, y2), or (x1, y1, x2, y2) per image.
    output_size : int or (int, int)
        Bins down and across.
    spatial_scale : float
        Cells per unit of the boxes.
    sampling_ratio : int
        s, or -1 for ``ceil(box side / bins)``, at each side its own.
    aligned : bool
        True: pixel centres at whole numbers, coordinates ``x * spatial_scale - 1/2``, as the Mask R-CNN paper means.
        False (torchvision's default): coordinates ``x * spatial_scale``, boxes at least one cell long.
    mode : {"avg", "max"}

    Returns
    -------
    Tensor (K, C, *output_size)

    Raises
    ------
    ValueError
        For misshapen or infinite boxes, or an image number outside the batch.
    RuntimeError
        If the boxes require grad.

    Gradient
    --------
    The adjoint: each point's share of its bin's gradient is spread over its four cells by the same weights (``max``:
    the bin's first greatest point takes all). The boxes have none. Any order.

    References
    ----------
    He, Gkioxari, Dollar and Girshick, "Mask R-CNN" (2017), section 3.

    Examples
    --------
    >>> import minicnn as mc
    >>> ramp = mc.tensor([[[[10.0 * x for x in range(6)] for y in range(6)]]])
    >>> box = mc.tensor([[0.0, 1.5, 1.5, 4.5, 4.5]])
    >>> mc.ops.roi_align(ramp, box, (1, 2), sampling_ratio=2, aligned=True).tolist()
    [[[[17.5, 32.5]]]]
    """
    op = "roi_align"
    size = checks.pair(op, "output_size", output_size, least=1)
    if mode not in ("avg", "max"):
        raise checks.value_error(op, f"mode must be 'avg' or 'max', got {mode!r}")
    rows = _rows(op, input, boxes)
    node = RoiAlign if mode == "avg" else RoiAlignMax
    return node(size, float(spatial_scale), bool(aligned), int(sampling_ratio))(input, rows)  # type: ignore[no-any-return]
