"""Ctrl-C without a torn state: the first one asks, the second one insists."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run between two steps, with its state saved.

    Attributes
    ----------
    exit_code : int
        130, what a shell expects of a command that Ctrl-C ended.
    """

    exit_code = 130


class Interrupts:
    """While active, the first SIGINT only sets ``asked``; the next one raises ``KeyboardInterrupt`` as usual.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None
        self._installed = False

    def __enter__(self) -> Self:
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before if self._before is not None else signal.default_int_handler)
            self._installed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
