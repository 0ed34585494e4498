"""The process that runs a student's file: loads it, and calls one function for whoever is at the other end of a pipe.

``python runner.py FILE FUNCTION``. What the file prints goes to standard error; the pipe of results is out of its reach
unless it looks for it. Verdicts are made at the other end. Nothing of minicnn is imported here: it starts quickly, and
the solutions are not at hand.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO


def _neighbour(name: str) -> Any:
    """A module beside this file, without the package around it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"{name}.py is missing beside {__file__}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wire = _neighbour("wire")


def main(path: str, function: str) -> None:
    """Serve calls until the pipe is closed."""
    requests, replies = _pipes()
    try:
        namespace: dict[str, Any] = {"__name__": "answer", "__file__": path}
        exec(compile(Path(path).read_bytes(), path, "exec"), namespace)  # noqa: S102 - this is what grading is
        answer = namespace[function]
    except BaseException as error:  # noqa: BLE001 - sys.exit in the file too
        wire.send(replies, _failure(error, path))
        return
    wire.send(replies, {"ready": True})
    while True:
        try:
            args, kwargs = wire.receive(requests)
        except EOFError:
            return
        try:
            result = answer(*args, **kwargs)
            sys.stdout.flush()
            wire.send(replies, {"result": result, "args": args})
        except BaseException as error:  # noqa: BLE001
            wire.send(replies, _failure(error, path))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, moved away: the file gets an empty input, and its output goes with its errors."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return requests, replies


def _failure(error: BaseException, path: str) -> dict[str, Any]:
    """Type, message and the last line of the student's file that was involved."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    line = frames[-1].lineno if frames else None
    text = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    code = text[line - 1].strip() if line and line <= len(text) else ""
    return {"error": type(error).__name__, "message": str(error), "line": line, "code": code}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
