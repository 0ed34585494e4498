"""The trainer: means, evaluation that disturbs nothing, errors that lose nothing."""

import csv
import errno
import io
import math
import os
import signal
import sys
import types

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, optim
from minicnn.core import rng
from minicnn.data import ArrayDataset, DataLoader
from minicnn.metrics import accuracy
from minicnn.training import Lines, Trainer, TrainingInterrupted, read_checkpoint, read_log
from tests.training.task import EPOCHS, cross_entropy, fingerprint, make


def test_it_learns_and_writes_its_files(tmp_path):
    trainer, train, held_out = make(tmp_path, curves=True)
    history = trainer.fit(train, 5, evaluate=held_out)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint.npz", "checkpoint.previous.npz", "curves.png", "log.jsonl", "metrics.csv"
    }  # fmt: skip
    records = read_log(tmp_path / "log.jsonl")
    assert [r["step"] for r in records if r["event"] == "step"] == list(range(1, 41))
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["eval_accuracy"]) for r in rows] == [r["eval_accuracy"] for r in history]


def test_means_weigh_the_smaller_last_batch_by_its_items():
    model = nn.Linear(1, 2)
    with mc.no_grad():
        model.weight.zero_()
    seen = []

    def loss(output, targets):
        value = (output * 0.0).sum() + float(np.mean(targets.numpy()))
        seen.append(len(targets))
        return value

    data = ArrayDataset(np.zeros((5, 1), np.float32), np.array([1, 1, 1, 1, 0]))
    trainer = Trainer(
        model, optim.SGD(model.parameters(), lr=0.1), loss, progress="none", metrics={"accuracy": accuracy}
    )
    row = trainer.fit(DataLoader(data, 2), 1, evaluate=DataLoader(data, 4))[0]
    assert seen == [2, 2, 1, 4, 1]
    assert row["train_loss"] == pytest.approx(0.8) and row["eval_loss"] == pytest.approx(0.8)
    assert row["lr"] == 0.1


def test_the_run_is_the_plain_loop_written_out():
    """The same steps by hand: forward, backward, update, schedule."""
    trainer, train, _ = make()
    trainer.fit(train, 2)
    by_hand, loader, _ = make()
    model, optimizer, schedule = by_hand.model, by_hand.optimizer, by_hand.schedule
    model.train()
    for _ in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(mc.tensor(images)), mc.tensor(labels)).backward()
            optimizer.step()
            schedule.step()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), trainer.model.state_dict()[name].numpy(), err_msg=name)


def test_evaluation_does_not_disturb_training():
    plain, train, _ = make()
    plain.fit(train, 2)
    state = fingerprint(plain)

    class Loud(nn.Module):
        """A layer that draws in evaluation too."""

        def forward(self, x):
            rng.stream("noise").bits(3)
            return x

    watched, train, held_out = make(callbacks=[lambda event, t: t.evaluate(held_out) if event == "step" else None])
    watched.model.append(Loud()) if hasattr(watched.model, "append") else watched.model.add_module("loud", Loud())
    plain.model.append(Loud()) if hasattr(plain.model, "append") else plain.model.add_module("loud", Loud())
    before = rng.get_state()
    watched.evaluate(train)  # the training loader itself: its place must not move
    assert rng.get_state() == before and watched.model.training
    watched, train, held_out = make(callbacks=[lambda event, t: t.evaluate(train) if event == "step" else None])
    watched.fit(train, 2)
    assert fingerprint(watched) == state


def test_fit_goes_on_where_it_ended():
    once, train, held_out = make()
    once.fit(train, 3, evaluate=held_out)
    expected = fingerprint(once)
    twice, train, held_out = make()
    for epochs in (1, 2, 2, 3):
        twice.fit(train, epochs, evaluate=held_out)
    assert fingerprint(twice) == expected


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_schedule_that_goes_by_a_metric_gets_the_loss(evaluated):
    trainer, train, held_out = make()
    seen, plateau = [], optim.ReduceLROnPlateau(trainer.optimizer, factor=0.5, patience=0, threshold=1e9)
    step = plateau.step
    plateau.step = lambda metric: (seen.append(metric), step(metric))
    trainer.schedule, trainer.schedule_per = plateau, "epoch"
    history = trainer.fit(train, 3, evaluate=held_out if evaluated else None)
    assert seen == [row["eval_loss" if evaluated else "train_loss"] for row in history]
    assert [row["lr"] for row in history] == [0.01, 0.01, 0.005]


