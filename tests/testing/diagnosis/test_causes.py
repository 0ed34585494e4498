"""Hand-written wrong rules, each with its cause."""

import numpy as np
import pytest

from minicnn.testing.catalogue import CAUSES
from minicnn.testing.diagnosis import diagnose
from tests.testing.diagnosis import (
    pairs_elementwise,
    pairs_linear,
    pairs_networks,
    pairs_norm,
    pairs_various,
    pairs_windows,
)
from tests.testing.diagnosis.building import evidence_of

THEMES = (pairs_elementwise, pairs_linear, pairs_windows, pairs_norm, pairs_networks, pairs_various)
PAIRS = [pair for theme in THEMES for pair in theme.PAIRS]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("cause", "make"), PAIRS, ids=[make.__name__ for _, make in PAIRS])
def test_the_first_cause_is_the_bug(cause, make, seed):
    found = diagnose(evidence_of(make(np.random.default_rng(seed))))
    assert [d.cause for d in found][:1] == [cause], "\n".join(map(str, found)) or "nothing"


def test_every_cause_that_needs_a_jacobian_has_a_pair():
    conduct = {"stale-buffer", "input-modified", "upstream-modified", "nondeterministic", "layout-dependent"}
    contract = {"wrong-shape", "wrong-dtype", "gradient-count", "gradient-of-integer"}
    elsewhere = {"non-finite-gradient", "constant-in-backward"}  # test_findings
    assert {cause for cause, _ in PAIRS} == set(CAUSES) - conduct - contract - elsewhere
