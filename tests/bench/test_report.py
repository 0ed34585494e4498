"""From rows to tables, summaries and files, on made-up numbers."""

import csv
import io
import json

import pytest

from minicnn.bench import compare, crossover, plots, report, summary
from minicnn.bench.conv import Result
from minicnn.bench.layers import parse
from minicnn.bench.result import Row, dump, read

ROOF = {"flops": 1e11, "bytes": 1e10}
DENSE = "1x1x4x4 -> 1, 3x3 padding 1"


def row(work, seconds, contender="minicnn", algorithm="", marks=(), which="forward", **more):
    about = {"shape": DENSE, "flops": 2_000_000, "bytes": 100_000, "error": 1e-7, **more}
    return Row(work, which, contender, algorithm, list(marks), rounds=[seconds] * 5 if seconds else [], **about)


def pair(work, ours, theirs, **more):
    both = ["auto", "auto, small error"]
    return [row(work, ours, algorithm="direct", marks=both, **more), row(work, theirs, "torch", **more)]


def test_a_rows_numbers():
    one = row("a", 1e-3, operations=1_000_000)
    assert one.nominal == pytest.approx(2.0)
    assert one.actual == pytest.approx(1.0)
    assert one.traffic == pytest.approx(0.1)
    assert one.share(ROOF) == pytest.approx(0.02)  # two GFLOP/s of a hundred, whatever was carried out
    assert one.share({"flops": 1e11, "bytes": 1e9}) == pytest.approx(0.1)


def test_a_wasteful_algorithm_has_no_larger_share_of_the_roof():
    assert row("a", 1e-3, operations=50_000_000).share(ROOF) == row("a", 1e-3).share(ROOF)


def test_the_ratio_and_the_means_are_given_against_both_kinds_of_torch():
    rows = [*pair("a", 1e-3, 4e-3), row("a", 3e-3, "torch-kept")]
    ours = report.lines(rows, ROOF).splitlines()[0]
    assert ours.endswith("4.00 [4.00, 4.00]; 3.00 [3.00, 3.00] torch-kept")
    text = report.summary(rows, ROOF)
    first, _, second = text.partition("auto, against torch-kept: geometric mean of the ratios")
    assert " 4.00   worst" in first
    assert " 3.00   worst" in second
    stored = [mean for mean in Result(rows=rows).record()["summary"] if mean["over"] == "all"]
    assert {(mean["peer"], round(mean["mean"], 6)) for mean in stored} == {("torch", 4.0), ("torch-kept", 3.0)}


def test_how_a_gradient_was_timed_is_printed():
    assert "mygrad (with forward)" in report.lines([row("a", 1e-3, "mygrad", marks=["with forward"])], {})


def test_a_row_survives_json_and_a_strange_one_is_refused():
    one = row("a", 1e-3, algorithm="direct", marks=("auto",))
    assert read(json.loads(json.dumps(dump(one)))) == one
    with pytest.raises(ValueError, match="only the fields of a result"):
        read({"work": "a", "which": "forward", "contender": "x", "speed": 3})


def test_the_table_shows_the_ratio_and_hides_the_time_of_a_wrong_result():
    rows = [*pair("a", 1e-3, 2e-3), row("a", 0, algorithm="bad", verdict="WRONG", why="error 1.0e+00")]
    text = report.lines(rows, ROOF)
    ours, theirs, wrong = text.splitlines()
    assert "minicnn direct*" in ours and ours.endswith("2.00 [2.00, 2.00]")
    assert theirs.split()[:3] == ["a", "forward", "torch"]
    assert wrong.endswith("WRONG  error 1.0e+00")
    assert len(report.heading()) == len(ours)


def test_means_are_geometric_and_name_what_is_missing():
    wrong = row("c", 0, algorithm="direct", marks=["auto"], verdict="WRONG")
    rows = [*pair("a", 1e-3, 4e-3), *pair("b", 1e-3, 1e-3), wrong]
    found = {(mean.mark, mean.over): mean for mean in summary.means(rows)}
    both = found["auto", "all"]
    assert both.mean == pytest.approx(2.0)
    assert both.worst == ("b", 1.0)
    assert both.missing == ["c"]
    text = report.summary(rows, ROOF)
    assert "2.00   worst  1.00 b (2 of 3)  without c" in text
    assert "auto, small error: geometric mean" in text
    assert "100 GFLOP/s (matrix product), 10.0 GB/s (copy)" in text


