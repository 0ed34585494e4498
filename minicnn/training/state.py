"""The state of a run beside its weights: what a checkpoint must hold, and what evaluation must put back."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from minicnn.core import checks, rng

_NEEDED = (
    "parts", "rng", "loader", "epoch", "step", "running", "history", "seconds", "log", "config", "environment",
)  # fmt: skip


class Stateful(Protocol):
    """Anything that a checkpoint can hold and restore."""

    def state_dict(self) -> Any:
        """What :meth:`load_state_dict` needs."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Continue where :meth:`state_dict` was taken."""
        ...


def place_of(loader: Any) -> Any:
    """Where a loader stands, or None if it cannot say."""
    return loader.state_dict() if hasattr(loader, "state_dict") else None


@contextlib.contextmanager
def undisturbed(model: Any, loader: Any) -> Iterator[None]:
    """Evaluation mode, and everything as it was afterwards; each evaluation reads the loader's first epoch."""
    training, streams, place = model.training, rng.get_state(), place_of(loader)
    if isinstance(place, dict):
        loader.load_state_dict({**place, "epoch": 0, "batch": 0})
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        if rng.get_state() != streams:
            rng.set_state(streams)
        if isinstance(place, dict):
            loader.load_state_dict(place)


def check_same_run(state: Any, parts: Mapping[str, Any], config: Mapping[str, Any], where: str) -> None:
    """Raise ``ValueError`` unless a checkpoint's content is of a run with these parts and this config."""
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise checks.value_error("resume", f"the checkpoint lacks {', '.join(missing)}", path=where)
    then = state["config"]
    changed = [
        f"{k} was {then.get(k)!r}, is {config.get(k)!r}"
        for k in sorted({*then, *config})
        if then.get(k) != config.get(k)
    ]
    if changed:
        raise checks.value_error("resume", f"the checkpoint is of another run: {'; '.join(changed)}", path=where)
    if set(state["parts"]) != set(parts):
        message = f"the checkpoint holds {sorted(state['parts'])}, this run has {sorted(parts)}"
        raise checks.value_error("resume", message, path=where)