def test_a_schedule_that_goes_by_a_metric_is_refused_at_every_step():
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="^Trainer: ReduceLROnPlateau goes by an epoch's loss"):
        Trainer(model, optimizer, cross_entropy, schedule=optim.ReduceLROnPlateau(optimizer), schedule_per="step")


@pytest.mark.parametrize(("event", "step"), [("step", 1), ("step", 11), ("step", 16), ("epoch", 16)])
def test_fit_goes_on_after_an_error_in_a_callback(event, step):
    alone, train, held_out = make()
    alone.fit(train, EPOCHS, evaluate=held_out)

    def fail(now, t):
        if now == event and t.step == step:
            t.callbacks.remove(fail)
            raise RuntimeError("once")

    trainer, train, held_out = make(callbacks=[fail])
    with pytest.raises(RuntimeError, match="once"):
        trainer.fit(train, EPOCHS, evaluate=held_out)
    trainer.fit(train, EPOCHS, evaluate=held_out)
    assert fingerprint(trainer) == fingerprint(alone)


def test_fit_goes_on_after_an_error_in_evaluation():
    alone, train, held_out = make()
    alone.fit(train, 2, evaluate=held_out)
    trainer, train, held_out = make()
    with pytest.raises(ValueError, match="gave no items"):
        trainer.fit(train, 1, evaluate=[])
    trainer.fit(train, 2, evaluate=held_out)
    assert fingerprint(trainer) == fingerprint(alone)


@pytest.mark.parametrize("step", [0, 5])
def test_fit_after_a_loss_that_was_not_finite_takes_that_batch_again(step):
    trainer, train, _ = make()
    seen, plain, train_step = [], trainer.loss, trainer.train_step
    trainer.loss = lambda output, targets: plain(output, targets) * (math.nan if trainer.step == step else 1.0)
    trainer.train_step = lambda batch: (seen.append(batch[1].tolist()), train_step(batch))[1]
    with pytest.raises(FloatingPointError):
        trainer.fit(train, 1)
    trainer.loss = plain
    trainer.fit(train, 1)
    assert seen.pop(step) == seen[step] and (trainer.epoch, trainer.step) == (1, 8)
    assert seen == [labels.tolist() for _, labels in make()[1]]


def test_a_loader_without_a_place_starts_the_unfinished_epoch_again():
    trainer, train, _ = make(callbacks=[lambda event, t: 1 / (t.step - 3)])
    batches = list(train)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(batches, 1)
    trainer.callbacks.clear()
    trainer.progress = Lines(io.StringIO())
    trainer.fit(batches, 1)
    assert "starts again" in trainer.progress.stream.getvalue() and trainer.step == 3 + len(batches)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_update(tmp_path):
    trainer, train, _ = make(tmp_path, checkpoint_every=2)
    plain = trainer.loss
    trainer.loss = lambda output, targets: plain(output, targets) * (math.nan if trainer.step == 5 else 1.0)
    with pytest.raises(
        FloatingPointError, match=r"fit: the loss is nan at step 6 \(epoch 1\); the last checkpoint is of step 4"
    ):
        trainer.fit(train, 1)
    assert read_checkpoint(tmp_path / "checkpoint.npz")["step"] == 4
    assert all(np.isfinite(p.numpy()).all() for p in trainer.model.state_dict().values())


def test_the_loss_is_read_when_all_of_backward_is_launched_and_nothing_is_updated_yet(monkeypatch):
    trainer, train, _ = make()
    order = []
    for owner, name in ((mc.Tensor, "item"), (mc.Tensor, "backward"), (type(trainer.optimizer), "step")):
        plain = getattr(owner, name)
        noted = lambda self, name=name, plain=plain: (plain(self), order.append(name))[0]  # noqa: E731
        monkeypatch.setattr(owner, name, noted)
    trainer.train_step(next(iter(train)))
    assert order == ["backward", "item", "step"]


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    trainer, train, held_out = make(tmp_path)
    calls = []

    def fill(event, t):
        if event == "step" and t.step == 6:

            def full(*_):
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr("minicnn.training.checkpoints._write", full)
        calls.append(event)

    trainer.callbacks.append(fill)
    with pytest.raises(
        OSError, match="save_checkpoint: could not write: No space left on device; the last good one is kept"
    ):
        trainer.fit(train, EPOCHS, evaluate=held_out)
    assert read_checkpoint(tmp_path / "checkpoint.npz")["step"] == 3
    monkeypatch.undo()
    resumed, train, held_out = make(tmp_path)
    resumed.fit(train, EPOCHS, evaluate=held_out, resume=True)
    alone, train, held_out = make()
    alone.fit(train, EPOCHS, evaluate=held_out)
    assert fingerprint(resumed) == fingerprint(alone)


