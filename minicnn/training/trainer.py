"""The trainer: epochs of steps, with a log, pictures, checkpoints, and a resume that loses not one bit.

It knows a model (callable, ``state_dict``), an optimiser, a loss and loaders, and nothing about what they compute.
Everything a run depends on is in its checkpoint: weights, optimiser, schedule, random streams, the loader's place in
the epoch, running means, the length of the log. A run that is killed and resumed takes the same steps as one that
was left alone.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks, rng
from minicnn.core.modes import no_grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.training import environment
from minicnn.training.checkpoints import CheckpointFile
from minicnn.training.curves import plot_curves
from minicnn.training.interrupts import Interrupts, TrainingInterrupted
from minicnn.training.logs import RunLog
from minicnn.training.progress import Reporter, duration, reporter
from minicnn.training.state import Stateful, check_same_run, place_of, undisturbed

_SECONDS_BETWEEN_PICTURES = 30.0

Metric = Callable[[NDArray[Any], NDArray[Any]], float]
Row = dict[str, Any]


class Trainer:
    """Trains a model.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    loss : callable
        ``loss(model(inputs), targets) -> Tensor`` of one number, the mean over the batch.
    metrics : mapping of name to callable, optional
        ``metric(outputs, targets) -> float`` on arrays, a mean over items. In training they are averaged over batches
        as the model changes; in evaluation they see all outputs at once.
    schedule : optional
        Object with ``step()``, called after every epoch, or after every step with ``schedule_per="step"``.
        ``ReduceLROnPlateau`` is given the epoch's ``eval_loss``, or its ``train_loss`` without an evaluation.
    out : path, optional
        Folder of the run: ``checkpoint.npz`` and the one before, ``log.jsonl``, ``metrics.csv``, ``curves.png``.
        Without it nothing is written.
    checkpoint_every : int, optional
        Steps between checkpoints inside an epoch; one is written at the start and after each epoch in any case.
    log_every : int, optional
        Steps between ``"step"`` records in the log.
    callbacks : sequence of callable
        ``callback(event, trainer)`` with event ``"step"``, ``"epoch"`` or ``"end"``, before the checkpoint of that
        moment is written.
    also : mapping of name to Stateful
        More that belongs to the run's state: an average of the weights, a stateful callback.
    config : dict, optional
        Plain values that identify the run (recipe, preset, seed); a resume under another config is refused.
    progress : "auto", "bar", "lines", "none", or a Reporter
    before_step : callable, optional
        Called with the trainer between backward and the optimiser's step: clip gradients here.
    tensorboard : bool
        Also write TensorBoard events where ``tensorboardX`` is installed.
    curves : bool
        Draw ``curves.png`` at the end, and every half minute on the way.

    Attributes
    ----------
    epoch, step : int
        Epochs and steps finished.
    history : list of dict
        One row per epoch: ``epoch``, ``step``, ``lr``, ``train_loss``, ``train_<metric>``, ``eval_...``, ``seconds``.

    Notes
    -----
    For a step of another kind (two networks, a closure) subclass and override :meth:`train_step`.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Any, Tensor], Tensor],
        *,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Any = None,
        schedule_per: str = "epoch",
        out: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        log_every: int | None = None,
        callbacks: Sequence[Callable[[str, "Trainer"], None]] = (),
        also: Mapping[str, Stateful] | None = None,
        config: Mapping[str, Any] | None = None,
        progress: str | Reporter = "auto",
        before_step: Callable[["Trainer"], None] | None = None,
        tensorboard: bool = False,
        curves: bool = True,
    ) -> None:
        if schedule_per not in ("epoch", "step"):
            raise checks.value_error("Trainer", f"schedule_per must be 'epoch' or 'step', got {schedule_per!r}")
        if schedule_per == "step" and getattr(schedule, "takes_metric", False):
            message = f"{type(schedule).__name__} goes by an epoch's loss: schedule_per must be 'epoch'"
            raise checks.value_error("Trainer", message)
        for name, every in (("checkpoint_every", checkpoint_every), ("log_every", log_every)):
            if every is not None and every < 1:
                raise checks.value_error("Trainer", f"{name} must be at least 1, got {every}")
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.metrics = dict(metrics or {})
        self.schedule, self.schedule_per = schedule, schedule_per
        self.checkpoint_every, self.log_every = checkpoint_every, log_every
        self.callbacks, self.before_step = list(callbacks), before_step
        self.config, self.curves = dict(config or {}), curves
        self.progress = reporter(progress)
        self.out = None if out is None else Path(out)
        self.file = None if self.out is None else CheckpointFile(self.out / "checkpoint.npz")
        self.log = None if self.out is None else RunLog(self.out, tensorboard=tensorboard)
        self.epoch = self.step = 0
        self.history: list[Row] = []
        self.seconds = 0.0
        self._running: dict[str, float] = {}
        self._place: Any = None  # of the training loader, after the last finished step
        self._begun: Any = None  # the loader of an epoch that is begun and not finished
        self._saved_step: int | None = None
        self._clock = self._drawn = time.monotonic()
        self._environment: dict[str, str] = {}
        self._interrupts = Interrupts()
        self._parts: dict[str, Stateful] = {"model": model, "optimizer": optimizer}
        if schedule is not None:
            self._parts["schedule"] = schedule
        for name, part in (also or {}).items():
            self._parts[f"also.{name}"] = part

    # -- a run --------------------------------------------------------------------------------------------------

    def fit(self, loader: Any, epochs: int, *, evaluate: Any = None, resume: bool = False) -> list[Row]:
        """Train until ``epochs`` epochs are finished, counting those of earlier calls and of a resumed run.

        Parameters
        ----------
        loader : iterable of (inputs, targets)
            Sized; for a bit-exact resume with ``state_dict`` and ``load_state_dict``, as ``DataLoader`` has.
        epochs : int
        evaluate : iterable of (inputs, targets), optional
            Held-out data, measured after every epoch; this never disturbs the training.
        resume : bool
            Continue from the checkpoint in ``out``; if there is none, start from the beginning and say so.

        Returns
        -------
        list of dict
            ``history``.

        Raises
        ------
        TrainingInterrupted
            After Ctrl-C, with the state saved.
        FloatingPointError
            The loss is NaN or infinite; the last checkpoint is from before.
        OSError
            A checkpoint or the log cannot be written (a full disk); the last good checkpoint is kept.
        ValueError
            No checkpoint is readable, or it does not fit this model, loader or config.
        """
        if not isinstance(epochs, int | np.integer):
            raise checks.type_error("fit", f"epochs must be an int, got {epochs!r}")
        self._clock = self._drawn = time.monotonic()
        self._environment = environment.describe()
        total = epochs * len(loader)
        try:
            if not (resume and self._resume(loader)):
                self._begin(loader)
            if self.log is not None and self.log.lacks_tensorboard:
                self.progress.note("no TensorBoard events are written: tensorboardX is not installed")
            self.progress.begin(total, self.step)
            with self._interrupts:
                while self.epoch < epochs:
                    self._train_epoch(loader)
                    self._finish_epoch(loader, evaluate)
                    self._stop_if_asked()
            self._call("end")
            self._draw()
        except TrainingInterrupted:
            self._draw()
            raise
        finally:
            self.progress.end()
            if self.log is not None:
                self.log.close()
        return self.history

    def train_step(self, batch: Sequence[Any]) -> tuple[float, Any]:
        """One update on one batch.

        Returns
        -------
        loss : float
        output : what the model returned
        """
        inputs, targets = (self.to_tensor(a) for a in batch)
        output = self.model(inputs)
        loss = self.loss(output, targets)
        self.optimizer.zero_grad()
        loss.backward()
        value = self._finite(float(loss.item()))  # which waits for a GPU: after backward, as late as stops the update
        if self.before_step is not None:
            self.before_step(self)
        self.optimizer.step()
        return value, output

    def evaluate(self, loader: Any) -> Row:
        """Loss and metrics on held-out data, in evaluation mode and without gradients.

        Random streams, the loader's place and the model's mode are put back: training goes on as if nothing happened.

        Parameters
        ----------
        loader : iterable of (inputs, targets)

        Returns
        -------
        dict
            ``loss`` and every metric.
        """
        total = count = 0.0
        outputs: list[NDArray[Any]] = []
        targets: list[NDArray[Any]] = []
        with undisturbed(self.model, loader), no_grad():
            for batch in loader:
                inputs, target = (self.to_tensor(a) for a in batch)
                output = self.model(inputs)
                n = len(batch[0])
                total, count = total + n * float(self.loss(output, target).item()), count + n
                if self.metrics:
                    outputs.append(output.numpy())
                    targets.append(np.asarray(batch[1]))
                if self._interrupts.asked:
                    break
        self._stop_if_asked()  # only here are the random streams what the checkpoint must hold
        if not count:
            raise checks.value_error("evaluate", "the loader gave no items")
        row: Row = {"loss": total / count}
        if self.metrics:
            joined = np.concatenate(outputs), np.concatenate(targets)
            row |= {name: float(metric(*joined)) for name, metric in self.metrics.items()}
        return row

    def to_tensor(self, array: Any) -> Tensor:
        """An array of a batch as a Tensor on the model's device; on the CPU it is not copied."""
        if isinstance(array, Tensor):
            return array
        first = next(iter(self.model.parameters()), None)
        if first is None:
            message = "the model has no parameters, so its device is unknown; let the loader give Tensors"
            raise checks.value_error("Trainer", message)
        return Tensor(np.asarray(array)) if first.device == "cpu" else tensor(array, device=first.device)

    # -- parts of a run -----------------------------------------------------------------------------------------

    def _begin(self, loader: Any) -> None:
        """Make the folder ready for a new run: a run killed before its first checkpoint can be resumed too."""
        if self._running or (self._begun is not None and loader is self._begun):
            self._go_back(loader)  # an error or Ctrl-C left the epoch unfinished
        else:
            self._place = place_of(loader)
        if self.epoch or self.step:  # fit was called again to train longer
            if self.log is not None:
                self.log.start(self.log.position(), self.step)
            return
        if self.log is not None:
            if self.file is not None and self.file.path.exists():
                self.progress.note(f"starting over: the earlier run in {self.out} is replaced")
            self.log.start(0)
        self.save(keep_previous=False)

    def _go_back(self, loader: Any) -> None:
        """Put the loader after the last finished step; the epoch starts again where a loader cannot say its place."""
        if self._place is not None:
            loader.load_state_dict(self._place)
        elif self._running:
            self.progress.note("the loader cannot say where it stood: the unfinished epoch starts again")
            self._running = {}

    def _train_epoch(self, loader: Any) -> None:
        self._begun = loader
        self.model.train()
        for batch in loader:
            value, output = self.train_step(batch)
            self.step += 1
            self._place = place_of(loader)
            if self.schedule is not None and self.schedule_per == "step":
                self.schedule.step()
            self._count(value, output, batch)
            self.progress.update(self.step, f"epoch {self.epoch + 1}  loss {value:.4f}")
            if self.log is not None and self.log_every and self.step % self.log_every == 0:
                record = {"event": "step", "step": self.step, "epoch": self.epoch + 1, "loss": value, "lr": self.lr}
                self.log.write(record)
            self._call("step")
            self._stop_if_asked()
            if self.checkpoint_every and self.step % self.checkpoint_every == 0:
                self.save()

    def _finish_epoch(self, loader: Any, evaluate: Any) -> None:
        if not self._running:
            raise checks.value_error("fit", "the training loader gave no batches", batches=len(loader))
        count = self._running["count"]
        row: Row = {"epoch": self.epoch + 1, "step": self.step, "lr": self.lr}
        row |= {f"train_{name}": total / count for name, total in self._running.items() if name != "count"}
        if evaluate is not None:
            row |= {f"eval_{name}": value for name, value in self.evaluate(evaluate).items()}
        self._tick()
        row["seconds"] = round(self.seconds, 3)
        if self.schedule is not None and self.schedule_per == "epoch":
            if getattr(self.schedule, "takes_metric", False):
                self.schedule.step(row.get("eval_loss", row["train_loss"]))
            else:
                self.schedule.step()
        self.history.append(row)
        self.epoch += 1
        self._running, self._begun = {}, None
        self._place = place_of(loader)
        self.progress.note(_line(row))
        self._call("epoch")
        if self.log is not None:
            self.log.write({"event": "epoch", **row})
        self.save()
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN_PICTURES:
            self._draw()

    def _count(self, value: float, output: Any, batch: Sequence[Any]) -> None:
        """Add a batch to the epoch's means."""
        n = len(batch[0])
        values = {"count": 1.0, "loss": value}
        if self.metrics:
            array, targets = output.detach().numpy(), np.asarray(batch[1])
            values |= {name: float(metric(array, targets)) for name, metric in self.metrics.items()}
        for name, v in values.items():
            self._running[name] = self._running.get(name, 0.0) + n * v

    @property
    def lr(self) -> float:
        """Learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0].get("lr", math.nan))

    def _finite(self, value: float) -> float:
        if math.isfinite(value):
            return value
        saved = self._saved_step
        last = "no checkpoint was written" if saved is None else f"the last checkpoint is of step {saved}"
        where = f" [path={str(self.file.path)!r}]" if self.file is not None else ""
        moment = f"step {self.step + 1} (epoch {self.epoch + 1})"
        raise FloatingPointError(f"fit: the loss is {value} at {moment}; {last}; try a lower rate{where}")

    def _draw(self) -> None:
        """Learning curves; a drawing takes longer than a small epoch, so not after each."""
        if self.curves and self.out is not None and self.history:
            plot_curves(self.history, self.out / "curves.png")
        self._drawn = time.monotonic()

    def _call(self, event: str) -> None:
        for callback in self.callbacks:
            callback(event, self)

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now

    def _stop_if_asked(self) -> None:
        if not self._interrupts.asked:
            return
        saved = "nothing was saved: the run has no folder"
        if self.file is not None:
            self.save()
            saved = f"the state is saved; resume to continue [path={str(self.file.path)!r}]"
        raise TrainingInterrupted(f"training was stopped after step {self.step} (epoch {self.epoch + 1}); {saved}")

    # -- checkpoints --------------------------------------------------------------------------------------------

    def save(self, *, keep_previous: bool = True) -> None:
        """Write the checkpoint now (between two steps). Without ``out`` this does nothing.

        Raises
        ------
        OSError
            It cannot be written; the last good one is kept.
        """
        if self.file is None or self.log is None:
            return
        self._tick()
        state = {
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "rng": rng.get_state(),
            "loader": self._place,
            "epoch": self.epoch,
            "step": self.step,
            "running": self._running,
            "history": self.history,
            "seconds": self.seconds,
            "log": self.log.position(),
            "config": self.config,
            "environment": self._environment or environment.describe(),
        }
        self.file.save(state, keep_previous=keep_previous)
        self._saved_step = self.step

    def _resume(self, loader: Any) -> bool:
        """Load the checkpoint; False if there is none yet."""
        if self.file is None or self.log is None:
            raise checks.value_error("fit", "resume needs a run folder: pass out= to Trainer")
        try:
            state, notes = self.file.load()
        except FileNotFoundError:
            self.progress.note(f"resume: no checkpoint in {self.file.path.parent} yet; starting from the beginning")
            return False
        for note in notes:
            self.progress.note(f"resume: {note}")
        check_same_run(state, self._parts, self.config, str(self.file.path))
        changed = environment.differences(state["environment"], self._environment)
        for line in changed:
            self.progress.note(f"resume: not bit-exact, {line}")
        for name, part in self._parts.items():
            part.load_state_dict(state["parts"][name])
        rng.set_state(state["rng"])
        self.epoch, self.step, self._saved_step = state["epoch"], state["step"], state["step"]
        self._running, self.history = dict(state["running"]), list(state["history"])
        self._place, self.seconds = state["loader"], state["seconds"]
        self._go_back(loader)
        lost = self.log.start(state["log"], self.step)
        if lost:
            self.progress.note(f"resume: {lost}")
        self.progress.note(f"resume: after step {self.step} (epoch {self.epoch + 1})")
        self.log.write({"event": "resume", "step": self.step, "epoch": self.epoch, "differences": changed})
        return True


def _line(row: Row) -> str:
    """A row of the history as text."""
    names: Iterable[str] = (k for k in row if k.startswith(("train_", "eval_")))
    values = "  ".join(f"{name} {row[name]:.4f}" for name in names)
    return f"epoch {row['epoch']}  {values}  lr {row['lr']:.2g}  {duration(row['seconds'])}"
