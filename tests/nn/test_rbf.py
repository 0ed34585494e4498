import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.models.classification.bitmaps import digit_bitmaps, digit_codes


def test_the_bitmaps_decode():  # C03
    bitmaps, codes = digit_bitmaps(), digit_codes()
    assert bitmaps.shape == (10, 12, 7) and codes.shape == (10, 84)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    seven = ["".join(".#"[int(p)] for p in row) for row in bitmaps[7][:3]]
    assert seven == ["#######", "#######", ".....##"]


def test_the_closest_codes_are_6_and_8_at_distance_10():
    codes = digit_codes()
    hamming = (codes[:, None] != codes[None]).sum(2)
    pairs = {(i, j): hamming[i, j] for i in range(10) for j in range(i)}
    assert min(pairs.values()) == 10 and min(pairs, key=pairs.get) == (8, 6)


def test_the_distance_is_0_at_the_own_code_and_4_hamming_at_another():
    codes = digit_codes()
    y = nn.RBF(codes)(mc.tensor(codes)).numpy()
    np.testing.assert_array_equal(y, 4 * (codes[:, None] != codes[None]).sum(2))


def test_the_gradient_is_twice_the_difference():
    codes = digit_codes().astype(np.float64)
    x = mc.tensor(np.random.default_rng(0).normal(size=(1, 84)), requires_grad=True)
    units = nn.RBF(codes, dtype=np.float64)
    for i in range(10):
        x.grad = None
        units(x)[0, i].backward()
        np.testing.assert_allclose(x.grad.numpy()[0], 2 * (x.detach().numpy()[0] - codes[i]), atol=1e-12)


def test_codes_are_saved_but_not_trained():
    units = nn.RBF(digit_codes())
    assert not list(units.parameters()) and list(units.state_dict()) == ["codes"]
    assert repr(units) == "RBF(classes=10, features=84)"
    with pytest.raises(ValueError, match=r"RBF: codes must have shape \(classes, features\)"):
        nn.RBF([1.0, 2.0])
