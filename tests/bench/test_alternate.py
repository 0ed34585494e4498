"""Contenders take turns, their seconds are counted per repetition, and one that fails is named."""

import io
import os
import sys
import time
from types import SimpleNamespace

import pytest

from minicnn.bench import Contender, Timing, alternate, serve, take_turns

# Speaks the protocol without a clock: every repetition "takes" a given time; each line heard goes to a shared log.
SCRIPTED = """
import os, sys
name, seconds, log = sys.argv[1], float(sys.argv[2]), sys.argv[3]
def note(text):
    with open(log, "a") as f:
        f.write(f"{name} {text}\\n")
note(f"pid {os.getpid()}")
print("ready", flush=True)
for line in sys.stdin:
    note(line.strip())
    print(int(line.split()[1]) * seconds, flush=True)
note("end")
"""


def scripted(name, seconds, log):
    return Contender(name, [sys.executable, "-S", "-c", SCRIPTED, name, str(seconds), str(log)])


def program(name, text):
    return Contender(name, [sys.executable, "-S", "-c", text])


def lines(log, *, pids=False):
    return [line for line in log.read_text().splitlines() if (" pid " in line) == pids]


def assert_all_gone(log):
    for line in lines(log, pids=True):
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[-1]), 0)


def test_turns_alternate_and_every_turn_has_its_repetitions(tmp_path):
    log = tmp_path / "log"
    found = alternate([scripted("a", 0.01, log), scripted("b", 0.05, log)], rounds=3, seconds=0.1)
    warm_up = ["a run 3", "a run 3", "a run 10", "b run 3", "b run 3", "b run 2"]
    turns = ["a run 10", "b run 2", "b run 2", "a run 10", "a run 10", "b run 2"]
    assert lines(log) == [*warm_up, *turns, "a end", "b end"]
    assert list(found) == ["a", "b"]
    assert found["a"].rounds == pytest.approx([0.01] * 3)
    assert found["b"].rounds == pytest.approx([0.05] * 3)
    assert_all_gone(log)


def test_a_repetition_longer_than_a_turn_runs_once(tmp_path):
    log = tmp_path / "log"
    found = alternate([scripted("slow", 7.0, log)], rounds=1, seconds=0.1)
    assert lines(log)[2:] == ["slow run 1", "slow run 1", "slow end"]
    assert found["slow"].rounds == [7.0]


def test_a_clock_that_shows_nothing_is_no_division_by_zero(tmp_path):
    assert alternate([scripted("a", 0.0, tmp_path / "log")], rounds=1, seconds=1e-6)["a"].median == 0


def scattered(first, then):
    """Repetitions that take changing times: those of the two set-up turns and the warm-up, then round by round."""
    times = iter([first, first, first, *then])
    return lambda count: next(times) * count


def test_rounds_go_on_while_they_scatter():
    times = [1.0, 1.5, 1.0, 1.5, 1.0, 1.5, 1.0]
    found = take_turns({"a": scattered(1.0, times)}, rounds=3, seconds=10.0, warm=1, steady=0.1)
    assert found["a"].rounds == [1.0, 1.5, 1.0, 1.5, 1.0]  # then twice the planned 30 seconds are used up
    found = take_turns({"a": scattered(1.0, times)}, rounds=3, seconds=100.0, warm=1, steady=10.0)
    assert len(found["a"].rounds) == 3
    found = take_turns({"a": scattered(1.0, times)}, rounds=3, seconds=10.0, warm=1)
    assert len(found["a"].rounds) == 3


def test_scatter_without_end_ends():
    found = take_turns({"a": scattered(1e-9, [1e-9, 2e-9] * 30)}, rounds=4, seconds=1e-3, warm=1, steady=0.01)
    assert len(found["a"].rounds) <= 12


def test_serve_counts_its_work_and_stops_at_the_end_of_input(monkeypatch, capsys):
    calls, ticks = [], iter(range(100))
    monkeypatch.setattr(sys, "stdin", io.StringIO("run 3\nrun 5\n"))
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr(sys.modules["minicnn.bench.alternate"], "time", clock)
    serve(lambda: calls.append(next(ticks)))  # every call makes the clock go on by one
    assert len(calls) == 8
    assert capsys.readouterr().out.split() == ["ready", "4.0", "6.0"]


def test_serve_stops_at_an_unknown_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("stop\nrun 3\n"))
    serve(lambda: pytest.fail("nothing was asked for"))
    assert capsys.readouterr().out == "ready\n"


