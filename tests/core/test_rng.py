"""Philox against its authors' known answers, and the stream rules that reproducibility stands on."""

import numpy as np
import pytest

from minicnn.core import rng

# Random123's kat_vectors, philox 4x32 10
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.fixture(autouse=True)
def _restore_global_state():
    before = rng.get_state()
    yield
    rng.set_state(before)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, words):
    found = rng.philox4x32(np.array(counter, np.uint32).reshape(4, 1), key)
    assert tuple(int(w) for w in found[:, 0]) == words


def test_a_word_depends_on_its_index_only_not_on_how_many_are_asked_for():
    key = rng.key_of(7, "weights")
    np.testing.assert_array_equal(rng.bits(key, 3, 5), rng.bits(key, 3, 1000)[:5])


def test_seed_purpose_and_call_each_change_the_numbers():
    words = {
        tuple(rng.Stream(seed, purpose, call).bits(4).tolist())
        for seed in (0, 1, 1 << 32)
        for purpose in ("a", "b")
        for call in (0, 1)
    }
    assert len(words) == 12


def test_state_continues_every_stream_where_it_was():
    rng.manual_seed(5)
    rng.stream("shuffle").permutation(10)
    rng.stream("dropout").bits(3)
    saved = rng.get_state()
    expected = rng.stream("shuffle").permutation(10), rng.stream("dropout").bits(3)
    rng.stream("other").bits(2)
    rng.set_state(saved)
    np.testing.assert_array_equal(rng.stream("shuffle").permutation(10), expected[0])
    np.testing.assert_array_equal(rng.stream("dropout").bits(3), expected[1])


def test_uniform_normal_integers_and_permutation_have_their_distributions():
    s = rng.Stream(0, "moments")
    u, z = s.uniform(200_000), s.normal(200_001)
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * u.size)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)
    counts = np.bincount(s.integers(0, 6, 60_000), minlength=6)
    assert counts.size == 6
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 30  # chi-squared, 5 degrees: p about 1e-5
    np.testing.assert_array_equal(np.sort(s.permutation(1000)), np.arange(1000))


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="manual_seed: seed must be in"):
        rng.manual_seed(seed)
