"""Winograd's tiles in chunks and parts that a cache holds, and what they take."""

import numpy as np
import pytest

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cuda import convolution as table
from minicnn.backends.cuda.convolution import thresholds
from tests.backends.cuda.convolutions import check

TILES = {
    "a batch": Problem(7, 1, 3, 5, 9, 10, 9, 10, 3, 3, 1, 1, 1, 1),
    "groups, no padding": Problem(5, 2, 4, 6, 9, 7, 7, 5, 3, 3),
}


@pytest.mark.parametrize(("name", "tile"), [("winograd", 4), ("winograd_f2", 2)])
@pytest.mark.parametrize("problem", TILES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5), (np.float16, 6e-4)])
def test_chunks_of_tiles_that_a_cache_holds_are_cut_and_joined(
    backend, monkeypatch, name, tile, problem, dtype, tolerance
):
    p, algorithm, item = TILES[problem], table.ALGORITHMS[name], max(4, np.dtype(dtype).itemsize)
    element = (tile + 2) ** 2 * item
    monkeypatch.setattr(thresholds, "BLOCKS", 4 * (tile + 2) ** 2 * p.groups)  # four parts, if none is short
    for shortest, tiles, parts in ((1, 29, 4), (5, 11, 2), (1000, 29, 1)):
        monkeypatch.setattr(thresholds, "CACHE", element * (p.in_channels + p.out_channels) * tiles)
        monkeypatch.setattr(thresholds, "SHORTEST_PRODUCT", shortest)
        check(backend, name, p, tolerance, dtype)
        filters = element * p.out_channels * p.in_channels // p.groups
        whole = algorithm.workspace("weight_grad", p, np.dtype(dtype).itemsize) - parts * filters
        assert 0 < whole <= thresholds.CACHE * (1 + 4 * parts / tiles)  # one part's row may go on to 16 bytes


def test_transformed_filters_that_every_chunk_reads_are_not_read_more_than_once_a_cache():
    p = Problem(64, 1, 512, 512, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1)
    for which in PASSES:  # U takes 38 MB, and so do the tiles of 64 images: one chunk
        assert table.ALGORITHMS["winograd"].workspace(which, p, 4) == 36 * 4 * (512 * 512 + 1024 * 256)
