"""Cases of activation functions and the softmax family."""

import numpy as np

from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator


def _scaled_tanh(x):  # type: ignore[no-untyped-def]
    return 1.7159 * (x * (2.0 / 3.0)).tanh()


for _op in ("sigmoid", "tanh"):
    case(_op, torch=f"torch.{_op}", order=3)(lambda rng: Sample((2 * draws.normal(rng, draws.shape(rng, 1)),)))
for _op in ("silu", "gelu", "logsigmoid", "softplus"):
    case(_op, torch=f"torch.nn.functional.{_op}")(lambda rng: Sample((2 * draws.normal(rng, draws.shape(rng, 1)),)))
for _op in ("relu", "leaky_relu", "elu", "selu"):
    case(_op, torch=f"torch.nn.functional.{_op}", order=3, kinks=True)(
        lambda rng: Sample((draws.including(draws.away(rng, draws.shape(rng, 0)), rng.uniform(0.5, 2), -0.7),))
    )
case("scaled_tanh", torch=_scaled_tanh, order=3)(lambda rng: Sample((draws.normal(rng, draws.shape(rng)) * 2,)))
case("gelu", variant="tanh", torch="torch.nn.functional.gelu")(
    lambda rng: Sample((draws.normal(rng, (3, 4)),), {"approximate": "tanh"})
)
case("relu6", torch="torch.nn.functional.relu6", kinks=True)(
    lambda rng: Sample((draws.including(draws.away(rng, (4, 5), 0.0, 1.0), 0.4) * 6,))
)
case("hardtanh", torch="torch.nn.functional.hardtanh", kinks=True)(
    lambda rng: Sample((draws.including(draws.away(rng, (4, 5), -1.0, 1.0), 0.4),))
)
case("hardtanh", variant="range", torch="torch.nn.functional.hardtanh", kinks=True)(
    lambda rng: Sample((draws.including(draws.away(rng, (4, 5), -0.3, 0.8), 0.4),), {"min_val": -0.3, "max_val": 0.8})
)
for _slope in (0.3, 0.0, 1.5, -0.5):
    case("leaky_relu", variant=f"slope{_slope}", torch="torch.nn.functional.leaky_relu", kinks=True)(
        lambda rng, slope=_slope: Sample((draws.including(draws.away(rng, (3, 4)), 0.7, -0.7), slope))  # type: ignore[misc]
    )
case("elu", variant="alpha", torch="torch.nn.functional.elu", kinks=True)(
    lambda rng: Sample((draws.away(rng, (3, 4)),), {"alpha": 0.4})
)
case("softplus", variant="beta", torch="torch.nn.functional.softplus", kinks=True)(
    lambda rng: Sample((draws.away(rng, (3, 4), 1.5),), {"beta": 2.0, "threshold": 3.0})
)


@case("prelu", torch="torch.nn.functional.prelu", kinks=True)
def _prelu(rng: Rng) -> Sample:
    shape = draws.shape(rng, 2)
    return Sample((draws.including(draws.away(rng, shape), -rng.uniform(0.5, 2), 0.7), draws.normal(rng, (shape[1],))))


@case("prelu", variant="shared", torch="torch.nn.functional.prelu", kinks=True)
def _prelu_shared(rng: Rng) -> Sample:
    x = draws.including(draws.away(rng, draws.shape(rng)), -rng.uniform(0.5, 2), 0.7)
    return Sample((x, draws.normal(rng, (1,))))




def _along(rng: Rng) -> tuple[np.ndarray, int]:
    """Numbers and an axis with several of them; at times another axis has size 1."""
    shape, dim = [2, 4, 3], int(rng.integers(-3, 3))
    if rng.random() < 0.4:
        shape[(dim + 1) % 3] = 1
    return draws.normal(rng, tuple(shape)) * 2, dim


for _op in ("softmax", "log_softmax"):
    case(_op, torch=f"torch.nn.functional.{_op}", order=3)(lambda rng: Sample(_along(rng)))
case("softmin", torch="torch.nn.functional.softmin")(lambda rng: Sample((draws.normal(rng, (3, 4)), 1)))
case("softmax", variant="scalar", torch="torch.softmax", flat="one number: always 1")(
    lambda rng: Sample((draws.normal(rng, ()), 0))
)
case("log_softmax", variant="scalar", torch="torch.log_softmax", flat="one number: always 0")(
    lambda rng: Sample((draws.normal(rng, ()), 0))
)


@case("logsumexp", torch="torch.logsumexp", order=3)
def _logsumexp(rng: Rng) -> Sample:
    return Sample(_along(rng), {"keepdim": bool(rng.random() < 0.5)})


case("logsumexp", variant="dims", torch="torch.logsumexp")(
    lambda rng: Sample((draws.normal(rng, (2, 4, 3)) * 2, (0, -1)))
)
