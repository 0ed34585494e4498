"""Boxes (x1, y1, x2, y2) as Tensors: area, overlap and clipping with gradients, suppression without."""

from minicnn.core import checks
from minicnn.core.function import constant
from minicnn.core.tensor import Tensor
from minicnn.ops.arithmetic import maximum, minimum, where
from minicnn.ops.joining import stack
from minicnn.ops.rounding import clamp


def _check(op: str, **boxes: Tensor) -> None:
    checks.same_device(op, **boxes)
    checks.floating(op, **boxes)
    for name, value in boxes.items():
        if value.ndim != 2 or value.shape[1] != 4:
            raise checks.value_error(op, f"{name} must have shape (N, 4): x1, y1, x2, y2", **{name: value})


def box_area(boxes: Tensor, inclusive: bool = False) -> Tensor:
    """Area of each box: ``(x2 - x1) (y2 - y1)``.

    Parameters
    ----------
    boxes : Tensor (N, 4)
        Rows (x1, y1, x2, y2).
    inclusive : bool
        Corners are pixels that belong to the box: sides are ``x2 - x1 + 1``.

    Returns
    -------
    Tensor (N,)

    Gradient
    --------
    By composition. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.box_area(mc.tensor([[0.0, 0.0, 2.0, 3.0]])).tolist()
    [6.0]
    """
    _check("box_area", boxes=boxes)
    extra = 1.0 if inclusive else 0.0
    sides = boxes[:, 2:] - boxes[:, :2] + extra
    return sides[:, 0] * sides[:, 1]


def box_iou(boxes1: Tensor, boxes2: Tensor, inclusive: bool = False) -> Tensor:
    """Intersection over union of every box of one set with every box of another.

    Parameters
    ----------
    boxes1 : Tensor (N, 4)
    boxes2 : Tensor (M, 4)
    inclusive : bool
        Corners are pixels that belong to the box: sides are ``x2 - x1 + 1``.

    Returns
    -------
    Tensor (N, M) in [0, 1]; 0 where the union has no area

    Gradient
    --------
    By composition, for both sets; 0 between boxes that do not meet. Where two edges coincide, each gets half. Any
    order.

    Examples
    --------
    >>> import minicnn as mc
    >>> a = mc.tensor([[0.0, 0.0, 2.0, 2.0]])
    >>> b = mc.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    >>> [round(v, 4) for v in mc.ops.box_iou(a, b).tolist()[0]]
    [1.0, 0.3333, 0.0]
    """
    _check("box_iou", boxes1=boxes1, boxes2=boxes2)
    extra = 1.0 if inclusive else 0.0
    first, second = boxes1.reshape((-1, 1, 4)), boxes2.reshape((1, -1, 4))
    low = maximum(first[:, :, :2], second[:, :, :2])
    high = minimum(first[:, :, 2:], second[:, :, 2:])
    sides = clamp(high - low + extra, min=0.0)
    shared = sides[:, :, 0] * sides[:, :, 1]
    areas = box_area(boxes1, inclusive).reshape((-1, 1)) + box_area(boxes2, inclusive).reshape((1, -1))
    union = areas - shared
    return shared / where(union > 0, union, 1.0)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Move corners outside an image onto its border.

    Parameters
    ----------
    boxes : Tensor (N, 4)
    size : (int, int)
        Height and width; coordinates end in 0..width and 0..height.

    Returns
    -------
    Tensor (N, 4)

    Gradient
    --------
    1 for corners inside, 0 for moved ones. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.clip_boxes_to_image(mc.tensor([[-3.0, 2.0, 9.0, 30.0]]), (20, 8)).tolist()
    [[0.0, 2.0, 8.0, 20.0]]
    """
    op = "clip_boxes_to_image"
    _check(op, boxes=boxes)
    height, width = checks.pair(op, "size", size)
    x, y = clamp(boxes[:, ::2], min=0.0, max=float(width)), clamp(boxes[:, 1::2], min=0.0, max=float(height))
    return stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, inclusive: bool = False) -> Tensor:
    """Greedy non-maximum suppression.

    Boxes are taken by falling score (the lower index first among equals); each one kept drops every later one whose
    intersection over union with it is greater than the threshold.

    Parameters
    ----------
    boxes : Tensor (N, 4)
    scores : Tensor (N,)
    iou_threshold : float
        In [0, 1].
    inclusive : bool
        Corners are pixels that belong to the box.

    Returns
    -------
    int64 Tensor (K,)
        Indices kept, by falling score. No gradient.

    Raises
    ------
    ValueError
        For misshapen arguments or a NaN.

    Notes
    -----
    At most (number kept) x N overlaps are computed, on all cores; no N x N matrix is stored.

    Examples
    --------
    >>> import minicnn as mc
    >>> boxes = mc.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 5.0], [8.0, 8.0, 9.0, 9.0]])
    >>> mc.ops.nms(boxes, mc.tensor([0.5, 0.9, 0.3]), 0.5).tolist()
    [1, 2]
    """
    return _suppress("nms", boxes, scores, None, iou_threshold, inclusive)


def _suppress(
    op: str, boxes: Tensor, scores: Tensor, idxs: Tensor | None, iou_threshold: float, inclusive: bool
) -> Tensor:
    _check(op, boxes=boxes)
    checks.same_device(op, boxes=boxes, scores=scores, idxs=idxs)
    for name, value in (("scores", scores), ("idxs", idxs)):
        if value is not None and value.shape != boxes.shape[:1]:
            raise checks.value_error(op, f"{name} must have one entry per box", boxes=boxes, **{name: value})
    if idxs is not None and idxs.dtype.kind not in "iu":
        raise checks.type_error(op, "idxs must be integers", idxs=idxs)
    xp = boxes.device.xp
    if xp.isnan(boxes.data).any() or xp.isnan(scores.data).any():
        raise checks.value_error(op, "boxes and scores must not be NaN", boxes=boxes, scores=scores)
    classes = None if idxs is None else idxs.data
    kept = boxes.backend.boxes.nms(boxes.data, scores.data, classes, float(iou_threshold), inclusive)
    return constant(kept, boxes)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float, inclusive: bool = False) -> Tensor:
    """:func:`nms` within each class: boxes of different classes never drop each other.

    Parameters
    ----------
    boxes : Tensor (N, 4)
    scores : Tensor (N,)
    idxs : integer Tensor (N,)
        Class (or image) of each box.
    iou_threshold : float
    inclusive : bool

    Returns
    -------
    int64 Tensor (K,)
        Indices kept, by falling score. No gradient.

    Examples
    --------
    >>> import minicnn as mc
    >>> boxes = mc.tensor([[0.0, 0.0, 4.0, 4.0]] * 3)
    >>> mc.ops.batched_nms(boxes, mc.tensor([0.1, 0.9, 0.5]), mc.tensor([0, 0, 1]), 0.5).tolist()
    [1, 2]
    """
    return _suppress("batched_nms", boxes, scores, idxs, iou_threshold, inclusive)