@pytest.mark.parametrize("moment", ["step", "evaluation"])
def test_ctrl_c_saves_between_steps_and_the_run_can_be_resumed(tmp_path, moment):
    alone, train, held_out = make()
    alone.fit(train, EPOCHS, evaluate=held_out)
    expected = fingerprint(alone)
    trainer, train, held_out = make(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    if moment == "step":
        trainer.callbacks.append(lambda event, t: os.kill(os.getpid(), signal.SIGINT) if t.step == 11 else None)
    else:
        plain, count = trainer.metrics["accuracy"], []
        loss = trainer.loss

        def interrupting(output, targets):
            if not trainer.model.training and trainer.epoch == 1 and not count:
                count.append(1)
                os.kill(os.getpid(), signal.SIGINT)
            return loss(output, targets)

        trainer.loss, trainer.metrics["accuracy"] = interrupting, plain
    with pytest.raises(
        TrainingInterrupted, match=r"stopped after step \d+ .*the state is saved.*checkpoint\.npz"
    ) as caught:
        trainer.fit(train, EPOCHS, evaluate=held_out)
    assert caught.value.exit_code == 130 and isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert trainer.step == (11 if moment == "step" else 16)
    resumed, train, held_out = make(tmp_path)
    resumed.fit(train, EPOCHS, evaluate=held_out, resume=True)
    assert fingerprint(resumed) == expected


def test_a_second_ctrl_c_insists(tmp_path):
    trainer, train, _ = make(tmp_path)

    def impatient(event, t):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    trainer.callbacks.append(impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(train, EPOCHS)
    assert not isinstance(caught.value, TrainingInterrupted)
    assert read_checkpoint(tmp_path / "checkpoint.npz")["step"] == 0


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved():
    trainer, train, _ = make(callbacks=[lambda event, t: os.kill(os.getpid(), signal.SIGINT)])
    with pytest.raises(TrainingInterrupted, match="nothing was saved: the run has no folder"):
        trainer.fit(train, 1)


def test_tensorboard_goes_on_in_a_second_fit(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append(purge_step)

        def add_scalar(self, name, value, step):
            written.append(step)

        def close(self):
            pass

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    trainer, train, _ = make(tmp_path, tensorboard=True, log_every=None)
    trainer.fit(train, 1)
    trainer.fit(train, 2)
    assert list(dict.fromkeys(written)) == [1, 8, 9, 16]
    with (tmp_path / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


def test_a_missing_tensorboard_is_noted(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    trainer, train, _ = make(tmp_path, tensorboard=True)
    trainer.progress = Lines(io.StringIO())
    trainer.fit(train, 1)
    assert "tensorboardX is not installed" in trainer.progress.stream.getvalue()


def test_lines_report_every_epoch(capsys):
    trainer, train, held_out = make(progress="none")
    stream = io.StringIO()
    trainer.progress = Lines(stream)
    trainer.fit(train, 2, evaluate=held_out)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2  train_loss ") and "eval_accuracy " in lines[1]


@pytest.mark.parametrize("options", [{"schedule_per": "week"}, {"checkpoint_every": 0}, {"log_every": 0}])
def test_misuse_is_named(options):
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=f"^Trainer: {next(iter(options))} must be"):
        Trainer(model, optim.SGD(model.parameters(), lr=0.1), cross_entropy, **options)


def test_epochs_that_are_no_int_are_named():
    trainer, train, _ = make()
    with pytest.raises(TypeError, match="fit: epochs must be an int, got '3'"):
        trainer.fit(train, "3")


def test_a_model_without_parameters_has_no_device():
    trainer, _, held_out = make()
    trainer.model = nn.Flatten()
    with pytest.raises(ValueError, match="Trainer: the model has no parameters, so its device is unknown"):
        trainer.evaluate(held_out)
    x = mc.tensor([1.0])
    assert trainer.to_tensor(x) is x


def test_empty_loaders_are_named():
    trainer, train, _ = make()
    empty = DataLoader(ArrayDataset(np.zeros((0, 1, 8, 8), np.float32), np.zeros(0, int)), 4)
    with pytest.raises(ValueError, match="fit: the training loader gave no batches"):
        trainer.fit(empty, 1)
    with pytest.raises(ValueError, match="evaluate: the loader gave no items"):
        trainer.fit(train, 1, evaluate=empty)
    with pytest.raises(ValueError, match="resume needs a run folder"):
        trainer.fit(train, 2, resume=True)
