"""Box geometry on plain NumPy arrays: area, overlap, clipping, regression codes, suppression.

Boxes are rows ``(x1, y1, x2, y2)``, x to the right and y down. Coordinates are continuous: a box is ``x2 - x1``
wide. With ``inclusive=True`` the corners are pixels that belong to the box, which is then ``x2 - x1 + 1`` wide, as
in the Caffe and MATLAB code of the R-CNN family.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn.core import checks

Floats = NDArray[np.float64]


def _boxes(op: str, name: str, boxes: ArrayLike) -> Floats:
    array = np.asarray(boxes, np.float64)
    if array.size == 0 and array.ndim < 2:
        array = array.reshape(0, 4)
    if array.shape[-1] != 4:
        raise checks.value_error(op, f"{name} must end in an axis of 4 (x1, y1, x2, y2)", **{name: array})
    return array


def box_area(boxes: ArrayLike, inclusive: bool = False) -> Floats:
    """Areas of boxes (..., 4).

    Examples
    --------
    >>> from minicnn.vision.boxes import box_area
    >>> box_area([[0, 0, 2, 3]]).item(), box_area([[0, 0, 2, 3]], inclusive=True).item()
    (6.0, 12.0)
    """
    array = _boxes("box_area", "boxes", boxes)
    sides = array[..., 2:] - array[..., :2] + float(inclusive)
    return np.asarray(sides[..., 0] * sides[..., 1])


def box_iou(boxes1: ArrayLike, boxes2: ArrayLike, inclusive: bool = False) -> Floats:
    """Intersection over union of every box of one set with every box of another.

    Parameters
    ----------
    boxes1 : array (N, 4)
    boxes2 : array (M, 4)
    inclusive : bool

    Returns
    -------
    float64 array (N, M) in [0, 1]; 0 where the union has no area

    Examples
    --------
    >>> from minicnn.vision.boxes import box_iou
    >>> box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [2, 0, 4, 2]]).round(4).tolist()
    [[0.3333, 0.0]]
    """
    first, second = _boxes("box_iou", "boxes1", boxes1), _boxes("box_iou", "boxes2", boxes2)
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    sides = np.maximum(high - low + float(inclusive), 0.0)
    shared = sides[..., 0] * sides[..., 1]
    union = box_area(first, inclusive)[:, None] + box_area(second, inclusive) - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def clip_boxes_to_image(boxes: ArrayLike, size: tuple[int, int], inclusive: bool = False) -> Floats:
    """Boxes with corners outside an image moved onto its border.

    Parameters
    ----------
    boxes : array (..., 4)
    size : (int, int)
        Height and width. Coordinates end in 0..width and 0..height, or one less if ``inclusive``.

    Examples
    --------
    >>> from minicnn.vision.boxes import clip_boxes_to_image
    >>> clip_boxes_to_image([[-3, 2, 9, 30]], (20, 8)).tolist()
    [[0.0, 2.0, 8.0, 20.0]]
    """
    height, width = checks.pair("clip_boxes_to_image", "size", size)
    limit = np.array([width, height, width, height], np.float64) - float(inclusive)
    return np.clip(_boxes("clip_boxes_to_image", "boxes", boxes), 0.0, limit)


def _centred(boxes: Floats, inclusive: bool) -> tuple[Floats, Floats]:
    """Centres (..., 2) and sides (..., 2)."""
    sides = boxes[..., 2:] - boxes[..., :2] + float(inclusive)
    return boxes[..., :2] + 0.5 * sides, sides


def encode(boxes: ArrayLike, anchors: ArrayLike, weights: ArrayLike = 1.0, inclusive: bool = False) -> Floats:
    """Regression codes of boxes relative to anchors.

    ``tx = (x - xa) / wa``, ``ty = (y - ya) / ha``, ``tw = ln(w / wa)``, ``th = ln(h / ha)``, with (x, y) the centre
    and (w, h) the sides; times ``weights``.

    Parameters
    ----------
    boxes : array (..., 4)
        What the regression should give (a ground-truth box).
    anchors : array (..., 4)
        What it starts from (a proposal or an anchor); broadcasts with ``boxes``.
    weights : float or 4 floats
        Scale of each code; (10, 10, 5, 5) in Fast R-CNN's later code.
    inclusive : bool

    Returns
    -------
    float64 array (..., 4)

    Raises
    ------
    ValueError
        If a box or an anchor has a side that is not positive.

    References
    ----------
    Girshick et al., "Rich feature hierarchies" (2014), appendix C; Fast R-CNN (2015), section 2.3.

    Examples
    --------
    >>> from minicnn.vision.boxes import encode
    >>> encode([[2, 0, 6, 2]], [[0, 0, 4, 2]]).tolist()
    [[0.5, 0.0, 0.0, 0.0]]
    """
    centre, sides = _centred(_boxes("encode", "boxes", boxes), inclusive)
    start, scale = _centred(_boxes("encode", "anchors", anchors), inclusive)
    for name, value in (("boxes", sides), ("anchors", scale)):
        if not (value > 0).all():
            raise checks.value_error("encode", f"{name} must have positive width and height", **{name: value})
    codes = np.concatenate([(centre - start) / scale, np.log(sides / scale)], axis=-1)
    return np.asarray(codes * np.asarray(weights, np.float64))


def decode(
    codes: ArrayLike,
    anchors: ArrayLike,
    weights: ArrayLike = 1.0,
    inclusive: bool = False,
    max_log_ratio: float = float(np.log(1000 / 16)),
) -> Floats:
    """Boxes from regression codes: the inverse of :func:`encode`.

    Parameters
    ----------
    codes : array (..., 4)
        One code per class works by ``decode(codes.reshape(n, classes, 4), anchors[:, None])``.
    anchors : array (..., 4)
    weights, inclusive : as for :func:`encode`
    max_log_ratio : float
        Upper limit of tw and th, so that an untrained regressor's exponential does not overflow.

    Returns
    -------
    float64 array (..., 4)

    Examples
    --------
    >>> from minicnn.vision.boxes import decode
    >>> decode([[0.5, 0.0, 0.0, 0.0]], [[0, 0, 4, 2]]).tolist()
    [[2.0, 0.0, 6.0, 2.0]]
    """
    raw = _boxes("decode", "codes", codes) / np.asarray(weights, np.float64)
    start, scale = _centred(_boxes("decode", "anchors", anchors), inclusive)
    centre = start + raw[..., :2] * scale
    sides = np.exp(np.minimum(raw[..., 2:], max_log_ratio)) * scale
    low = centre - 0.5 * sides
    return np.concatenate([low, low + sides - float(inclusive)], axis=-1)


def nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float, inclusive: bool = False) -> NDArray[np.int64]:
    """Indices kept by greedy non-maximum suppression, by falling score; see :func:`minicnn.ops.nms`.

    Boxes are taken by falling score (the lower index first among equals); each one kept drops every later one whose
    intersection over union with it is greater than the threshold.

    Parameters
    ----------
    boxes : array (N, 4)
    scores : array (N,)
    iou_threshold : float
    inclusive : bool

    Raises
    ------
    ValueError
        For misshapen arguments or a NaN.

    Examples
    --------
    >>> from minicnn.vision.boxes import nms
    >>> nms([[0, 0, 4, 4], [0, 0, 4, 5], [8, 8, 9, 9]], [0.5, 0.9, 0.3], 0.5).tolist()
    [1, 2]
    """
    return _suppress("nms", boxes, scores, None, iou_threshold, inclusive)


def batched_nms(
    boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, iou_threshold: float, inclusive: bool = False
) -> NDArray[np.int64]:
    """:func:`nms` within each class: boxes of different classes never drop each other.

    Parameters
    ----------
    boxes : array (N, 4)
    scores : array (N,)
    classes : integer array (N,)
    iou_threshold : float
    inclusive : bool

    Examples
    --------
    >>> from minicnn.vision.boxes import batched_nms
    >>> batched_nms([[0, 0, 4, 4]] * 3, [0.1, 0.9, 0.5], [0, 0, 1], 0.5).tolist()
    [1, 2]
    """
    return _suppress("batched_nms", boxes, scores, classes, iou_threshold, inclusive)


def _suppress(
    op: str, boxes: ArrayLike, scores: ArrayLike, classes: Any, threshold: float, inclusive: bool
) -> NDArray[np.int64]:
    from minicnn.backends.cpu.boxes import nms as kernel  # compiles: only when first called

    array, values = _boxes(op, "boxes", boxes), np.asarray(scores, np.float64)
    labels = None if classes is None else np.asarray(classes, np.int64)
    for name, value in (("scores", values), ("classes", labels)):
        if value is not None and value.shape != array.shape[:1]:
            raise checks.value_error(op, f"{name} must have one entry per box", boxes=array, **{name: value})
    if array.ndim != 2 or np.isnan(array).any() or np.isnan(values).any():
        raise checks.value_error(op, "boxes must be (N, 4), and neither they nor scores NaN", boxes=array)
    kept: NDArray[np.int64] = kernel(array, values, labels, float(threshold), inclusive)
    return kept
