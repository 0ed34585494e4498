"""Cases of reading and adding at indices."""

from typing import Any

import numpy as np

from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator


def _item(variant: str, shape: tuple[int, ...], index: Any, flat: str = "", order: int = 2) -> None:
    """``x[index]`` with a fixed index."""
    case("getitem", variant=variant, flat=flat, order=order, call=lambda x: x[index], torch=lambda x: x[index])(
        lambda rng: Sample((draws.normal(rng, shape),))
    )


_item("int", (3, 2), -1, order=3)
_item("ints", (3, 2), (1, 0))
_item("slice", (5, 3), (slice(1, None, 2), slice(None, -1)))
_item("newaxis", (3, 2), (Ellipsis, None, slice(1)))
_item("list", (3, 2), [0, 2, 0, -1])
_item("arrays", (3, 4), (np.array([0, 2, 0]), np.array([1, -1, 1])))
_item("array-between", (2, 3, 4), (slice(None), np.array([[0, 2], [2, 2]]), slice(1, 3)))
_item("arrays-apart", (2, 3, 4), (np.array([0, 1, 1]), slice(None), np.array([3, 0, 0])))
_item("mask", (2, 3), np.array([[True, False, True], [False, False, True]]))
_item("mask-first", (3, 2), (np.array([True, False, True]), 1))
_item("empty", (3, 2), slice(3, None), flat="nothing is read")


def _index_shape(rng: Rng, shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return tuple(5 if i == dim else int(rng.integers(1, n + 1)) for i, n in enumerate(shape))


@case("gather", torch="torch.gather")
def _gather(rng: Rng) -> Sample:
    shape, dim = (3, 4, 2), int(rng.integers(0, 3))
    return Sample((draws.normal(rng, shape), dim, draws.integers(rng, shape[dim], _index_shape(rng, shape, dim))))


def _torch_scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """PyTorch's own gradient fails where ``src`` is larger than ``index``: give it the part that is used."""
    return x.scatter_add(dim, index, src[tuple(slice(n) for n in index.shape)])


@case("scatter_add", torch=_torch_scatter_add)
def _scatter_add(rng: Rng) -> Sample:
    shape, dim = (3, 4, 2), int(rng.integers(0, 3))
    index = draws.integers(rng, shape[dim], _index_shape(rng, shape, dim))
    larger = tuple(n + int(rng.integers(0, 2)) for n in index.shape)
    return Sample((draws.normal(rng, shape), dim, index, draws.normal(rng, larger)))


@case("scatter", torch="torch.scatter")
def _scatter(rng: Rng) -> Sample:
    index = np.argsort(rng.random((2, 5)), axis=1)[:, :3]
    return Sample((draws.normal(rng, (3, 5)), -1, index, draws.normal(rng, (2, 3))))


@case("scatter", variant="number", torch="torch.scatter")
def _scatter_number(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (3, 5)), 0, draws.integers(rng, 3, (2, 5)), 1.5))


case("gather", variant="scalar", torch="torch.gather")(lambda rng: Sample((draws.normal(rng, ()), 0, np.array(0))))


@case("index_select", torch="torch.index_select")
def _index_select(rng: Rng) -> Sample:
    dim = int(rng.integers(-3, 3))
    return Sample((draws.normal(rng, (2, 3, 4)), dim, draws.integers(rng, 2, (5,))))


@case("take", torch="torch.take")
def _take(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (2, 3)), draws.integers(rng, 6, (4, 2))))


@case("scatter_flat", torch=lambda x, i, shape: x.new_zeros(shape).put(i, x, accumulate=True))
def _scatter_flat(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (4, 2)), draws.integers(rng, 6, (4, 2))), {"shape": (2, 3)})


@case("masked_fill", torch="torch.masked_fill")
def _masked_fill(rng: Rng) -> Sample:
    mask = rng.random((3,)) < 0.5
    mask[rng.integers(3)] = False  # where everything is filled, nothing is left to differentiate
    return Sample((draws.normal(rng, (2, 3)), mask, 2.0))


@case("masked_select", torch="torch.masked_select")
def _masked_select(rng: Rng) -> Sample:
    mask = rng.random((2, 3)) < 0.5
    mask[0, 0] = True
    return Sample((draws.normal(rng, (2, 3)), mask))


@case("one_hot", torch="torch.nn.functional.one_hot", differentiable=False)
def _one_hot(rng: Rng) -> Sample:
    return Sample((draws.integers(rng, 5, (2, 3)), 5))


@case("embedding", torch="torch.nn.functional.embedding")
def _embedding(rng: Rng) -> Sample:
    return Sample((draws.integers(rng, 5, (2, 3)), draws.normal(rng, (5, 4))))


@case("embedding", variant="padding", torch="torch.nn.functional.embedding")
def _embedding_padding(rng: Rng) -> Sample:
    """The padding row is not read: it gets no gradient by contract, whatever the derivative is."""
    padding = int(rng.integers(-5, 5))
    read = rng.choice([row for row in range(5) if row != padding % 5], 4)
    return Sample((read, draws.normal(rng, (5, 2))), {"padding_idx": padding})


case("embedding", variant="narrow", torch="torch.nn.functional.embedding", order=3)(
    lambda rng: Sample((draws.integers(rng, 5, (4,)), draws.normal(rng, (5, 1))))
)