def test_the_best_of_ours_has_a_mean_of_each_pass_and_of_all():
    best = row("a", 1e-3, algorithm="winograd", marks=["named", "best of ours"])
    back = [row("a", 1e-3, "torch"), row("a", 2e-3, algorithm="direct", marks=["auto", "best of ours"])]
    for one in back:
        one.which = "input_grad"
    rows = [*pair("a", 2e-3, 2e-3), best, *back]
    found = {mean.which: mean for mean in summary.means(rows) if (mean.mark, mean.over) == ("best of ours", "all")}
    assert found["forward"].mean == pytest.approx(2.0)
    assert found["input_grad"].mean == pytest.approx(0.5)
    assert found["all passes"].mean == pytest.approx(1.0)
    assert list(found["all passes"].ratios) == ["a forward", "a input_grad"]
    assert not [mean for mean in summary.means(pair("a", 1e-3, 1e-3)) if mean.mark == "best of ours"]


def test_the_3x3_layers_are_counted_by_themselves():
    rows = [
        *pair("three", 1e-3, 4e-3), *pair("five", 1e-3, 1e-3, shape="1x1x9x9 -> 1, 5x5"),
        *pair("strided", 1e-3, 1e-3, shape="1x1x9x9 -> 1, 3x3 stride 2"),
        *pair("deep", 1e-3, 1e-3, shape="1x2x9x9 -> 2, 3x3 groups 2"),
    ]
    found = {mean.over: list(mean.ratios) for mean in summary.means(rows) if mean.mark == "auto"}
    assert found == {
        "all": ["three", "five", "strided", "deep"], "3x3 stride 1": ["three", "deep"],
        "3x3 stride 1, dense": ["three"],
    }


def test_an_algorithm_that_beats_the_choice_is_named():
    rows = [*pair("a", 2e-3, 2e-3), row("a", 1e-3, algorithm="winograd"), *pair("b", 1e-3, 1e-3)]
    assert "winograd is 2.00 times as fast as direct" in report.summary(rows, ROOF)


def test_comma_separated_has_plain_numbers():
    rows = [*pair("a", 1e-3, 2e-3), row("a", 0, algorithm="bad", verdict="failed", why="x, y")]
    first, second, third = csv.DictReader(io.StringIO(report.comma_separated(rows, ROOF)))
    assert (first["median"], first["gflops"], first["marks"]) == ("0.001", "2.0", "auto + auto, small error")
    assert second["contender"] == "torch"
    assert (third["why"], third["median"]) == ("x, y", "")
    assert report.comma_separated([], {}) == "marks,median,low,high,gflops,actual_gflops,gbytes,roof_share\n"


def test_markdown_is_a_table():
    lines = report.markdown(pair("a", 1e-3, 2e-3), ROOF).splitlines()
    assert lines[0].startswith("| layer | pass |")
    assert {line.count("|") for line in lines[:4]} == {len(report.COLUMNS) + 1}


def test_pictures_are_drawn(tmp_path):
    rows = [*pair("a", 1e-3, 2e-3), *pair("b", 1e-3, 2e-3, which="input_grad")]
    assert [path.name for path in plots.draw(rows, ROOF, tmp_path)] == ["roofline.png", "bars.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("roofline.png", "bars.png"))
    assert plots.draw([], ROOF, tmp_path) == []


def test_a_stored_result_is_read_back(tmp_path):
    rows = pair("a", 1e-3, 2e-3)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(Result(rows, ROOF).record()))
    again, record = report.load(path)
    assert again == rows
    assert record["roofline"] == ROOF
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"bench: .*r\.json holds no result"):
        report.load(path)


