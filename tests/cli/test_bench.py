"""``minicnn bench``: exit codes, files, and clear errors before minutes of work."""

import json

import pytest

from minicnn.backends.cuda.emulator import compiler
from minicnn.bench.conv import Result
from minicnn.bench.result import Row
from minicnn.cli.main import main

LAYER = "small 2x3x6x6 -> 4, 3x3 padding 1"
QUICK = ["--rounds", "2", "--seconds", "0.0001", "--threads", "1", "--peers"]


def test_conv_writes_what_it_measured(tmp_path, capsys):
    files = {name: tmp_path / f"r.{name}" for name in ("json", "csv", "markdown")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    options += ["--plot", str(tmp_path)]
    assert main(["bench", "conv", "--layers", LAYER, "--passes", "forward", *options, *QUICK]) == 0
    out = capsys.readouterr().out
    assert "small" in out and "GFLOP/s (matrix product)" in out
    record = json.loads(files["json"].read_text())
    assert record["kind"] == "minicnn bench conv"
    assert record["machine"]["processor"]
    assert record["settings"]["layers"] == [LAYER]
    (row,) = record["rows"]
    assert (row["verdict"], len(row["rounds"]) >= 2, row["marks"][0]) == ("ok", True, "auto")
    assert files["csv"].read_text().startswith("work,which,contender")
    assert files["markdown"].read_text().startswith("| layer |")
    assert (tmp_path / "roofline.png").is_file() and (tmp_path / "bars.png").is_file()
    assert main(["bench", "compare", str(files["json"]), str(files["json"])]) == 0
    assert "minicnn auto" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "algorithms"),
    [([], ["auto"]), (["--device", "cuda"], ["all"]), (["--device", "cuda", "--algorithm", "im2col"], ["im2col"])],
)
def test_on_a_gpu_every_algorithm_is_measured_unless_some_are_named(words, algorithms, monkeypatch):
    plans = []

    def measure(plan, report):
        plans.append(plan)
        return Result([])

    monkeypatch.setattr("minicnn.bench.conv.measure", measure)
    assert main(["bench", "conv", "--layers", LAYER, *words, *QUICK]) == 0
    assert plans[0].algorithms == algorithms


@pytest.mark.parametrize("place", ["cpu", "cuda-emulated"])
def test_plots_of_a_device_show_the_crossover_with_the_cpu(place, tmp_path, monkeypatch, capsys):
    from minicnn.bench import across

    def timed(work, contender, shape):
        return Row(work, "forward", contender, shape=shape, flops=1000, rounds=[1e-3, 2e-3])

    def ways(layers, passes, device, report, **options):
        names = ("minicnn cpu", f"minicnn {device}", f"minicnn {device} + transfers")
        result = Result([timed(layer.name, name, layer.notation) for layer in layers for name in names])
        report(result.rows, result)
        return result

    monkeypatch.setattr("minicnn.bench.conv.measure", lambda plan, report: Result([timed("a", "minicnn", "")]))
    monkeypatch.setattr(across, "measure", ways)
    words = ["--layers", LAYER, "--device", place, "--plot", str(tmp_path), "--peers"]
    assert main(["bench", "conv", *words]) == 0
    assert (tmp_path / "crossover.png").is_file() == (place != "cpu")
    assert capsys.readouterr().out.count("+ transfers") == (0 if place == "cpu" else len(across.BATCHES))


def test_the_cpu_a_device_and_its_transfers_are_timed_side_by_side(capsys):
    if compiler() is None:
        pytest.skip("needs a C++20 compiler")
    words = ["crossover", LAYER, "batch", "1", "--passes", "forward", "--device", "cuda-emulated", *QUICK]
    assert main(["bench", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("minicnn ")[1].split("  ")[0] for line in lines] == [
        "cpu", "cuda-emulated", "cuda-emulated + transfers"
    ]  # fmt: skip
    assert all(line.endswith(" ms") for line in lines)


def test_an_algorithm_that_cannot_is_a_row(capsys):
    assert main(["bench", "conv", "--layers", LAYER, "--passes", "forward", "--algorithm", "dense", *QUICK]) == 0
    assert "one window without padding or groups must cover the image" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    def interrupted(plan, report):
        result = Result([Row("a", "forward", "minicnn", rounds=[1.0])])
        report(result.rows, result)
        raise KeyboardInterrupt

    monkeypatch.setattr("minicnn.bench.conv.measure", interrupted)
    path = tmp_path / "r.json"
    assert main(["bench", "conv", "--layers", LAYER, "--json", str(path)]) == 130
    record = json.loads(path.read_text())
    assert record["interrupted"] is True
    assert record["rows"][0]["rounds"] == [1.0]


def test_ops_measures_the_works_named(capsys):
    assert main(["bench", "ops", "relu 2x3x4x4", *QUICK]) == 0
    assert capsys.readouterr().out.count("relu 2x3x4x4") == 2  # forward and backward


def test_a_step_runs(capsys):
    assert main(["bench", "steps", "mlp", *QUICK]) == 0
    assert "mlp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["conv", "--layers", "nothing"], "no list or file of layers 'nothing'"),
        (["conv", "--only", "zzz"], "no layer's name contains zzz"),
        (["conv", "--peers", "jax"], "no library 'jax'"),
        (["conv", "--device", "tpu"], "device 'tpu'"),
        (["conv", "--seconds", "0"], "--seconds must be above 0"),
        (["conv", "--json", "/no/such/folder/r.json"], "there is no folder /no/such/folder"),
        (["ops", "relu"], "'relu' is no work"),
        (["crossover", "vgg16", "side", "8"], "crossover takes one layer, 'vgg16' has 9"),
        (["crossover", LAYER, "side", "8", "--picture", "/no/such/folder/p.png"], "there is no folder"),
        (["ops", "--only", "zzz"], "nothing contains zzz"),
        (["ops", "--peers", "scipy"], "only torch and torch-kept are compared here, not scipy"),
        (["steps", "resnet19"], "no net 'resnet19'"),
        (["memory", "resnet19"], "no net 'resnet19'"),
        (["scaling", "--json", "/no/such/folder/r.json"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(words, message, capsys):
    assert main(["bench", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_kind_is_required():
    with pytest.raises(SystemExit, match="2"):
        main(["bench"])
