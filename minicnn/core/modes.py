"""What the current thread is doing: recording a graph or not, recomputing a segment or not."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _State(threading.local):
    grad: bool = True
    segment: Any = None  # the checkpointed segment that records or replays, see core/recompute.py
    recomputing: bool = False
    autocast: Any = None  # the region of mixed precision, see ops/autocast.py


state = _State()


class _GradMode:
    """Context manager and decorator that sets whether operations are recorded."""

    enabled: bool

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(state.grad)
        state.grad = self.enabled

    def __exit__(self, *exc: object) -> None:
        state.grad = self._previous.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped


class no_grad(_GradMode):  # noqa: N801 - PyTorch's spelling
    """Record nothing inside: ``with mc.no_grad(): ...`` or ``@mc.no_grad()``."""

    enabled = False


class enable_grad(_GradMode):  # noqa: N801 - PyTorch's spelling
    """Record again inside a ``no_grad`` block."""

    enabled = True


class as_given:  # noqa: N801 - beside the two above
    """Compute in the dtypes that inputs have, or in the region of mixed precision that is given."""

    def __init__(self, autocast: Any = None) -> None:
        self._autocast = autocast

    def __enter__(self) -> None:
        self._before, state.autocast = state.autocast, self._autocast

    def __exit__(self, *exc: object) -> None:
        state.autocast = self._before


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.grad


def recomputing() -> bool:
    """Whether a checkpointed segment is being run again for its saved values (side effects must stay silent)."""
    return state.recomputing
