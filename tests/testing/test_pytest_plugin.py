"""The pytest plugin in small projects of its own: what runs, with which seed, and what is left of it afterwards."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import minicnn.testing  # noqa: F401 - before pytester's snapshot of the loaded modules: NumPy loads once in a process
from minicnn.testing import Report

pytest_plugins = ["pytester"]

RULES = """
import numpy as np
import pytest
from minicnn.testing import GradientError

def square(x): return x * x
def right(g, x): return 2 * x * g
def wrong(g, x): return -2 * x * g
def softmax_sum(x): return (np.exp(x) / np.exp(x).sum()).sum()
def nothing(g, x): return np.zeros_like(x)
"""
MARKED = RULES + """
@pytest.mark.gradcheck
def test_right(gradcheck):
    gradcheck(square, [gradcheck.rng.normal(size=3)], backward=right)

@pytest.mark.gradcheck
def test_wrong(gradcheck):
    gradcheck(square, [np.array([1.0, 2.0])], backward=wrong)

def test_other():
    pass
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with nothing but the plugin: no cache, none of our own options."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # these tests may themselves run in a worker
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    # Hypothesis would be imported again by each of these runs, for seconds.
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest --strict-markers\n")

    def run(source, *args, process=False):
        pytester.makepyfile(source)
        how = pytester.runpytest_subprocess if process else pytester.runpytest_inprocess
        return how(*args)

    return run


def lines(result):
    return result.stdout.str()


def test_marked_tests_run_only_when_asked_for(project):
    result = project(MARKED, "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*a gradient check: runs with --gradcheck*"])
    assert "gradient checks" not in lines(result) and "gradcheck: seed" not in lines(result)
    project(MARKED, "--gradcheck").assert_outcomes(passed=2, failed=1)
    project(MARKED, "--gradcheck", "-m", "gradcheck").assert_outcomes(passed=1, failed=1, deselected=1)


def test_a_failure_shows_the_report_and_how_to_repeat_it(project):
    result = project(MARKED, "--gradcheck", "--gradcheck-seed", "17")
    result.stdout.fnmatch_lines([
        "gradcheck: seed 17 (repeat with --gradcheck-seed 17)",
        "gradcheck = gradcheck(seed=17)",
        "E*square: FAIL*seed 17*",
        "E*backward *numerical *",
        "E*repeat with: pytest --gradcheck --gradcheck-seed 17 *::test_wrong",
        "2 checks: 1 FAIL, 1 PASS (seed 17)",
        "FAIL *::test_wrong: square*",
    ])
    assert "pytest_plugin.py" not in lines(result)  # the traceback ends in the test


def test_a_seed_is_drawn_and_repeats_the_run(project):
    source = RULES + "def test_draw(gradcheck):\n    print('drawn', gradcheck.seed, gradcheck.rng.normal())\n"
    draw = re.compile(r"drawn (\d+) (\S+)")

    def drawn(*args):  # in processes of their own: -s prints past what pytester captures when tests run side by side
        return draw.search(lines(project(source, "--gradcheck", "-s", *args, process=True)))

    first = drawn()
    again, other = drawn("--gradcheck-seed", first.group(1)), drawn()
    assert again.groups() == first.groups() != other.groups()


def test_vacuous_and_inconclusive_checks_fail_too(project):
    result = project(RULES + """
def test_vacuous(gradcheck):
    gradcheck(softmax_sum, [np.array([1.0, 2.0, 4.0])], backward=nothing)

def test_kink(gradcheck):
    gradcheck(lambda x: np.abs(x), [np.zeros(2)], backward=lambda g, x: g * np.sign(x), neighbours=False)
""")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*VACUOUS *::test_vacuous*", "*NONDIFFERENTIABLE *::test_kink*"])


def test_a_report_may_be_had_without_failing(project):
    result = project(RULES + """
def test_catches(gradcheck):
    assert gradcheck.report(square, [np.ones(2)], backward=wrong).verdict == "FAIL"
    assert gradcheck(square, [np.ones(2)], backward=wrong, check=False).verdict == "FAIL"
    with pytest.raises(GradientError, match="repeat with"):
        gradcheck(square, [np.ones(2)], backward=wrong)
    assert gradcheck(square, [np.ones(2)], backward=right)
""")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["2 checks: 1 FAIL, 1 PASS; reported only: 2 checks: 2 FAIL (seed *)"])


def test_marker_command_line_and_call_set_the_options(project, monkeypatch):
    seen = []

    def fake(f, inputs, **options):
        seen.append(options)
        return Report(name="fake", seed=options["seed"], comparisons=1)

    monkeypatch.setattr("minicnn.testing.gradcheck", fake)
    source = """
import pytest

@pytest.mark.gradcheck(order=2, budget_s=9.0)
class TestIt:
    def test_class(self, gradcheck):
        gradcheck(None, [])

    @pytest.mark.gradcheck(order=3)
    def test_own(self, gradcheck):
        gradcheck(None, [])
        gradcheck(None, [], order=1, budget_s=2.0, seed=8)
"""
    project(source, "--gradcheck", "--gradcheck-seed=5").assert_outcomes(passed=2)
    assert seen == [
        {"seed": 5, "order": 2, "budget_s": 9.0}, {"seed": 5, "order": 3, "budget_s": 9.0},
        {"seed": 8, "order": 1, "budget_s": 2.0},
    ]
    seen.clear()
    project(source, "--gradcheck", "--gradcheck-budget=0.5").assert_outcomes(passed=2)
    assert [options["budget_s"] for options in seen] == [0.5, 0.5, 2.0]


