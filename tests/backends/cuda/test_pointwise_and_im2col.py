"""Convolutions as cuBLAS's products: sums cut and joined, chunks of images, what is copied and what is not."""

import numpy as np
import pytest

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cuda import convolution as table
from minicnn.backends.cuda.convolution import thresholds
from tests.backends.cuda.convolutions import arrays, can, check, defined, on_device

PRODUCTS = {  # of each image by itself, of several gathered, of pixels apart
    "many images": Problem(37, 1, 6, 5, 3, 4, 3, 4, 1, 1),
    "many images in groups": Problem(37, 2, 6, 10, 4, 4, 4, 4, 1, 1),
    "few pixels": Problem(7, 1, 20, 19, 2, 3, 2, 3, 1, 1),
    "pixels apart": Problem(9, 1, 3, 5, 9, 8, 4, 5, 1, 1, 3, 2, 1, 1),
    "windows": Problem(5, 2, 4, 6, 7, 6, 7, 6, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize(
    ("name", "problem"), [(name, q) for name in ("pointwise", "im2col") for q in PRODUCTS if can(name, PRODUCTS[q])]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 5e-6), (np.float16, 4e-3)])
def test_sums_of_products_are_cut_and_joined(backend, monkeypatch, name, problem, dtype, tolerance):
    p = PRODUCTS[problem]
    monkeypatch.setattr(thresholds, "SHORTEST_PRODUCT", 8)
    monkeypatch.setattr(thresholds, "FEW_POSITIONS", 12)
    for blocks, workspace in (
        (64, 1 << 28),
        (20, 1 << 28),
        (20, 20000),
    ):  # all parts at once; several turns; small chunks
        monkeypatch.setattr(thresholds, "BLOCKS", blocks)
        monkeypatch.setattr(thresholds, "WORKSPACE", workspace)
        check(backend, name, p, tolerance, dtype)


def test_the_weight_gradient_of_pixels_copies_nothing_and_takes_images_in_even_turns(backend, monkeypatch, launched):
    p = PRODUCTS["many images"]
    monkeypatch.setattr(thresholds, "BLOCKS", 20)
    given = arrays(p)
    got = on_device(backend, "pointwise", "weight_grad", p, *given)
    np.testing.assert_allclose(got, defined("weight_grad", p, *given), atol=1e-12 * np.abs(got).max())
    assert launched == ["sum_many_parts"]
    assert table.ALGORITHMS["pointwise"].workspace("weight_grad", p, 8) == 19 * 8 * 30  # 37 images: 19 and 18


def test_large_maps_have_columns_of_their_own_and_copy_no_outputs(backend, launched):
    p = Problem(2, 2, 6, 4, 23, 24, 12, 12, 3, 3, 2, 2, 1, 1)
    check(backend, "im2col", p)
    assert launched == ["im2col", "bias_add", "col2im", "gather_outputs", "im2col", "sum_parts"]
    im2col = table.ALGORITHMS["im2col"]
    assert [im2col.workspace(which, p, 8) for which in PASSES[:2]] == [8 * 2 * 6 * 9 * 144] * 2
