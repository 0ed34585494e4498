"""Progress: lines with the time left when there is no terminal, a bar when there is one."""

import io
import re

import pytest

from minicnn.training import Bar, Lines, Silent, reporter
from minicnn.training.progress import duration


def test_lines_appear_now_and_then_with_the_time_left():
    now = [0.0]
    stream = io.StringIO()
    lines = Lines(stream, every=10, clock=lambda: now[0])
    lines.begin(total=110, done=10)
    for done in range(11, 61):
        now[0] += 1.0
        lines.update(done, f"loss {done}")
    lines.note("epoch 1")
    lines.end()
    written = stream.getvalue().splitlines()
    assert len(written) == 6 and written[-1] == "epoch 1"
    assert written[0] == "18 % (20/110 steps, 1:30 left) loss 20"
    assert written[4] == "54 % (60/110 steps, 0:50 left) loss 60"


def test_a_bar_shows_percentage_and_notes():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    bar = Bar(stream)
    bar.note("before")
    bar.begin(10, 0)
    bar.update(5, "loss [red]0.5")
    bar.note("epoch 1 [b]")
    bar.update(10, "loss 0.4")
    bar.end()
    bar.end()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert text.startswith("before\n") and "100 %" in text and "epoch 1 [b]" in text


def test_the_kind_follows_the_terminal(monkeypatch):
    for tty, kind in ((True, Bar), (False, Lines)):
        monkeypatch.setattr("sys.stderr", type("Stream", (io.StringIO,), {"isatty": lambda self, tty=tty: tty})())
        assert isinstance(reporter("auto"), kind)
    assert isinstance(reporter("none"), Silent)
    own = Silent()
    assert reporter(own) is own
    with pytest.raises(ValueError, match="progress: expected 'auto', 'bar', 'lines' or 'none', got 'loud'"):
        reporter("loud")


def test_durations():
    assert [duration(s) for s in (0, 9.6, 75, 3700)] == ["0:00", "0:10", "1:15", "1:01:40"]
