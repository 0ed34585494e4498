"""The LeNet recipes run from one call, report what they did, resume, and refuse what they cannot do."""

import json
import secrets
from pathlib import Path

import numpy as np
import pytest

from minicnn import data
from minicnn.core import rng
from minicnn.recipes import RECIPES, Options
from minicnn.recipes.report import expectations

FLOORS = {
    "lenet5": {"test accuracy": 0.97},
    "lenet5-softmax": {"test accuracy": 0.97},
    "lenet-gap": {"replace accuracy": 0.90, "concatenate accuracy": 0.97},
}


@pytest.fixture(autouse=True)
def _restore_global_state():
    before = rng.get_state()
    yield
    rng.set_state(before)


def write_mnist(folder, n=40):
    """A folder in MNIST's format with n learnable images: a bright block whose place is the label."""
    draw = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = draw.integers(0, 30, (n, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 8 + 2 * label, 8:20] = 255
        data.write_idx(folder / f"{part}-images-idx3-ubyte", images)
        data.write_idx(folder / f"{part}-labels-idx1-ubyte", labels)


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_ends_with_report_and_pictures(name, tmp_path):
    report = RECIPES[name].run(Options(epochs=1, out=tmp_path, seed=3))
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["recipe"] == name
    assert stored["seed"] == 3
    assert stored["versions"]["numpy"] == np.__version__
    assert max(report.metrics.values()) > 0.3  # after one epoch; guessing gives 0.1
    for picture in report.pictures:
        assert (tmp_path / picture).stat().st_size > 100, picture
    assert name in report.table()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_does_not(tmp_path):
    runs = [
        RECIPES["lenet5-softmax"].run(Options(epochs=1, out=tmp_path / str(i), seed=seed))
        for i, seed in enumerate((1, 1, 2))
    ]
    losses = [(tmp_path / str(i) / "metrics.csv").read_text().splitlines()[1].split(",")[3] for i in range(3)]
    assert runs[0].metrics == runs[1].metrics
    assert losses[0] == losses[1] != losses[2]


def test_resume_finds_a_finished_run_and_changes_nothing(tmp_path):
    options = Options(epochs=1, out=tmp_path)
    first = RECIPES["lenet5-softmax"].run(options)
    again = RECIPES["lenet5-softmax"].run(Options(epochs=1, out=tmp_path, resume=True))
    assert again.metrics == first.metrics


def test_a_new_run_moves_an_earlier_one_aside(tmp_path, capsys):
    out = tmp_path / "run"
    for _ in range(2):
        RECIPES["lenet5-softmax"].run(Options(epochs=1, out=out))
    assert (tmp_path / "run.1" / "report.json").exists()
    assert (out / "report.json").exists()
    assert "an earlier run was moved to" in capsys.readouterr().err


def test_resume_under_another_seed_is_refused(tmp_path):
    RECIPES["lenet5-softmax"].run(Options(epochs=1, out=tmp_path))
    with pytest.raises(ValueError, match="the checkpoint is of another run: seed was 0, is 1"):
        RECIPES["lenet5-softmax"].run(Options(epochs=1, out=tmp_path, seed=1, resume=True))


def test_the_paper_preset_reads_mnist_files(tmp_path):
    write_mnist(tmp_path)
    report = RECIPES["lenet5"].run(Options(preset="paper", epochs=1, out=tmp_path / "run", data=tmp_path))
    assert report.facts["parameters"] == 60000
    assert not report.expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "run lenet5: preset 'huge' is not one of tiny, paper"),
        ({"preset": "paper"}, "pass their folder with --data"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"data": Path("folder")}, "this preset has its data built in; leave out --data"),
    ],
)
def test_bad_options_get_one_clear_error(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        RECIPES["lenet5"].run(Options(out=tmp_path, **options))


def test_missing_data_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        RECIPES["lenet5"].run(Options(preset="paper", out=tmp_path, data=tmp_path / "nowhere"))


def test_a_file_in_place_of_the_output_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="run lenet5: --out must be a folder"):
        RECIPES["lenet5"].run(Options(out=tmp_path / "file"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_expectations_above_its_floor_in_every_seed(name):
    stored = expectations(name)
    for metric, floor in FLOORS[name].items():
        assert stored[metric].seeds >= 5
        assert floor <= stored[metric].lowest <= stored[metric].mean <= stored[metric].highest <= 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lenet5_reads_97_percent_of_the_held_out_digits_from_a_seed_drawn_now(tmp_path):
    seed = secrets.randbelow(1 << 32)
    report = RECIPES["lenet5"].run(Options(out=tmp_path, seed=seed))
    assert report.metrics["test accuracy"] >= FLOORS["lenet5"]["test accuracy"], f"seed {seed}"
