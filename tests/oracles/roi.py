"""Naive RoI pooling and RoIAlign with their gradients, NumPy only."""

import math

import numpy as np


def half_away(value):
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def pool_bins(box, size, scale, bins, height, width):
    """For each bin (i, j) of a box (n, x1, y1, x2, y2), its cells inside the map in row-major order."""
    left, top, right, bottom = (half_away(c * scale) for c in box[1:])
    wide, tall = max(right - left + 1, 1), max(bottom - top + 1, 1)
    end = math.ceil if bins == "caffe" else math.floor

    def cells(p, count, length, start, limit):
        from fractions import Fraction

        low, high = math.floor(Fraction(p * length, count)), end(Fraction((p + 1) * length, count))
        return [c for c in range(start + low, start + high) if 0 <= c < limit]

    for i in range(size[0]):
        for j in range(size[1]):
            ys, xs = cells(i, size[0], tall, top, height), cells(j, size[1], wide, left, width)
            yield i, j, [(y, x) for y in ys for x in xs]


def roi_pool(x, boxes, size, scale=1.0, bins="caffe", gy=None):
    """Values, and the gradient of sum(y * gy) where ``gy`` is given."""
    y, gx = np.zeros((len(boxes), x.shape[1], *size)), np.zeros_like(x)
    for k, box in enumerate(boxes):
        n = int(box[0])
        for i, j, cells in pool_bins(box, size, scale, bins, *x.shape[2:]):
            for c in range(x.shape[1]):
                if cells:
                    best = max(cells, key=lambda cell: x[n, c][cell])  # the first among equals
                    y[k, c, i, j] = x[n, c][best]
                    if gy is not None:
                        gx[n, c][best] += gy[k, c, i, j]
    return y, gx


def corners(y, x, height, width):
    """The cells and weights that interpolate at a point; none where it lies more than a cell outside."""
    if y < -1 or y > height or x < -1 or x > width:
        return []
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    out = []
    for v in range(height):
        for u in range(width):
            weight = max(0.0, 1 - abs(y - v)) * max(0.0, 1 - abs(x - u))  # the hat function
            if weight > 0:
                out.append((v, u, weight))
    return out


def roi_align(x, boxes, size, scale=1.0, sampling=-1, aligned=False, mode="avg", gy=None):
    """Values, and the gradient of sum(y * gy) where ``gy`` is given."""
    height, width = x.shape[2:]
    y, gx = np.zeros((len(boxes), x.shape[1], *size)), np.zeros_like(x)
    shift = 0.5 if aligned else 0.0
    for k, box in enumerate(boxes):
        n = int(box[0])
        x1, y1, x2, y2 = (c * scale - shift for c in box[1:])
        wide, tall = x2 - x1, y2 - y1
        if not aligned:
            wide, tall = max(wide, 1.0), max(tall, 1.0)
        step_y, step_x = tall / size[0], wide / size[1]
        down = sampling if sampling > 0 else max(math.ceil(step_y), 0)
        across = sampling if sampling > 0 else max(math.ceil(step_x), 0)
        for i in range(size[0]):
            for j in range(size[1]):
                points = [
                    corners(y1 + (i + (a + 0.5) / down) * step_y, x1 + (j + (b + 0.5) / across) * step_x, height, width)
                    for a in range(down)
                    for b in range(across)
                ]
                for c in range(x.shape[1]):
                    values = [sum(w * x[n, c, v, u] for v, u, w in point) for point in points]
                    if not values:
                        continue
                    best = int(np.argmax(values))
                    y[k, c, i, j] = np.mean(values) if mode == "avg" else values[best]
                    if gy is not None:
                        for point in points if mode == "avg" else [points[best]]:
                            for v, u, w in point:
                                share = 1 / len(points) if mode == "avg" else 1
                                gx[n, c, v, u] += gy[k, c, i, j] * w * share
    return y, gx
