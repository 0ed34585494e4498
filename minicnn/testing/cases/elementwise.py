"""Cases of arithmetic, elementwise functions, rounding, comparisons and casts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.core.function import constant
from minicnn.ops import pow as ops_pow
from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator
Draw = Callable[[Rng, tuple[int, ...]], Any]


def _unary(op: str, draw: Draw, torch: str | None = None, **options: Any) -> None:
    """A function of one number, on arrays of any shape."""
    case(op, torch=torch or f"torch.{op}", **options)(lambda rng: Sample((np.asarray(draw(rng, draws.shape(rng, 0))),)))


for _op in ("exp", "expm1", "sin", "cos", "atan", "erf", "square", "neg"):
    _unary(_op, draws.normal)
for _op in ("log", "log1p", "sqrt", "rsqrt"):
    _unary(_op, draws.positive)
_unary("reciprocal", lambda rng, shape: draws.away(rng, shape) * 2)
_unary("tan", lambda rng, shape: rng.uniform(-1.2, 1.2, shape))
_unary("abs", draws.away, kinks=True)
for _op in ("sign", "floor", "ceil", "round", "trunc"):
    _unary(_op, lambda rng, shape: rng.integers(-3, 3, shape) + rng.uniform(0.1, 0.4, shape), flat="a step function")
for _op in ("isnan", "isinf", "isfinite"):
    _unary(_op, lambda rng, shape: rng.choice([0.0, 1.5, np.nan, np.inf, -np.inf], shape), differentiable=False)


def _binary(op: str, first: Draw, second: Draw | None = None, torch: str | None = None, **options: Any) -> None:
    """A function of two numbers, on arrays that broadcast."""

    def sampler(rng: Rng) -> Sample:
        a, b = draws.pair(rng)
        return Sample((first(rng, a), (second or first)(rng, b)))

    case(op, torch=torch or f"torch.{op}", **options)(sampler)


_binary("add", draws.normal)
_binary("sub", draws.normal)
_binary("mul", draws.normal)
_binary("div", draws.normal, lambda rng, shape: draws.away(rng, shape) * 2)
_binary("pow", draws.positive, draws.normal)
_binary(  # by the divisor it is minus the quotient, which must not be zero everywhere
    "remainder",
    lambda rng, s: rng.choice([-3, -2, -1, 1, 2], s) + rng.uniform(0.2, 0.8, s),
    lambda rng, s: np.ones(s),
    kinks=True,
)
for _op in ("eq", "ne", "lt", "le", "gt", "ge", "isclose"):
    _binary(_op, lambda rng, shape: rng.integers(-1, 2, shape).astype(float), differentiable=False)
for _op in ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"):
    _binary(_op, lambda rng, shape: rng.random(shape) < 0.5, differentiable=False)
for _op in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    case(_op, variant="integers", torch=f"torch.{_op}", differentiable=False)(
        lambda rng: Sample((draws.integers(rng, 9, (2, 3)), draws.integers(rng, 9, (3,))))
    )
for _op in ("logical_not", "bitwise_not"):
    _unary(_op, lambda rng, shape: rng.random(shape) < 0.5, differentiable=False)


@case("add", variant="alpha", torch="torch.add")
def _add_alpha(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (2, 1)), draws.normal(rng, (3,))), {"alpha": 2.5})


@case("sub", variant="alpha", torch="torch.sub")
def _sub_alpha(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (3,)), draws.normal(rng, (2, 1))), {"alpha": -0.5})


for _op in ("add", "sub", "mul", "div"):
    case(_op, variant="number", torch=f"torch.{_op}")(lambda rng: Sample((draws.away(rng, (2, 3)), 1.5)))
case("sub", variant="number-first", torch="torch.rsub", call=lambda x, c: c - x)(
    lambda rng: Sample((draws.away(rng, (2, 3)), 1.5))
)
case("div", variant="number-first", torch=lambda x: 1.5 / x, call=lambda x: 1.5 / x)(
    lambda rng: Sample((draws.away(rng, (2, 3)),))
)
case("pow", variant="number-first", torch="torch.pow")(lambda rng: Sample((2.5, draws.normal(rng, (2, 3)))))
for _exponent in (0, 1, 2, 3, 2.5, 0.5, -1, -2.0):
    case("pow", variant=f"exponent{_exponent}", torch="torch.pow", flat="" if _exponent else "a constant")(
        lambda rng, e=_exponent: Sample((draws.positive(rng, (2, 3)), e))  # type: ignore[misc]
    )


def _with_zeros(rng: Rng) -> Any:
    """Positive numbers, and a row of zeros."""
    x = draws.positive(rng, (3, 4))
    x[1] = 0.0
    return x


for _exponent in (0, 1, 2, 3):
    case("pow", variant=f"zeros{_exponent}", torch="torch.pow", flat="" if _exponent else "a constant")(
        lambda rng, e=_exponent: Sample((_with_zeros(rng), e))  # type: ignore[misc]
    )
case("pow", variant="zeros", call=lambda x: ops_pow(x, constant(np.arange(4, dtype=x.dtype), x)))(
    lambda rng: Sample((_with_zeros(rng),))
)
case("pow", variant="zero-base", call=lambda e: ops_pow(constant(np.array([0.0, 0.5, 0.0, 3.0], e.dtype), e), e))(
    lambda rng: Sample((draws.positive(rng, (2, 4)),))
)
case("pow", variant="square-negative", torch="torch.pow")(lambda rng: Sample((draws.normal(rng, (4,)), 2)))


@case("maximum", torch="torch.maximum", kinks=True)
def _maximum(rng: Rng) -> Sample:
    x = draws.crossing(rng, (3, 3))
    return Sample((x[0], x[1] if rng.random() < 0.5 else x[1, :1]))


@case("minimum", torch="torch.minimum", kinks=True)
def _minimum(rng: Rng) -> Sample:
    x = draws.crossing(rng, (3, 3))
    return Sample((x[0], x[1] if rng.random() < 0.5 else x[1, :, :1]))


@case("where", torch="torch.where")
def _where(rng: Rng) -> Sample:
    return Sample((_mask(rng), draws.normal(rng, (2, 1)), draws.normal(rng, (2, 2, 3))))


@case("where", variant="number", torch="torch.where")
def _where_number(rng: Rng) -> Sample:
    return Sample((_mask(rng), draws.normal(rng, (3,)), 2.0))


def _mask(rng: Rng) -> np.ndarray:
    """True here and false there."""
    mask = rng.random((2, 3)) < 0.5
    mask[0] = rng.permutation([True, False, mask[0, 0]])
    return mask


@case("lerp", torch="torch.lerp")
def _lerp(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (2, 3)), draws.normal(rng, (2, 3)), draws.normal(rng, (3,))))


@case("lerp", variant="number", torch="torch.lerp")
def _lerp_number(rng: Rng) -> Sample:
    return Sample((draws.normal(rng, (2, 3)), draws.normal(rng, (1, 3)), 0.3))


for _low, _high in ((-0.5, 0.7), (None, 0.7), (-0.5, None)):
    case("clamp", variant=f"{_low}to{_high}", torch="torch.clamp", kinks=True)(
        lambda rng, low=_low, high=_high: Sample(  # type: ignore[misc]
            (draws.including(draws.away(rng, (3, 4), -0.5, 0.7), 0.1),), {"min": low, "max": high}
        )
    )


@case("clamp", variant="tensors", torch="torch.clamp", kinks=True)
def _clamp_tensors(rng: Rng) -> Sample:
    x = np.sort(draws.distinct(rng, (3, 2, 3)), axis=0)
    place = np.stack([rng.permutation(3), rng.integers(0, 3, 3)])  # below, between or above the bounds: each once
    bounds = np.where(place == 0, x[1], x[0]), np.where(place == 2, x[1], x[2])
    return Sample((np.take_along_axis(x, place[None], 0)[0], *bounds))


@case("round", variant="decimals", torch="torch.round", flat="a step function")
def _round_decimals(rng: Rng) -> Sample:
    return Sample((rng.integers(-30, 30, (2, 3)) * 0.1 + rng.uniform(0.01, 0.04, (2, 3)),), {"decimals": 1})


@case("floor_divide", torch="torch.floor_divide", differentiable=False)
def _floor_divide(rng: Rng) -> Sample:
    return Sample((rng.integers(-9, 9, (2, 3)), rng.integers(1, 5, (3,))))


@case("floor_divide", variant="floats", torch="torch.floor_divide", differentiable=False)
def _floor_divide_floats(rng: Rng) -> Sample:
    """1 / 0.1 rounds to 10, but 0.1 is a little more than a tenth: the quotient rounded down is 9."""
    return Sample((rng.choice([-1.0, -0.75, 0.75, 1.0], (4, 3)), rng.choice([-0.1, 0.1, 2.0, np.inf], (3,))))


@case("remainder", variant="infinite-divisor", torch="torch.remainder", differentiable=False)
def _remainder_infinite(rng: Rng) -> Sample:
    sign = rng.choice([-1.0, 1.0], (2, 3))  # with the other sign it would be infinite
    return Sample((sign * rng.uniform(0.2, 0.8, (2, 3)), sign * np.inf))


for _name in ("allclose", "equal"):
    case(_name, torch=f"torch.{_name}", differentiable=False)(
        lambda rng: Sample((np.arange(3.0), np.arange(3.0) + float(rng.integers(0, 2))))
    )


# there and back again on one way only: two wrong signs must not cancel
case("cast", call=lambda x: (x.type("longdouble" if x.device == "cpu" else "float64") + x).type(x.dtype))(
    lambda rng: Sample((draws.normal(rng, (2, 3)),))  # no GPU has a dtype wider than float64
)
case("cast", variant="integers", differentiable=False)(lambda rng: Sample((draws.normal(rng, (2, 3)), "int64")))
case("clone", torch="torch.clone")(lambda rng: Sample((draws.normal(rng, (2, 3)),)))
case("contiguous", torch="torch.Tensor.contiguous")(lambda rng: Sample((draws.normal(rng, (2, 3)).T,)))
case("zeros_like", torch="torch.zeros_like", differentiable=False)(lambda rng: Sample((draws.normal(rng, (2, 3)),)))
case("ones_like", torch="torch.ones_like", differentiable=False)(lambda rng: Sample((draws.normal(rng, (2, 3)),)))
case("full_like", torch="torch.full_like", differentiable=False)(lambda rng: Sample((draws.normal(rng, (2,)), 2.5)))
