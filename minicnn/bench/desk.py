"""A contender that serves many works: requests and answers are lines of JSON.

The parent asks ``{"do": "prepare", "key": ..., ...}`` once for each work and ``{"do": "run", "key": ..., "count": N}``
in turns. So a library is imported once, however many layers and passes are measured. A process that is not asked
waits for a line on its standard input, that is, it sleeps.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from minicnn.bench import peers
from minicnn.bench.alternate import Contender, Process

Answer = dict[str, Any]
PAUSE = 0.01
PATIENCE = 120.0  # seconds for an answer of a GPU's process, compiling within: a kernel that hangs never ends


class Cannot(Exception):  # noqa: N818 - not an error of the program: a work that this contender does not offer
    """The contender does not do what was asked, and says why."""


class WorkError(RuntimeError):
    """The contender tried what was asked, and failed."""


def contender(
    name: str, provider: str, threads: int, spin: bool = False, device: str = "cpu", tf32: bool = False
) -> Contender:
    """The contender of the works that ``provider`` ("module:function") prepares, with so many threads, on a device.

    On a GPU ``tf32`` lets every library round factors of float32 products to 10 bits; CuPy reads it from
    ``CUPY_TF32``, and so do our wrappers of the others.

    Waiting threads sleep (``OMP_WAIT_POLICY=passive``): a contender whose turn is over would otherwise keep its cores
    busy for a while of the next one's turn. With ``spin`` they do as the library has it, and a turn begins ``PAUSE``
    seconds late, when the others' threads have gone to sleep.
    """
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment: dict[str, str | None] = {**dict.fromkeys(names, count), "MINICNN_QUIET": "1"}
    environment["CUPY_TF32"] = str(int(tf32))
    environment["OMP_WAIT_POLICY"] = None if spin else "passive"
    environment |= peers.ENVIRONMENT.get(name, {})
    asked = name if device == "cpu" else f"{name}@{device}"
    command = [sys.executable, "-m", "minicnn.bench.worker", provider, asked, count]
    return Contender(name, command, environment, PATIENCE if device == "cuda" else None)


class Desk:
    """The parent's end: asks, and turns refusals and failures into exceptions.

    A process that dies is reported once and started anew for the next request; so is one that says that after this
    failure it can do nothing any more. ``started`` counts them: what an earlier one had prepared is gone.
    """

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.contender = contender
        self._pause = 0.0 if contender.environment.get("OMP_WAIT_POLICY") == "passive" else PAUSE
        self._process: Process | None = None
        self.started = 0

    def ask(self, do: str, **request: Any) -> Answer:
        """The answer to one request.

        Raises
        ------
        Cannot
            The contender does not do that; the message says why.
        WorkError
            It failed, or its process died.
        """
        if do == "run":
            time.sleep(self._pause)
        try:
            if self._process is None:
                self.started += 1
                self._process = Process(self.contender)
            reply: Answer = json.loads(self._process.ask(json.dumps({"do": do, **request})))
        except (RuntimeError, ValueError) as error:
            self.close()
            raise WorkError(str(error)) from None
        if "cannot" in reply:
            raise Cannot(reply["cannot"])
        if reply.get("over"):
            self.close()
        if "error" in reply:
            raise WorkError(f"bench: contender {self.name!r} failed in {do!r}: {reply['error']}")
        answer: Answer = reply["answer"]
        return answer

    def runner(self, key: str) -> Callable[[int], float]:
        """The work of that key as a function: repetitions to seconds."""
        return lambda count: float(self.ask("run", key=key, count=count)["seconds"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None


def answer(handlers: Mapping[str, Callable[..., Answer]]) -> None:
    """The contender's end: answer requests until the input ends.

    What a library prints goes to standard error, so that it cannot be taken for an answer. A handler ``alive`` is asked
    after each failure: where it fails too, as everything does on a GPU after an illegal access, the answer says so.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        _say(out, "ready")
        for line in sys.stdin:
            _say(out, json.dumps(_handle(handlers, json.loads(line))))


def _handle(handlers: Mapping[str, Callable[..., Answer]], request: dict[str, Any]) -> Answer:
    do = request.pop("do")
    try:
        return {"answer": handlers[do](**request)}
    except Cannot as refusal:
        return {"cannot": str(refusal)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises becomes a row of the report
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("minicnn"):
            return {"cannot": f"not measured: {error.name} is not installed"}
        return {"error": f"{type(error).__name__}: {error}", "over": not _alive(handlers)}


def _alive(handlers: Mapping[str, Callable[..., Answer]]) -> bool:
    try:
        handlers.get("alive", dict)()
    except Exception:  # noqa: BLE001 - idem
        return False
    return True


def _say(out: IO[str], text: str) -> None:
    out.write(f"{text}\n")
    out.flush()
