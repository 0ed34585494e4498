"""Convolution, pooling, padding, resizing in plain loops."""

import numpy as np

from tests.testing.diagnosis.building import Wrong

PAIRS = []


def wrong(cause):
    def register(make):
        PAIRS.append((cause, make))
        return make

    return register


def conv(x, w, stride=1, pad=0):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, _, h, wd = x.shape
    o, _, kh, kw = w.shape
    oh, ow = (h - kh) // stride + 1, (wd - kw) // stride + 1
    y = np.zeros((n, o, oh, ow))
    for i in range(oh):
        for j in range(ow):
            window = x[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            y[:, :, i, j] = np.einsum("nchw,ochw->no", window, w)
    return y


def conv_backward(gy, x, w, stride=1, pad=0, add=True, at=None, stop=0, offset=None):
    offset = pad if offset is None else offset
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    gx, gw = np.zeros((*x.shape[:2], x.shape[2] + 2 * pad + 2, x.shape[3] + 2 * pad + 2)), np.zeros_like(w)
    kh, kw = w.shape[2:]
    at = stride if at is None else at
    for i in range(gy.shape[2] - stop):
        for j in range(gy.shape[3]):
            part = np.einsum("no,ochw->nchw", gy[:, :, i, j], w)
            place = (slice(None), slice(None), slice(i * at, i * at + kh), slice(j * at, j * at + kw))
            if add:
                gx[place] += part
            else:
                gx[place] = part
            window = xp[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            gw += np.einsum("no,nchw->ochw", gy[:, :, i, j], window)
    return gx[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]], gw


def _images(r, h=5, w=4, channels=2, k=3):
    return [r.standard_normal((1, channels, h, w)), r.standard_normal((2, channels, k, k))]


@wrong("kernel-not-flipped")
def flipped_weight(r):
    return Wrong(
        conv,
        lambda gy, x, w, pad: (conv_backward(gy, x, w[:, :, ::-1, ::-1], pad=pad)[0], None),
        _images(r),
        {"pad": 1},
    )


@wrong("kernel-not-flipped")
def weight_gradient_flipped(r):
    return Wrong(conv, lambda gy, x, w: (None, conv_backward(gy, x, w)[1][:, :, ::-1, ::-1]), _images(r), by=1)


@wrong("kernel-not-flipped")
def full_convolution_1d(r):
    def f(x, w):
        return np.array([x[i : i + len(w)] @ w for i in range(len(x) - len(w) + 1)])

    return Wrong(f, lambda gy, x, w: (np.convolve(gy, w[::-1]), None), [r.standard_normal(7), r.standard_normal(3)])


@wrong("overwritten-not-accumulated")
def col2im_assigns(r):
    return Wrong(conv, lambda gy, x, w: (conv_backward(gy, x, w, add=False)[0], None), _images(r))


@wrong("off-by-one-shift")
def padding_off_by_one(r):
    return Wrong(
        conv, lambda gy, x, w, pad: (conv_backward(gy, x, w, pad=pad, offset=pad + 1)[0], None), _images(r), {"pad": 1}
    )


@wrong("border-dropped")
def last_row_of_windows(r):
    return Wrong(conv, lambda gy, x, w: (conv_backward(gy, x, w, stop=1)[0], None), _images(r))


@wrong("border-dropped")
def last_row_of_windows_weight(r):
    return Wrong(conv, lambda gy, x, w: (None, conv_backward(gy, x, w, stop=1)[1]), _images(r), by=1)


@wrong("option-ignored")
def stride_ignored(r):
    return Wrong(
        conv,
        lambda gy, x, w, stride: (conv_backward(gy, x, w, stride=stride, at=1)[0], None),
        _images(r, 7, 7),
        {"stride": 2},
    )


@wrong("transposed-weight")
def channels_exchanged(r):
    return Wrong(conv, lambda gy, x, w: (conv_backward(gy, x, w.transpose(1, 0, 2, 3))[0], None), _images(r))


@wrong("transposed-weight")
def kernel_transposed(r):
    return Wrong(conv, lambda gy, x, w: (conv_backward(gy, x, w.transpose(0, 1, 3, 2))[0], None), _images(r))


def pool(x, k=2, stride=2, pad=0):
    xp = np.pad(x, pad, constant_values=-np.inf)
    oh, ow = (xp.shape[0] - k) // stride + 1, (xp.shape[1] - k) // stride + 1
    return np.array(
        [[xp[i * stride : i * stride + k, j * stride : j * stride + k].max() for j in range(ow)] for i in range(oh)]
    )


def pool_backward(gy, x, k=2, stride=2, pad=0, fill=-np.inf, add=True, everyone=False, fortran=False):
    xp = np.pad(x, pad, constant_values=fill)
    gx = np.zeros(xp.shape)
    for i in range(gy.shape[0]):
        for j in range(gy.shape[1]):
            window = xp[i * stride : i * stride + k, j * stride : j * stride + k]
            if everyone:
                gx[i * stride : i * stride + k, j * stride : j * stride + k] += gy[i, j]
                continue
            a, b = divmod(int((window.T if fortran else window).argmax()), k)
            if add:
                gx[i * stride + a, j * stride + b] += gy[i, j]
            else:
                gx[i * stride + a, j * stride + b] = gy[i, j]
    return gx[pad : pad + x.shape[0], pad : pad + x.shape[1]]


@wrong("zero-padded-max")
def pool_zero_padding(r):
    return Wrong(
        pool,
        lambda gy, x, **o: (pool_backward(gy, x, fill=0, **o),),
        [-r.random((4, 6)) - 0.1],
        {"k": 3, "stride": 2, "pad": 1},
    )


@wrong("zero-padded-max")
def pool_zero_padding_mixed(r):
    x = r.standard_normal((5, 5))
    x[:2, :2] = -np.abs(x[:2, :2]) - 0.1
    return Wrong(pool, lambda gy, x, **o: (pool_backward(gy, x, fill=0, **o),), [x], {"k": 3, "stride": 2, "pad": 1})


@wrong("overwritten-not-accumulated")
def pool_overlapping(r):
    x = r.standard_normal((5, 5))
    x[2, 2] = 9
    return Wrong(pool, lambda gy, x, **o: (pool_backward(gy, x, add=False, **o),), [x], {"k": 3, "stride": 1})


@wrong("mask-missing")
def pool_everyone(r):
    return Wrong(pool, lambda gy, x: (pool_backward(gy, x, everyone=True),), [r.standard_normal((4, 6))])


@wrong("misplaced")
def pool_argmax_transposed(r):
    x = r.standard_normal((4, 6))
    x[0, 1] = 9
    return Wrong(pool, lambda gy, x: (pool_backward(gy, x, fortran=True),), [x])


def average(x, k=2):
    return np.array(
        [[x[i : i + k, j : j + k].mean() for j in range(0, x.shape[1], k)] for i in range(0, x.shape[0], k)]
    )


@wrong("mean-not-divided")
def average_undivided(r):
    return Wrong(average, lambda gy, x: (np.kron(gy, np.ones((2, 2))),), [r.standard_normal((4, 6))])


@wrong("wrong-count")
def average_counts_padding(r):
    def f(x):
        return np.array([x[max(0, 2 * i - 1) : 2 * i + 2].mean() for i in range(4)])

    def backward(gy, x):
        gx = np.zeros_like(x)
        for i in range(4):
            gx[max(0, 2 * i - 1) : 2 * i + 2] += gy[i] / 3
        return (gx,)

    return Wrong(f, backward, [r.standard_normal(7)])


@wrong("broadcast-not-summed")
def nearest_upsampling(r):
    return Wrong(lambda x: x.repeat(2, 0).repeat(2, 1), lambda gy, x: (gy[::2, ::2],), [r.standard_normal((2, 3))])


@wrong("off-by-one-shift")
def pad_sliced_wrong(r):
    return Wrong(
        lambda x: np.pad(x, 2), lambda gy, x: (gy[1 : 1 + x.shape[0], 2 : 2 + x.shape[1]],), [r.standard_normal((4, 3))]
    )


@wrong("border-dropped")
def difference_ends(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[1:-1] = gy[:-1] - gy[1:]
        gx[0] = -gy[0]
        return (gx,)

    return Wrong(lambda x: np.diff(x), backward, [r.standard_normal(6)])
