"""A student's function as one that can be called here while it runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.testing.exercises import wire

_LINES, _WIDTH = 12, 200  # shown of what the file printed
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class AnswerError(Exception):
    """The student's function raised; the message says what, and in which line."""


class AnswerStopped(BaseException):
    """The student's process ended or ran out of time; no Exception, so that nothing carries on without it."""


class Answer:
    """Calls go to the process, and what the function did to its arguments is done to the caller's.

    Parameters
    ----------
    process : subprocess.Popen
    limit_s : float
        For the message.
    """

    def __init__(self, process: subprocess.Popen[bytes], limit_s: float) -> None:
        self.process, self.limit_s, self.expired = process, limit_s, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        reply = self.exchange((args, kwargs))
        for mine, theirs in zip(args, reply["args"], strict=True):
            if isinstance(mine, np.ndarray) and not np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"):
                mine[...] = theirs
        return reply["result"]

    def exchange(self, message: Any) -> Any:
        """Send a message, unless it is None, and return the reply."""
        if self.process.stdin is None or self.process.stdout is None:
            raise AnswerStopped("the process has no pipes")
        try:
            if message is not None:
                wire.send(self.process.stdin, message)  # type: ignore[arg-type]
            reply = wire.receive(self.process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError) as error:
            if self.expired:
                raise AnswerStopped(f"no result within {self.limit_s:g} s: an endless loop?") from None
            raise AnswerStopped("the process ended in the middle (os._exit, or a crash)") from error
        if "error" in reply:
            raise _error(reply)
        return reply


@contextmanager
def running(source: str, function: str, limit_s: float) -> Iterator[tuple[Answer, Path]]:
    """Start a file in a process of its own, in an empty folder.

    Parameters
    ----------
    source : str
        Text of the file.
    function : str
        What is called.
    limit_s : float
        Seconds for everything; the process is killed then.

    Yields
    ------
    answer : Answer
        Its first :meth:`Answer.exchange` of None says whether the file loads.
    log : pathlib.Path
        What it printed; to be read before the block ends.
    """
    with tempfile.TemporaryDirectory(prefix="minicnn-grade-") as folder:
        path, log = Path(folder) / "answer.py", Path(folder) / "printed.txt"
        path.write_text(source, encoding="utf-8")
        command = [sys.executable, "-u", "-P", str(Path(__file__).with_name("runner.py")), str(path), function]
        environment = os.environ | dict.fromkeys(_THREADS, "1") | {"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - this Python, a neighbour of this file, and a copy of the answer
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment
            )
        answer = Answer(process, limit_s)

        def expire() -> None:
            answer.expired = True
            process.kill()

        timer = threading.Timer(limit_s, expire)
        timer.start()
        try:
            yield answer, log
        finally:
            timer.cancel()
            process.kill()
            process.communicate()


def printed(log: Path) -> str:
    """The first lines of what the file printed."""
    with log.open(encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n")[:_WIDTH] for line in itertools.islice(file, _LINES + 1)]
    return "\n".join(lines[:_LINES] + (["..."] if len(lines) > _LINES else []))


def _error(reply: dict[str, Any]) -> Exception:
    if reply["error"] == "NotImplementedError":
        return NotImplementedError(reply["message"])
    where = f" in line {reply['line']}" if reply["line"] else ""
    code = f", `{reply['code']}`" if reply["code"] else ""
    return AnswerError(f"{reply['error']}{where}{code}: {reply['message']}")