@pytest.mark.parametrize(
    ("axis", "shapes"),
    [
        ("batch", ["5x4x9x9 -> 4, 3x3 padding 1 groups 4", "7x4x9x9 -> 4, 3x3 padding 1 groups 4"]),
        ("side", ["2x4x5x5 -> 4, 3x3 padding 1 groups 4", "2x4x7x7 -> 4, 3x3 padding 1 groups 4"]),
        ("channels", ["2x5x9x9 -> 5, 3x3 padding 1 groups 5", "2x7x9x9 -> 7, 3x3 padding 1 groups 7"]),
        ("kernel", ["2x4x9x9 -> 4, 5x5 padding 2 groups 4", "2x4x9x9 -> 4, 7x7 padding 3 groups 4"]),
    ],
)
def test_a_layer_grows_along_each_axis(axis, shapes, tmp_path):
    grown = crossover.sizes(parse("d 2x4x9x9 -> 4, 3x3 padding 1 groups 4"), axis, [5, 7])
    assert [layer.notation for layer in grown] == shapes
    rows = [r for layer in grown for r in pair(layer.name, 1e-3, 2e-3, shape=layer.notation)]
    assert [crossover.value_of(r, axis) for r in rows] == [5, 5, 7, 7]
    crossover.draw(rows, axis, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_an_axis_that_is_none():
    with pytest.raises(ValueError, match="bench: no axis 'depth'; there are batch, side"):
        crossover.sizes(parse("d 2x4x9x9 -> 4, 3x3"), "depth", [1])


def changed(before, after):
    def rows(values):
        ours = Row("a", "forward", "minicnn", "direct", ["auto"], rounds=values)
        return [ours, Row("a", "forward", "torch", rounds=[1.0] * 9)]

    return {change.contender: change for change in compare.compare(rows(before), rows(after))}


NINE = [1.0 + 0.001 * i for i in range(9)]


def test_a_clear_change_has_a_verdict():
    assert changed(NINE, [v / 2 for v in NINE])["minicnn direct"].verdict == compare.FASTER
    assert changed(NINE, [v * 2 for v in NINE])["minicnn auto"].verdict == compare.SLOWER
    assert changed(NINE, NINE)["minicnn direct"].verdict == compare.SAME


def test_scatter_and_tiny_changes_are_the_same():
    assert changed(NINE, [0.5, *NINE[1:]])["minicnn direct"].verdict == compare.SAME
    assert changed(NINE, [v * 1.015 for v in NINE])["minicnn direct"].verdict == compare.SAME


def test_a_change_that_so_few_rounds_cannot_show_is_not_called_the_same():
    assert changed([1.0, 2.0], [0.1, 0.2])["minicnn direct"].verdict == compare.FEW
    assert changed([1.0, 2.0], [1.0, 2.0])["minicnn direct"].verdict == compare.SAME


def test_rows_of_another_shape_or_dtype_are_not_compared():
    before = [Row("a", "forward", "torch", shape="1x1x4x4 -> 1, 3x3", rounds=NINE)]
    assert compare.compare(before, [Row("a", "forward", "torch", shape="2x1x4x4 -> 1, 3x3", rounds=NINE)]) == []
    other = Row("a", "forward", "torch", shape=before[0].shape, dtype="float64", rounds=NINE)
    assert compare.compare(before, [other]) == []
    assert len(compare.compare(before, before)) == 1


def test_another_choice_is_compared_with_the_old_one():
    before = [Row("a", "forward", "minicnn", "direct", ["auto"], rounds=NINE)]
    after = [Row("a", "forward", "minicnn", "winograd", ["auto"], rounds=[v / 3 for v in NINE])]
    (change,) = compare.compare(before, after)
    assert (change.contender, change.algorithms) == ("minicnn auto", ("direct", "winograd"))
    assert change.ratio == pytest.approx(3.0)
    text = compare.table([change])
    assert "(direct -> winograd)" in text
    assert "geometric mean 3.000 over 1 rows" in text


def test_a_row_without_a_time_is_not_compared():
    before = [Row("a", "forward", "torch", verdict="failed")]
    (change,) = compare.compare(before, [Row("a", "forward", "torch", rounds=NINE)])
    assert change.verdict == compare.UNTIMED
    assert compare.UNTIMED in compare.table([change])
