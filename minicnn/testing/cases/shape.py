"""Cases of ops that move, repeat, join, cut and pad."""

from typing import Any

import numpy as np

from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator


def _fixed(op: str, shape: tuple[int, ...], *args: Any, variant: str = "", torch: Any = "", **kwargs: Any) -> None:
    """A case of one input shape and fixed options."""
    case(op, variant=variant, torch=f"torch.{op}" if torch == "" else torch)(
        lambda rng: Sample((draws.normal(rng, shape), *args), kwargs)
    )


_fixed("reshape", (2, 3, 4), (4, -1))
_fixed("reshape", (1,), (), variant="scalar")
_fixed("flatten", (2, 3, 4))
_fixed("flatten", (2, 3, 1, 4), 1, -2, variant="dims")
_fixed("flatten", (), variant="scalar")
_fixed("unflatten", (2, 6), 1, (3, -1))
_fixed("squeeze", (1, 3, 1, 2))
_fixed("squeeze", (1, 3, 1, 2), -2, variant="dim")
_fixed("squeeze", (1, 3, 1, 2), (0, 1), variant="dims")
_fixed("unsqueeze", (3, 2), 1)
_fixed("unsqueeze", (3, 2), -1, variant="last")
_fixed("permute", (2, 3, 4), (2, 0, -2))
_fixed("transpose", (2, 3, 4), 0, -1)
_fixed("movedim", (2, 3, 4), 0, -1)
_fixed("moveaxis", (2, 3, 4, 1), (0, 1), (-1, 0))
_fixed("broadcast_to", (3, 1), (2, 3, 4))
_fixed("broadcast_to", (3, 3), (2, 3, 3), variant="square")
_fixed("expand", (3, 1), (2, -1, 4), torch="torch.Tensor.expand")
_fixed("sum_to", (2, 3, 4), (3, 1), torch="torch.Tensor.sum_to_size")
_fixed("flip", (2, 3), (0, 1))
_fixed("roll", (3, 4), (1, -2), (0, 1))
_fixed("roll", (3, 4), 5, variant="flat")
_fixed("tile", (2, 3), (2, 1, 2))
_fixed("tile", (2, 1, 3), 2, variant="last", torch=lambda x, n: x.tile((n,)))
_fixed("repeat", (2, 3), (2, 1, 2), torch="torch.Tensor.repeat")
_fixed("repeat_interleave", (2, 3), 2)
_fixed("repeat_interleave", (2, 3), 3, 0, variant="dim")
_fixed("chunk", (5, 2), 3)
_fixed("split", (5, 2), 2)
_fixed("split", (2, 6), [1, 3, 2], variant="sections", dim=1)
_fixed("unbind", (2, 3), 1)
case("split", variant="part-unused", torch=lambda x: x.split(2, 1)[1], call=lambda x: x.split(2, 1)[1])(
    lambda rng: Sample((draws.normal(rng, (2, 5)),))
)
case("expand_as", torch="torch.Tensor.expand_as")(
    lambda rng: Sample((draws.normal(rng, (3, 1)), draws.integers(rng, 2, (2, 3, 4))))
)


@case("cat", torch="torch.cat")
def _cat(rng: Rng) -> Sample:
    dim = int(rng.integers(0, 3))
    shapes = [[2, 3, 2] for _ in range(3)]
    for shape in shapes:
        shape[dim] = int(rng.integers(1, 4))
    return Sample(([draws.normal(rng, tuple(s)) for s in shapes], dim - 3 * int(rng.integers(0, 2))))


case("concat", torch="torch.concat")(lambda rng: Sample(([draws.normal(rng, (2,)), draws.normal(rng, (3,))],)))
case("concatenate", torch="torch.concatenate")(
    lambda rng: Sample(([draws.normal(rng, (2,)), draws.normal(rng, (0,))],))
)


@case("stack", torch="torch.stack")
def _stack(rng: Rng) -> Sample:
    return Sample(([draws.normal(rng, (2, 3)) for _ in range(3)], int(rng.integers(-3, 3))))


_PAD = "torch.nn.functional.pad"
_fixed("pad", (2, 3), (1, 2), torch=_PAD)
_fixed("pad", (2, 3, 2), (0, 1, 2, 0), variant="value", torch=_PAD, value=1.5)
_fixed("pad", (2, 4, 3), (-1, 2, 1, -2), variant="negative", torch=_PAD)
_fixed("pad", (1, 2, 3, 4), (2, 1, 1, 2), variant="reflect", torch=_PAD, mode="reflect")
_fixed("pad", (1, 2, 3, 4), (5, 1, 0, 4), variant="replicate", torch=_PAD, mode="replicate")
_fixed("pad", (1, 2, 3, 4), (4, 1, 1, 2), variant="circular", torch=_PAD, mode="circular")
