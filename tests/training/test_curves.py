"""Curves: a PNG that Pillow reads, panels for what there is."""

import pytest

from minicnn.training import plot_curves

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


def test_a_png_with_a_panel_per_quantity(tmp_path):
    rows = [{"epoch": e, "train_loss": 1 / e, "eval_loss": 1.2 / e, "lr": 0.1} for e in range(1, 4)]
    plot_curves(rows, tmp_path / "a.png", title="digits")
    plot_curves([{**r, "eval_accuracy": 0.5} for r in rows], tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as two:
        assert one.format == "PNG" and two.width == pytest.approx(2 * one.width, abs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_missing_values_are_left_out_and_nothing_to_draw_is_an_error(tmp_path):
    plot_curves([{"train_loss": 1.0}, {"train_loss": None}], tmp_path / "a.png")
    for rows in ([], [{"epoch": 1, "lr": 0.1}], [{"train_loss": None}]):
        with pytest.raises(ValueError, match="plot_curves: no row has"):
            plot_curves(rows, tmp_path / "b.png")
