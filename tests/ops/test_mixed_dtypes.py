"""Operands of different dtypes, and dtypes that kernels are not compiled for."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops


def _leaf(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> mc.Tensor:
    return mc.tensor(rng.uniform(0.1, 0.9, shape), dtype=dtype, requires_grad=True)


def _norm(x: mc.Tensor, w: mc.Tensor) -> mc.Tensor:
    return ops.batch_norm(x, None, None, w, w, training=True)


def _norm_by_given(x: mc.Tensor, w: mc.Tensor) -> mc.Tensor:
    return ops.batch_norm(x, mc.tensor(np.zeros(3)), mc.tensor(np.ones(3)), w, w)


MIXED = {
    "add": (ops.add, (2, 3), (2, 3)),
    "where": (lambda a, b: ops.where(mc.tensor([True, False, True]), a, b), (2, 3), (3,)),
    "cat": (lambda a, b: ops.cat([a, b]), (2, 3), (2, 3)),
    "scatter": (lambda a, b: ops.scatter(a, 1, mc.tensor([[0], [2]]), b), (2, 3), (2, 1)),
    "scatter_add": (lambda a, b: ops.scatter_add(a, 1, mc.tensor([[0], [2]]), b), (2, 3), (2, 1)),
    "matmul": (ops.matmul, (2, 3), (3, 2)),
    "einsum": (lambda a, b: ops.einsum("ij,jk->ik", a, b), (2, 3), (3, 2)),
    "binary_cross_entropy": (ops.binary_cross_entropy, (2, 3), (2, 3)),
    "squared_distance": (ops.squared_distance, (2, 3), (4, 3)),
    "batch_norm": (_norm, (4, 3), (3,)),
    "batch_norm_by_given": (_norm_by_given, (4, 3), (3,)),
    "layer_norm": (lambda x, w: ops.layer_norm(x, 3, w, w), (4, 3), (3,)),
    "mse_loss": (ops.mse_loss, (2, 3), (2, 3)),
    "kl_div": (ops.kl_div, (2, 3), (2, 3)),
    "prelu": (ops.prelu, (2, 3), (3,)),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")], ids="-".join)
def test_each_operand_gets_a_gradient_of_its_own_dtype(name: str, dtypes: tuple[str, str]) -> None:
    function, *shapes = MIXED[name]
    rng = np.random.default_rng(0)
    a, b = (_leaf(rng, shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    first = mc.grad(ops.square(function(a, b)).sum(), [a, b], create_graph=True)
    assert [str(g.dtype) for g in first] == list(dtypes)
    second = mc.grad(first[0].sum() + first[1].sum(), [a, b], allow_unused=True)
    assert all(g is None or g.dtype == dtype for g, dtype in zip(second, dtypes, strict=True))

    exact = [mc.tensor(t.detach().numpy(), dtype="float64", requires_grad=True) for t in (a, b)]
    for g, e in zip(first, mc.grad(ops.square(function(*exact)).sum(), exact), strict=True):
        np.testing.assert_allclose(g.detach().numpy(), e.numpy(), rtol=2e-5, atol=2e-5)


def test_integers_never_promote_a_float_in_einsum() -> None:
    y = ops.einsum("i,i->i", mc.tensor([1, 2]), mc.tensor([0.5, 0.5]))
    assert y.dtype == np.float32 and y.tolist() == [0.5, 1.0]


def test_a_floating_src_does_not_fit_an_integer_input() -> None:
    with pytest.raises(TypeError, match="scatter: a floating src does not fit an integer input"):
        ops.scatter(mc.tensor([1, 2]), 0, mc.tensor([0]), mc.tensor([0.5]))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32"])
def test_small_integers_multiply_and_add_up_as_int64(dtype: str) -> None:
    x = mc.tensor(np.ones((300,)), dtype=dtype)
    assert ops.prod(x).dtype == ops.cumsum(x, 0).dtype == np.int64
    assert ops.cumsum(x, 0)[-1].item() == 300
    assert ops.prod(mc.tensor([1 << 20, 1 << 20], dtype="int32")).item() == 1 << 40


def _half(*shape: int) -> mc.Tensor:
    return mc.tensor(np.ones(shape), dtype="float16")


BOXES = mc.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]])
KERNELS = {
    "max_pool2d": lambda: ops.max_pool2d(_half(1, 1, 4, 4), 2),
    "adaptive_max_pool2d": lambda: ops.adaptive_max_pool2d(_half(1, 1, 4, 4), 2),
    "max_unpool2d": lambda: ops.max_unpool2d(_half(1, 1, 1, 1), mc.tensor([[[[0]]]]), 2),
    "avg_pool2d": lambda: ops.avg_pool2d(_half(1, 1, 4, 4), 2),
    "adaptive_avg_pool2d": lambda: ops.adaptive_avg_pool2d(_half(1, 1, 4, 4), 2),
    "maxout": lambda: ops.maxout(_half(2, 4), 2),
    "cross_entropy": lambda: ops.cross_entropy(_half(2, 3), mc.tensor([0, 1])),
    "batch_norm": lambda: ops.batch_norm(_half(2, 3), None, None, training=True),
    "layer_norm": lambda: ops.layer_norm(_half(2, 3), 3),
    "group_norm": lambda: ops.group_norm(_half(2, 4, 3), 2),
    "instance_norm": lambda: ops.instance_norm(_half(2, 4, 3)),
    "local_response_norm": lambda: ops.local_response_norm(_half(2, 4, 3), 3),
    "roi_pool": lambda: ops.roi_pool(_half(1, 1, 4, 4), BOXES, 1),
    "roi_align": lambda: ops.roi_align(_half(1, 1, 4, 4), BOXES, 1),
    "dropout": lambda: ops.dropout(_half(4)),
    "interpolate": lambda: ops.interpolate(_half(1, 1, 4, 4), 2),
    "unfold": lambda: ops.unfold(_half(1, 1, 4, 4), 2),
}


@pytest.mark.parametrize("name", KERNELS)
def test_half_precision_is_refused_by_kernels_in_the_house_form(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: input must be float32 or float64, got float16 \[input.shape="):
        KERNELS[name]()