def test_tests_run_once_for_each_seed(project):
    source = RULES + """
@pytest.mark.gradcheck(seeds=2)
@pytest.mark.parametrize("n", [1, 2])
def test_many(gradcheck, n):
    gradcheck(square, [gradcheck.rng.normal(size=n)], backward=right if gradcheck.seed != 31 else wrong)
"""
    result = project(source, "--gradcheck", "--gradcheck-seed=30", "-v")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines([
        "*::test_many[[]1-seed+0] PASSED*", "*repeat with: pytest * --gradcheck-seed 30 --gradcheck-seeds 2 *1-seed+1]'"
    ])
    command = re.search(r"repeat with: pytest (.*) '(.*\[1-seed\+1\])'", lines(result))
    project(source, *command.group(1).split(), command.group(2)).assert_outcomes(failed=1)
    project(source, "--gradcheck", "--gradcheck-seed=40", "--gradcheck-seeds=3").assert_outcomes(passed=6)
    project(source, "--gradcheck", "--gradcheck-seed=31", "--gradcheck-seeds=1").assert_outcomes(failed=2)
    project(source).assert_outcomes(skipped=2)


def test_the_first_of_several_seeds_repeats_too(project):
    source = RULES + """
@pytest.mark.gradcheck(seeds=3)
def test_it(gradcheck):
    gradcheck(square, [np.ones(2)], backward=wrong)
"""
    command = re.search(r"repeat with: pytest (.*) '(.*\[seed\+0\])'", lines(project(source, "--gradcheck")))
    project(source, *command.group(1).split(), command.group(2)).assert_outcomes(failed=1)


def test_wrong_options_are_refused(project):
    bad = project("import pytest\n@pytest.mark.gradcheck(level=2)\ndef test_it(gradcheck): pass\n", "--gradcheck")
    assert bad.ret != 0 and "gradcheck(order=1, budget_s=None, seeds=1)" in lines(bad) + bad.stderr.str()
    for option, words in (("--gradcheck-seeds=0", "at least 1"), ("--gradcheck-seed=-1", "at least 0")):
        result = project("def test_it(): pass\n", option)
        assert result.ret == pytest.ExitCode.USAGE_ERROR and words in result.stderr.str()
    result = project("def test_it(): pass\n", "--gradcheck-html=.")
    assert result.ret == pytest.ExitCode.USAGE_ERROR and "is a directory" in result.stderr.str()


def test_page_and_junit_properties(project, pytester):
    options = ["--gradcheck-seed=3", "--gradcheck-html=out/page.html", "--junitxml=out.xml"]
    result = project(MARKED, "--gradcheck", *options)
    result.stdout.fnmatch_lines(["page: out/page.html"])
    page = (pytester.path / "out/page.html").read_text()
    assert "2 checks:" in page and "::test_wrong: square" in page and "--gradcheck-seed 3" in page and "<svg" in page
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "out.xml").iter("testcase")}
    found = {p.get("name"): p.get("value") for p in cases["test_wrong"].iter("property")}
    assert found["gradcheck.verdict"] == "FAIL" and found["gradcheck.seed"] == "3" and found["gradcheck.causes"]
    assert not list(cases["test_other"].iter("property"))
    project("def test_it(): pass\n", "--gradcheck-html=none.html").assert_outcomes(passed=1)
    assert "Nothing was checked" in (pytester.path / "none.html").read_text()


def test_properties_are_those_of_the_worst_check(project, pytester):
    project(RULES + """
def test_it(gradcheck):
    gradcheck.report(square, [np.ones(2)], backward=wrong)
    gradcheck(square, [np.ones(2)], backward=right)
""", "--junitxml=out.xml").assert_outcomes(passed=1)
    found = [(p.get("name"), p.get("value")) for p in ET.parse(pytester.path / "out.xml").iter("property")]
    assert [name for name, _ in found] == ["gradcheck.verdict", "gradcheck.seed", "gradcheck.causes"]
    assert found[0][1] == "FAIL"


def test_processes_share_one_seed_and_one_page(project, pytester):
    pytest.importorskip("xdist")
    source = RULES + "".join(
        f"def test_{i}(gradcheck):\n    gradcheck(square, [np.ones(2)], backward={rule})\n"
        for i, rule in enumerate(["right", "wrong", "right", "right"])
    )
    result = project(source, "-n2", "--gradcheck-html=page.html", "--junitxml=out.xml", process=True)
    result.assert_outcomes(passed=3, failed=1)
    properties = ET.parse(pytester.path / "out.xml").iter("property")
    seeds = [p.get("value") for p in properties if p.get("name") == "gradcheck.seed"]
    assert len(seeds) == 4 and len(set(seeds)) == 1
    result.stdout.fnmatch_lines([f"4 checks: 1 FAIL, 3 PASS (seed {seeds[0]})", "page: page.html"])
    page = (pytester.path / "page.html").read_text()
    assert "4 checks:" in page and page.count("<section") == 4


def test_nothing_heavy_is_imported_when_pytest_starts(tmp_path):
    code = (
        "import sys, pytest; "
        "pytest.main(['--collect-only', '-p', 'no:cacheprovider', '-p', 'no:hypothesispytest', '.']); "
        "print('loaded', 'minicnn.testing.pytest_plugin' in sys.modules, "
        "[m for m in ('minicnn', 'minicnn.testing', 'numba', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("loaded True []")


def test_the_plugin_can_be_switched_off(project):
    result = project("def test_it(gradcheck): pass\n", "-p", "no:minicnn")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'gradcheck' not found*"])
