"""Convolution by its definition, in Python loops on NumPy arrays."""

import numpy as np


def _pad(x, padding):
    (top, bottom), (left, right) = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def conv2d(x, w, bias=None, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Every output element is one window times one kernel, summed."""
    padded = _pad(x, padding)
    (n, _, h, width), (o, c, kh, kw) = padded.shape, w.shape
    rows = range(0, h - dilation[0] * (kh - 1), stride[0])
    cols = range(0, width - dilation[1] * (kw - 1), stride[1])
    y = np.zeros((n, o, len(rows), len(cols)))
    for image in range(n):
        for channel in range(o):
            first = channel // (o // groups) * c
            for r, top in enumerate(rows):
                for q, left in enumerate(cols):
                    window = padded[
                        image,
                        first : first + c,
                        top : top + dilation[0] * (kh - 1) + 1 : dilation[0],
                        left : left + dilation[1] * (kw - 1) + 1 : dilation[1],
                    ]
                    y[image, channel, r, q] = (window * w[channel]).sum() + (0 if bias is None else bias[channel])
    return y


def conv_transpose2d(x, w, bias=None, stride=(1, 1), padding=(0, 0), output_padding=(0, 0), groups=1, dilation=(1, 1)):
    """Every input element paints its kernel, scaled, onto a canvas; padding is cut off at the end."""
    (n, c, h, width), (_, o, kh, kw) = x.shape, w.shape
    size = [
        (m - 1) * s + d * (k - 1) + 1 + e
        for m, s, d, k, e in zip((h, width), stride, dilation, (kh, kw), output_padding, strict=True)
    ]
    canvas = np.zeros((n, o * groups, *size))
    for image in range(n):
        for i in range(c):
            group = i // (c // groups)
            for r in range(h):
                for q in range(width):
                    for a in range(kh):
                        for b in range(kw):
                            row, col = r * stride[0] + a * dilation[0], q * stride[1] + b * dilation[1]
                            painted = x[image, i, r, q] * w[i, :, a, b]
                            canvas[image, group * o : (group + 1) * o, row, col] += painted
    if bias is not None:
        canvas += np.asarray(bias)[:, None, None]
    return canvas[:, :, padding[0] : size[0] - padding[0], padding[1] : size[1] - padding[1]]


def conv2d_weight_grad(x, shape, gy, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """The gradient of sum(gy * conv2d(x, w)), one weight at a time: conv2d with a one in that place alone."""
    gw = np.zeros(shape)
    both = [(p, p) for p in padding]
    for index in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[index] = 1
        gw[index] = (gy * conv2d(x, unit, None, stride, both, dilation, groups)).sum()
    return gw


def unfold(x, kernel, dilation=(1, 1), padding=(0, 0), stride=(1, 1)):
    """Windows in row-major order as columns."""
    padded = _pad(x, [(p, p) for p in padding])
    n, c, h, w = padded.shape
    columns = []
    for top in range(0, h - dilation[0] * (kernel[0] - 1), stride[0]):
        for left in range(0, w - dilation[1] * (kernel[1] - 1), stride[1]):
            rows = [top + a * dilation[0] for a in range(kernel[0])]
            cols = [left + b * dilation[1] for b in range(kernel[1])]
            columns.append(padded[:, :, rows][:, :, :, cols].reshape(n, -1))
    return np.stack(columns, axis=-1) if columns else np.zeros((n, c * kernel[0] * kernel[1], 0))


def locally_connected2d(x, w, bias=None, stride=(1, 1), padding=(0, 0)):
    """Each output position multiplies its window with kernels of its own."""
    oh, ow, o, _, kh, kw = w.shape
    padded = _pad(x, [(p, p) for p in padding])
    y = np.zeros((x.shape[0], o, oh, ow))
    for r in range(oh):
        for c in range(ow):
            window = padded[:, :, r * stride[0] : r * stride[0] + kh, c * stride[1] : c * stride[1] + kw]
            y[:, :, r, c] = np.einsum("nihw,oihw->no", window, w[r, c])
    return y if bias is None else y + bias
