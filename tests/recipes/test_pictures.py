"""Every picture of the recipes is a PNG that can be opened and is not blank."""

import numpy as np
import pytest

from minicnn.recipes.pictures import draw_codes, draw_confusion, draw_costs, draw_mistakes

Image = pytest.importorskip("PIL.Image")  # comes with matplotlib


@pytest.fixture
def digits():
    """Images, and labels of which every third is taken for the next."""
    truth = np.arange(24) % 10
    return np.random.default_rng(0).random((24, 8, 8)), truth, np.where(truth % 3, truth, truth + 1)


def opened(path):
    """The picture's size in pixels, after reading all of it."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert np.count_nonzero(picture.convert("L").histogram()) > 5  # grey levels
        return picture.size


@pytest.mark.parametrize("classes", [None, ["cat", "dog", "owl"]])
def test_confusion(tmp_path, classes):
    path = tmp_path / "confusion.png"
    assert draw_confusion(np.array([[50, 2, 0], [1, 40, 3], [0, 0, 9]]), path, classes) == path
    assert opened(path) == pytest.approx((130 * 5.2, 130 * 4.8), abs=2)


def test_a_confusion_matrix_of_nothing(tmp_path):
    opened(draw_confusion(np.zeros((2, 2), int), tmp_path / "empty.png"))


def test_mistakes_have_a_row_for_every_five(tmp_path, digits):
    images, truth, found = digits
    assert (truth != found).sum() == 10
    width, height = opened(draw_mistakes(images, truth, found, tmp_path / "two-rows.png"))
    assert (width, height) == pytest.approx((130 * 6.5, 130 * 3.3), abs=2)
    _, shorter = opened(draw_mistakes(images, truth, found, tmp_path / "one-row.png", most=4))
    assert shorter == pytest.approx(130 * 1.8, abs=2)


def test_no_mistakes_is_a_picture_too(tmp_path, digits):
    images, truth, _ = digits
    assert opened(draw_mistakes(images, truth, truth, tmp_path / "none.png"))[1] == pytest.approx(130 * 1.8, abs=2)


def test_codes_also_of_a_class_without_images(tmp_path):
    draw = np.random.default_rng(1)
    codes = draw.choice([-1.0, 1.0], (4, 84))
    path = draw_codes(codes, np.tanh(draw.normal(size=(9, 84))), np.arange(9) % 3, tmp_path / "codes.png")
    assert opened(path) == pytest.approx((130 * 9, 130 * 3.4), abs=2)


def test_costs(tmp_path):
    path = draw_costs({"small": (1_200, 0.91), "large": (60_850, 0.98)}, tmp_path / "costs.png")
    assert opened(path) == pytest.approx((130 * 5.2, 130 * 3.6), abs=2)
