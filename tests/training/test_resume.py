"""A run that is stopped anywhere and resumed ends with the bits of a run left alone."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minicnn.training import CheckpointFile, Lines, read_log
from tests.training.task import EPOCHS, fingerprint, make

STEPS = EPOCHS * 8


class Killed(BaseException):
    """Stands for SIGKILL: the trainer is given up without a chance to save."""


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    trainer, train, held_out = make(folder)
    trainer.fit(train, EPOCHS, evaluate=held_out)
    return fingerprint(trainer), _log(folder)


def _log(folder):
    """The log without clocks and without the notes of resumes."""
    records = [r for r in read_log(folder / "log.jsonl") if r["event"] != "resume"]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in records]


def _run_until(folder, step, *, workers, resume):
    """Run on from the checkpoint and die after that step, or finish."""

    def die(event, trainer):
        if trainer.step >= step:
            raise Killed

    trainer, train, held_out = make(folder, workers=workers, callbacks=[die])
    try:
        trainer.fit(train, EPOCHS, evaluate=held_out, resume=resume)
    except Killed:
        return None
    return trainer


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stops", [[1], [2, 5], [8], [9], [15, 16, 17], [24], list(range(1, 25, 2))])
def test_killed_and_resumed_equals_left_alone(tmp_path, left_alone, stops, workers):
    for number, step in enumerate(stops):
        assert _run_until(tmp_path, step, workers=workers, resume=number > 0) is None
    trainer = _run_until(tmp_path, 10**9, workers=2 - workers, resume=True)
    expected, log = left_alone
    assert fingerprint(trainer) == expected
    assert _log(tmp_path) == log


def test_resuming_a_finished_run_does_nothing(tmp_path, left_alone):
    for resume in (False, True, True):
        trainer = _run_until(tmp_path, 10**9, workers=0, resume=resume)
        assert fingerprint(trainer) == left_alone[0]


def test_resume_without_a_checkpoint_starts_from_the_beginning_and_says_so(tmp_path, left_alone, capsys):
    trainer, train, held_out = make(tmp_path, progress="lines")
    trainer.fit(train, EPOCHS, evaluate=held_out, resume=True)
    assert "resume: no checkpoint in" in capsys.readouterr().err
    assert fingerprint(trainer) == left_alone[0]


def test_resume_from_the_one_before_when_the_newest_is_damaged(tmp_path, left_alone, capsys):
    _run_until(tmp_path, 11, workers=0, resume=False)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:500])
    trainer, train, held_out = make(tmp_path, progress="lines")
    trainer.fit(train, EPOCHS, evaluate=held_out, resume=True)
    said = capsys.readouterr().err
    assert "corrupt, truncated" in said and "using checkpoint.previous.npz" in said and "resume: after step 8" in said
    assert fingerprint(trainer) == left_alone[0]
    assert _log(tmp_path) == left_alone[1]


def test_a_new_run_in_the_same_folder_does_not_mix_with_the_old_one(tmp_path, left_alone):
    _run_until(tmp_path, 20, workers=0, resume=False)
    assert (tmp_path / "metrics.csv").exists()
    _run_until(tmp_path, 1, workers=0, resume=False)
    assert not (tmp_path / "metrics.csv").exists()
    assert CheckpointFile(tmp_path / "checkpoint.npz").load()[0]["step"] == 0
    assert not (tmp_path / "checkpoint.previous.npz").exists()
    assert fingerprint(_run_until(tmp_path, 10**9, workers=0, resume=True)) == left_alone[0]


def _change(folder, **changes):
    file = CheckpointFile(folder / "checkpoint.npz")
    state, _ = file.load()
    for name, value in changes.items():
        if value is None:
            del state[name]
        else:
            state[name] = value(state[name])
    file.save(state)


def test_another_environment_is_named_before_resuming(tmp_path, capsys):
    _run_until(tmp_path, 5, workers=0, resume=False)
    _change(tmp_path, environment=lambda e: {**e, "numpy": "1.0", "threads": "64"})
    trainer, train, held_out = make(tmp_path, progress="lines")
    trainer.fit(train, 1, evaluate=held_out, resume=True)
    said = capsys.readouterr().err
    assert f"resume: not bit-exact, numpy: 1.0 when saved, {np.__version__} now" in said
    assert "resume: not bit-exact, threads: 64 when saved" in said
    assert said.index("not bit-exact") < said.index("resume: after step")
    [record] = [r for r in read_log(tmp_path / "log.jsonl") if r["event"] == "resume"]
    assert len(record["differences"]) == 2


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    trainer, train, _ = make(tmp_path, config={"recipe": "lenet5", "seed": 0})
    trainer.fit(train, 1)
    other, train, _ = make(tmp_path, config={"recipe": "lenet5", "seed": 1})
    with pytest.raises(ValueError, match="resume: the checkpoint is of another run: seed was 0, is 1"):
        other.fit(train, 2, resume=True)
    other, train, _ = make(tmp_path, config={"recipe": "lenet5", "seed": 0})
    del other._parts["schedule"]
    with pytest.raises(ValueError, match=r"resume: the checkpoint holds .*'schedule'.*this run has"):
        other.fit(train, 2, resume=True)
    _change(tmp_path, loader=None)
    other, train, _ = make(tmp_path, config={"recipe": "lenet5", "seed": 0})
    with pytest.raises(ValueError, match="resume: the checkpoint lacks loader"):
        other.fit(train, 2, resume=True)


def test_both_checkpoints_damaged_is_one_clear_error(tmp_path):
    _run_until(tmp_path, 11, workers=0, resume=False)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"damaged")
    trainer, train, _ = make(tmp_path)
    trainer.progress = Lines()
    with pytest.raises(ValueError, match="load_checkpoint: no checkpoint is readable"):
        trainer.fit(train, 2, resume=True)


def _process(folder):
    """The run as a process of its own, after its first step."""
    started = folder.with_suffix(".started")
    started.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.training.task", str(folder), "8", str(started)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not started.exists() and process.poll() is None:
        time.sleep(0.002)
    return process


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sigkill_at_random_moments_and_resume_equals_left_alone(tmp_path):
    process = _process(tmp_path / "alone")
    began = time.monotonic()
    expected, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors.decode()
    training = time.monotonic() - began
    rng, kills, reached = random.Random(0), 0, []
    while True:
        process = _process(tmp_path / "killed")
        try:
            wait = 0.3 * training * rng.random() if kills < 10 else 110
            output, errors = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            reached.append(CheckpointFile(tmp_path / "killed" / "checkpoint.npz").load()[0]["step"])
            continue
        assert process.returncode == 0, errors.decode()
        break
    assert kills and max(reached) > 0
    assert output == expected
    assert _log(tmp_path / "killed") == _log(tmp_path / "alone")
