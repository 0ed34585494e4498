"""Pages and XML of reports are well formed, escape what they quote, and show the values that they are about."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from minicnn.testing.catalogue import CAUSES
from minicnn.testing.evidence import Diagnosis, JacobianPair
from minicnn.testing.rendering import html, junit, record
from minicnn.testing.rendering.maps import error_map, ratio_map, worst
from minicnn.testing.rendering.record import pair
from minicnn.testing.report import Comparison, Finding, Report

HOSTILE = "<script>alert('x')</script>\x1b[31m & \"quoted\" \x00 \ufffe \ud800 ]]>"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The page's elements, checked to be nested rightly, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def jacobians(analytic, numeric, input_shape, output_shape, **changes):
    analytic, numeric = np.asarray(analytic, float), np.asarray(numeric, float)
    columns, rows = np.arange(numeric.shape[1]), np.arange(numeric.shape[0])
    given = {"columns": columns, "rows": rows, "error": np.full(numeric.shape, 1e-12)} | changes
    return JacobianPair(
        "input 0", "output 0", 1, tuple(input_shape), tuple(output_shape), analytic=analytic, numeric=numeric, **given
    )


def failed(name="wrong scale", *, message="backward 64, numerical 1", cause="no such cause", where="input 0"):
    numeric = np.eye(6)
    compared = Comparison("input 0", "output 0", 1, "FAIL", False, "[0, 0]", 64.0, 1.0, 1e-12, 1e-8)
    return Report(
        name=name, seed=12345, compared=[compared], findings=[Finding("mismatch", 1, where, message)],
        diagnoses=[Diagnosis(cause, where, "analytic is 64.0 times numeric everywhere")],
        jacobians=[jacobians(64 * numeric, numeric, (2, 3), (6,))], comparisons=36, notes=["promoted to float64"],
    )


def passed(name="fine"):
    row = Comparison("input 0", "output 0", 1, "PASS", False, "[0]", 2.0, 2.0, 1e-12, 1e-8)
    return Report(name=name, seed=3, compared=[row], comparisons=4)


def vacuous(name="summed softmax"):
    row = Comparison("input 0", "output 0", 1, "PASS", True, "[0]", 0.0, 0.0, 1e-12, 1e-8)
    return Report(name=name, seed=4, compared=[row], comparisons=4)


def opened(kind, name):
    return Report(name=name, seed=5, findings=[Finding(kind, 1, "input 0", "seen")], comparisons=4)


def every():
    return [passed(), vacuous(), opened("kink", "at a kink"), opened("error bar", "noisy"), failed()]


def test_the_page_is_well_formed_and_needs_nothing_else():
    text = html(every(), title="Checks of today")
    page = Page(text)
    assert page.elements[0][0] == "html" and text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.elements}
    for _, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name in {"src", "style"}]
        assert attrs.get("href", "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import", text)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids)) == 5
    assert {attrs["href"][1:] for attrs in page.all("a")} == set(ids)
    assert "Checks of today" in page.text and "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_overview_counts_and_stands_worst_first():
    page = Page(html(every()))
    assert "5 checks: 1 FAIL , 1 INCONCLUSIVE , 1 NONDIFFERENTIABLE , 1 VACUOUS , 1 PASS ." in page.text
    places = [page.text.index(name) for name in ("wrong scale", "noisy", "at a kink", "summed softmax", "fine")]
    assert places == sorted(places)


def test_a_failure_shows_values_cause_seed_and_how_to_repeat_it():
    page = Page(html([failed()]))
    for words in (
        "Backward disagrees with the derivative", "Probable cause: no such cause", "analytic is 64.0 times numeric",
        "promoted to float64", "mc.testing.gradcheck(f, inputs, seed=12345)", "mismatch", "output 0[0]",
    ):
        assert words in page.text
    assert "d output 0[2] / d input 0[0, 2]: backward 64, numerical 1 ± 1e-12" in page.text  # a tooltip
    assert len(page.all("svg")) == 2 and all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))


def test_a_zero_slope_is_vacuous_only_where_the_check_is():
    report = passed("two outputs")
    report.compared.append(Comparison("input 0", "output 1", 1, "PASS", True, "[0]", 0.0, 0.0, 1e-12, 1e-8))
    for made in (report, replace(vacuous(), expected_flat=True)):
        text = Page(html([made])).text
        assert "PASS (zero)" in text and "zero along every probe of this pair" in text and "VACUOUS" not in text
    text = Page(html([vacuous()])).text
    assert "PASS (zero)" not in text and text.count("VACUOUS") == 4
    assert "1 check: 1 VACUOUS" in text


def test_each_verdict_is_explained():
    meanings = {page for report in every() for page in [Page(html([report])).text.split("Seconds", 1)[1]]}
    for words in ("could have caught it", "of zero would have passed", "kink, a tie or a jump", "too uncertain"):
        assert sum(words in text for text in meanings) == 1
    assert "no number was compared" in Page(html([Report(name="nothing")])).text
    assert "breaks a rule" in Page(html([opened("shape", "shape")])).text
    assert "Nothing was checked" in Page(html([])).text


def test_hostile_texts_are_shown_not_run():
    report = failed(HOSTILE, message=HOSTILE, cause=HOSTILE, where=HOSTILE)
    report.notes.append(HOSTILE)
    text = html([report], title=HOSTILE)
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count("<script>alert('x')</script>\\x1b[31m") >= 6
    text.encode("utf-8")
    case = ET.fromstring(junit([report], suite=HOSTILE)).find(".//testcase")
    assert case.get("name") == "<script>alert('x')</script>\\x1b[31m & \"quoted\" \\x00 \\ufffe \\ud800 ]]>"
    assert HOSTILE[:20] in case.find("failure").get("message")


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_causes_are_explained_in_the_words_of_the_catalogue(cause):
    text = Page(html([failed(cause=cause.id)])).text.replace(" ", "")
    for words in (cause.title, cause.meaning, cause.remedy, cause.id):
        assert re.sub(r"[\s`]", "", words) in text


def test_a_record_survives_json_and_gives_the_same_page():
    report = failed()
    report.jacobians[0].analytic[0, 1] = np.nan
    made = json.loads(json.dumps(record(report)))
    assert html([made]) == html([report])
    assert junit([made]) == junit([report])
    again = pair(made["jacobians"][0])
    np.testing.assert_array_equal(again.analytic, report.jacobians[0].analytic)
    assert again.input_shape == (2, 3) and again.complete


def test_names_and_reproducing_lines_may_be_replaced():
    made = record(failed(), name="test_it", reproduce="pytest --gradcheck")
    text = Page(html([made])).text
    assert "test_it" in text and "wrong scale" not in text and "pytest --gradcheck" in text


def test_junit_separates_wrong_gradients_from_checks_that_say_nothing():
    root = ET.fromstring(junit(every(), suite="mine"))
    assert [root.get(k) for k in ("tests", "failures", "errors", "skipped")] == ["5", "1", "3", "0"]
    suite = root.find("testsuite").attrib
    assert suite.items() >= {("name", "mine"), ("tests", "5"), ("failures", "1"), ("errors", "3")}
    found = {case.get("name"): case for case in root.iter("testcase")}
    assert found["fine"].find("failure") is None and found["fine"].find("error") is None
    assert found["wrong scale"].find("failure").get("type") == "FAIL"
    assert "64" in found["wrong scale"].find("failure").get("message")
    types = {name: case.find("error").get("type") for name, case in found.items() if case.find("error") is not None}
    assert types == {"summed softmax": "VACUOUS", "at a kink": "NONDIFFERENTIABLE", "noisy": "INCONCLUSIVE"}
    properties = {p.get("name"): p.get("value") for p in found["wrong scale"].iter("property")}
    assert properties["seed"] == "12345" and properties["verdict"] == "FAIL" and properties["causes"] == "no such cause"
    assert properties["vacuous"] == "false" and all(case.get("classname") == "mine" for case in found.values())


def test_junit_numbers_cases_of_one_name():
    cases = ET.fromstring(junit([passed("a"), passed("a"), passed("")])).iter("testcase")
    assert [case.get("name") for case in cases] == ["a", "a (2)", "check 3"]


def test_large_maps_show_the_worst_element_of_each_block():
    numeric = np.random.default_rng(5).normal(size=(130, 200))
    analytic = numeric.copy()
    analytic[77, 133] += 3.0
    pairs = jacobians(analytic, numeric, (10, 20), (130,))
    figure = Page(error_map(pairs))
    assert len(figure.all("path")) == 64 * 64
    wrong = [attrs for attrs in figure.all("path") if attrs["class"] != "e0"]
    assert len(wrong) == 1
    assert "130 × 200 elements are shown as 64 × 64" in figure.text
    assert "d output 0[77] / d input 0[6, 13]: backward" in figure.text
    assert [row[:2] for row in worst(pairs)] == [("output 0[77]", "input 0[6, 13]")]


def test_the_error_map_knows_how_wrong_elements_are():
    numeric = np.ones((1, 7))
    analytic = 1 + np.array([[0, 1e-5, 1e-3, 0.05, 0.5, 5, np.nan]])
    classes = [attrs["class"] for attrs in Page(error_map(jacobians(analytic, numeric, (7,), (1,)))).all("path")]
    assert classes == ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]


def test_the_ratio_map_names_what_happened_to_each_input_element():
    numeric = np.array([[1.0, 1, 1, 1, 1, 0, 1, 1], [2, 2, 2, 2, 2, 0, 2, 1]])
    analytic = numeric * np.array([1, 0, -1, 0.5, 64, 1, np.inf, 1])
    analytic[:, 5], analytic[:, 7] = 3, [1, -1]
    pairs = jacobians(analytic, numeric, (2, 4), (2,))
    figure = Page(ratio_map(pairs))
    assert [attrs["class"] for attrs in figure.all("path")] == ["r0", "r1", "r2", "r3", "r4", "r6", "r7", "r5"]
    assert figure.all("svg")[0]["viewbox"] == "0 0 4 2"  # in the shape of the input
    assert "64" in figure.texts and "-1" in figure.texts
    assert "ratio 0.5; worst: d output 0[1] / d input 0[0, 3]: backward 1, numerical 2" in figure.text


@pytest.mark.parametrize(("shape", "panels"), [
    ((), 1), ((5,), 1), ((1, 1), 1), ((2, 3, 4, 5), 6), ((3, 8, 1, 1), 1), ((5, 5, 2, 2), 16), ((2, 0, 3), 0),
])
def test_every_shape_has_a_ratio_map(shape, panels):
    size = int(np.prod(shape))
    numeric = np.random.default_rng(0).normal(size=(3, size))
    report = Report(name="shapes", jacobians=[jacobians(2 * numeric, numeric, shape, (3,))], comparisons=1)
    page = Page(html([report]))
    assert len(page.all("svg")) == (1 + panels if size else 0)


def test_elements_that_were_not_looked_at_are_shown_as_such():
    numeric = np.ones((2, 3))
    pairs = jacobians(
        2 * numeric, numeric, (3, 4), (9,), columns=np.array([0, 5, 11]), rows=np.array([4, 8])
    )
    classes = [attrs["class"] for attrs in Page(ratio_map(pairs)).all("path")]
    assert classes.count("r8") == 9 and classes.count("r4") == 3
    text = Page(html([Report(name="some", jacobians=[pairs], comparisons=1)])).text
    assert "2 of the output's and 3 of the input's elements were looked at" in text and "output 0[8]" in text
