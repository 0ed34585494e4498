"""Cases of reductions, running sums, extremes and sorting."""

from typing import Any

import numpy as np

from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator
_KEEP = ({"keepdim": False}, {"keepdim": True})


def _over_axes(op: str, draw: Any, torch: str | None = None, **options: Any) -> None:
    """Three cases: everything, one axis, several axes; two axes are alike, for a gradient may confuse them."""
    name = torch or f"torch.{op}"
    case(op, torch=name, **options)(lambda rng: Sample((draw(rng, draws.shape(rng, 0)),)))
    case(op, variant="dim", torch=name, **options)(
        lambda rng: Sample((draw(rng, (3, 2, 3)),), {"dim": int(rng.integers(-3, 3)), **_KEEP[rng.integers(0, 2)]})
    )
    case(op, variant="dims", torch=name, **options)(
        lambda rng: Sample((draw(rng, (3, 2, 3)),), {"dim": (0, -1), **_KEEP[rng.integers(0, 2)]})
    )


_over_axes("sum", draws.normal)
_over_axes("mean", draws.normal)
_over_axes("amax", draws.distinct, kinks=True)
_over_axes("amin", draws.distinct, kinks=True)
for _op in ("var", "std"):
    case(_op, torch=f"torch.{_op}")(lambda rng: Sample((draws.normal(rng, (3, 4)),)))
    for _correction in (0, 1, 2):
        case(_op, variant=f"correction{_correction}", torch=f"torch.{_op}")(
            lambda rng, c=_correction: Sample(  # type: ignore[misc]
                (draws.normal(rng, (3, 2, 4)),), {"dim": (0, 2), "correction": c, **_KEEP[rng.integers(0, 2)]}
            )
        )
    case(_op, variant="unbiased", torch=f"torch.{_op}")(
        lambda rng: Sample((draws.normal(rng, (3, 4)),), {"dim": 1, "unbiased": bool(rng.random() < 0.5)})
    )
for _p in (2, 1, 3, 1.5, float("inf"), float("-inf")):
    case("norm", variant=f"p{_p}", torch="torch.norm", kinks=True)(
        lambda rng, p=_p: Sample(  # type: ignore[misc]
            (draws.distinct(rng, (3, 4)), p), {"dim": int(rng.integers(-2, 2)), **_KEEP[rng.integers(0, 2)]}
        )
    )
case("norm", torch="torch.norm")(lambda rng: Sample((draws.away(rng, draws.shape(rng)),)))
case("norm", variant="p0", torch="torch.norm", flat="a count")(lambda rng: Sample((draws.away(rng, (3, 4)), 0, 1)))
case("prod", torch="torch.prod")(lambda rng: Sample((draws.normal(rng, draws.shape(rng, 0, 2)),)))
case("prod", variant="dim", torch="torch.prod")(
    lambda rng: Sample((draws.normal(rng, (3, 5, 2)),), {"dim": int(rng.integers(-3, 3)), **_KEEP[rng.integers(0, 2)]})
)


@case("prod", variant="zeros", torch="torch.prod")
def _prod_zeros(rng: Rng) -> Sample:
    x = draws.away(rng, (2, 4))
    x[0, 1] = x[1, 0] = x[1, 3] = 0.0
    return Sample((x, 1))


case("cumsum", torch="torch.cumsum")(
    lambda rng: Sample((draws.normal(rng, draws.shape(rng, 3, 3)), int(rng.integers(-3, 3))))
)
case("cumsum", variant="scalar", torch="torch.cumsum")(lambda rng: Sample((draws.normal(rng, ()), 0)))
for _op in ("all", "any"):
    case(_op, torch=f"torch.{_op}", differentiable=False)(lambda rng: Sample((rng.random((2, 3)) < 0.7,)))
    case(_op, variant="dim", torch=f"torch.{_op}", differentiable=False)(
        lambda rng: Sample((rng.random((2, 3)) < 0.6,), {"dim": 1, **_KEEP[rng.integers(0, 2)]})
    )
for _op in ("argmax", "argmin"):
    case(_op, torch=f"torch.{_op}", differentiable=False)(lambda rng: Sample((draws.distinct(rng, (2, 3)),)))
    case(_op, variant="dim", torch=f"torch.{_op}", differentiable=False)(
        lambda rng: Sample((draws.distinct(rng, (2, 3)),), {"dim": 0, **_KEEP[rng.integers(0, 2)]})
    )
for _op in ("max", "min"):
    case(_op, torch=f"torch.{_op}", kinks=True)(lambda rng: Sample((draws.distinct(rng, draws.shape(rng, 0)),)))
    case(_op, variant="dim", torch=f"torch.{_op}", kinks=True)(
        lambda rng: Sample((draws.distinct(rng, (2, 3, 4)), int(rng.integers(-3, 3))), _KEEP[rng.integers(0, 2)])
    )
    case(_op, variant="two", torch=f"torch.{_op}", kinks=True)(
        lambda rng: Sample(tuple(draws.crossing(rng, (3, 4))))
    )
    case(_op, variant="scalar", torch=f"torch.{_op}")(lambda rng: Sample((draws.normal(rng, ()), 0)))
for _descending in (False, True):
    for _op in ("sort", "argsort"):
        case(_op, variant="descending" * _descending, torch=f"torch.{_op}", kinks=True, differentiable=_op == "sort")(
            lambda rng, d=_descending: Sample(  # type: ignore[misc]
                (draws.distinct(rng, (2, 3, 4)),), {"dim": int(rng.integers(-3, 3)), "descending": d}
            )
        )
for _largest in (True, False):
    case("topk", variant="" if _largest else "smallest", torch="torch.topk", kinks=True)(
        lambda rng, largest=_largest: Sample(  # type: ignore[misc]
            (draws.distinct(rng, (3, 5)), int(rng.integers(1, 4))),
            {"dim": int(rng.integers(-2, 2)), "largest": largest},
        )
    )
