"""Cases of dropout: seeded before every call, so that a finite difference meets one mask only."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.core import rng as random
from minicnn.core.tensor import Tensor
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator


def _seeded(op: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Tensor:
        import minicnn.ops

        state = random.get_state()
        random.manual_seed(11)
        try:
            result: Tensor = getattr(minicnn.ops, op)(*args, **kwargs)
        finally:
            random.set_state(state)
        return result

    return call


def _options(rng: Rng) -> dict[str, Any]:
    convention = str(rng.choice(["inverted", "paper"]))
    return {"p": float(rng.choice([0.25, 0.5])), "convention": convention}


@case("dropout", call=_seeded("dropout"), order=3)
def _dropout(rng: Rng) -> Sample:
    return Sample((rng.normal(size=(int(rng.integers(3, 6)), 5)),), _options(rng))


@case("dropout", variant="test", call=_seeded("dropout"))
def _dropout_test(rng: Rng) -> Sample:
    return Sample((rng.normal(size=(3, 4)),), {**_options(rng), "training": False})


@case("dropout2d", call=_seeded("dropout2d"))
def _dropout2d(rng: Rng) -> Sample:
    return Sample((rng.normal(size=(3, 5, 2, int(rng.integers(1, 4)))),), _options(rng))