def test_a_program_that_serves_is_timed_from_end_to_end(tmp_path):
    log = tmp_path / "log"
    served = Contender("real", [sys.executable, "-c", "from minicnn import bench; bench.serve(lambda: sum(range(99)))"])
    found = alternate([served, scripted("scripted", 0.01, log)], rounds=3, seconds=1e-4)
    assert len(found["real"].rounds) == 3
    assert all(value > 0 for value in found["real"].rounds)
    assert_all_gone(log)


def test_median_and_spread_are_order_statistics():
    shuffled = [7.0, 1.0, 15.0, 3.0, 9.0, 11.0, 2.0, 14.0, 5.0, 13.0, 4.0, 8.0, 10.0, 6.0, 12.0]
    timing = Timing("a", shuffled)
    assert timing.median == 8
    assert timing.spread == (4, 12)  # holds the median with 1 - 2 P(Binomial(15, 1/2) <= 3) = 96.5 %
    assert timing.rounds == shuffled
    assert Timing("even", [4.0, 1.0, 2.0, 3.0]).median == 2.5


@pytest.mark.parametrize("n", range(1, 6))
def test_few_rounds_spread_over_all_of_them(n):
    assert Timing("a", [float(i) for i in range(n)]).spread == (0, n - 1)


@pytest.mark.parametrize("n", [6, 10, 15, 20, 50, 101])
def test_the_spread_holds_the_median_with_about_95_percent(n):
    from math import comb

    low, high = Timing("a", [float(i) for i in range(n)]).spread
    assert low + high == n - 1
    missed = 2 * sum(comb(n, k) for k in range(int(low) + 1)) / 2**n
    assert 0.935 <= 1 - missed <= 0.985


READY = "import sys; print('ready', flush=True); "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit(3)", r"contender 'bad' stopped \[exit status 3\]"),
        ("print('hello')", r"contender 'bad' answered 'hello' instead of 'ready' \[exit status 0\]"),
        (READY, r"contender 'bad' stopped \[exit status 0\]"),
        (READY + "input(); sys.exit(4)", r"contender 'bad' stopped \[exit status 4\]"),
        (READY + "input(); print('soon')", r"contender 'bad' answered 'soon' instead of seconds"),
        (READY + "[(input(), print(1.0, flush=True)) for _ in range(4)]; sys.exit(5)", r"'bad' stopped .*status 5"),
    ],
    ids=["at once", "no greeting", "after its greeting", "in its first turn", "no number", "in its first round"],
)
def test_a_contender_that_fails_is_named_and_the_others_are_closed(text, message, tmp_path):
    log = tmp_path / "log"
    with pytest.raises(RuntimeError, match=f"^bench: .*{message}") as error:
        alternate([scripted("good", 0.01, log), program("bad", text)], rounds=4, seconds=0.01)
    assert error.value.__suppress_context__ or error.value.__context__ is None  # one error, not a chain
    assert lines(log)[-1] == "good end"
    assert_all_gone(log)


def test_a_contender_that_does_not_listen_is_killed(tmp_path):
    log = tmp_path / "pid"
    text = f"import os, time; open({str(log)!r}, 'w').write(f'a pid {{os.getpid()}}'); print('no', flush=True); "
    with pytest.raises(RuntimeError, match=r"'deaf' answered 'no' instead of 'ready' \[exit status -9\]"):
        alternate([program("deaf", text + "time.sleep(60)")], rounds=1)
    assert_all_gone(log)


def test_an_executable_that_is_missing_is_named_with_its_contender(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(RuntimeError, match=r"^bench: contender 'ghost' cannot be started: .*'no-such-program'"):
        alternate([scripted("good", 0.01, log), Contender("ghost", ["no-such-program"])])
    assert lines(log) == ["good end"]
    assert_all_gone(log)


def test_misuse_is_named_before_anything_starts(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(ValueError, match=r"bench: contenders must have different names \[names=\['a', 'a'\]\]"):
        alternate([scripted("a", 1.0, log), scripted("a", 1.0, log)])
    with pytest.raises(ValueError, match="bench: rounds must be at least 1, got 0"):
        alternate([scripted("a", 1.0, log)], rounds=0)
    assert not log.exists()


def test_a_contender_that_never_answers_is_ended():
    start = time.monotonic()
    hangs = "print('ready', flush=True); import time; time.sleep(600)"
    contender = Contender("stuck", [sys.executable, "-S", "-c", hangs], patience=1.0)
    with pytest.raises(RuntimeError, match="'stuck' did not answer in 1 s"):
        alternate([contender], rounds=1, seconds=0.1)
    assert time.monotonic() - start < 30
