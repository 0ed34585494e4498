"""The log grows, is cut back on resume, survives a torn line; the CSV follows it; TensorBoard where installed."""

import csv
import errno
import json
import sys
import types

import numpy as np
import pytest

from minicnn.training import RunLog, read_log


def _rows(log):
    return read_log(log.path)


def test_records_come_back_with_plain_numbers(tmp_path):
    log = RunLog(tmp_path / "run")
    log.start()
    log.write({"event": "step", "loss": np.float32(0.5), "n": np.int64(3), "bad": float("nan"), "worse": -np.inf})
    log.close()
    assert _rows(log) == [{"event": "step", "loss": 0.5, "n": 3, "bad": None, "worse": None}]


def test_cutting_back_to_a_position_forgets_what_came_after(tmp_path):
    log = RunLog(tmp_path)
    log.start()
    log.write({"event": "step", "step": 1})
    position = log.position()
    log.write({"event": "step", "step": 2})
    log.close()
    with log.path.open("ab") as file:
        file.write(b'{"event": "st')  # killed in the middle of a line
    assert [r["step"] for r in _rows(log)] == [1, 2]
    again = RunLog(tmp_path)
    assert again.start(position) is None
    again.write({"event": "step", "step": 3})
    again.close()
    assert [r["step"] for r in _rows(log)] == [1, 3]


def test_a_log_that_lost_lines_is_reported_and_goes_on(tmp_path):
    log = RunLog(tmp_path)
    assert log.start(100) == "log.jsonl lacks 100 bytes that it had at the checkpoint"
    log.write({"event": "step"})
    assert len(_rows(log)) == 1


def test_the_csv_has_a_row_per_epoch_and_all_columns(tmp_path):
    log = RunLog(tmp_path)
    log.write({"event": "epoch", "epoch": 1, "loss": 0.5})
    log.write({"event": "step", "epoch": 1})
    log.write({"event": "epoch", "epoch": 2, "loss": None, "accuracy": 0.25})
    log.close()
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["epoch", "loss", "accuracy"], ["1", "0.5", ""], ["2", "", "0.25"]]


def test_a_line_that_is_no_json_before_the_end_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(ValueError, match=r"read_log: line 2 is not JSON.*log\.jsonl"):
        read_log(tmp_path / "log.jsonl")


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    log = RunLog(tmp_path)
    log.start()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("minicnn.training.logs.os.fsync", full)
    with pytest.raises(OSError, match=r"RunLog: could not write: No space left on device") as caught:
        log.position()
    assert caught.value.errno == errno.ENOSPC


def test_tensorboard_gets_the_numbers_where_it_is_installed(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, *args):
            written.append(args)

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    log = RunLog(tmp_path, tensorboard=True)
    log.start(0, step=7)
    log.write({"event": "epoch", "epoch": 1, "step": 8, "train_loss": 0.5, "note": "text", "bad": float("nan")})
    assert not log.lacks_tensorboard
    log.close()
    assert written == [(str(tmp_path / "tensorboard"), 8), ("epoch/train_loss", 0.5, 8), "closed"]


def test_without_tensorboard_the_log_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    log = RunLog(tmp_path, tensorboard=True)
    log.start()
    assert log.lacks_tensorboard
    log.write({"event": "step", "loss": 1.0})
    log.close()
    assert json.loads(log.path.read_text())["loss"] == 1.0
