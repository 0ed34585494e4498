"""The log of a run: ``log.jsonl`` with one record per line, and ``metrics.csv`` with one row per epoch.

The JSONL file is the log; it only grows, and a resumed run first cuts it back to the length it had at the
checkpoint. The CSV is made anew from it after each epoch, so it cannot disagree.
"""

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

Record = dict[str, Any]


def _plain(value: Any) -> Any:
    """NumPy scalars as Python numbers; JSON has no NaN or infinity, they become null."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class RunLog:
    """The log files in a folder.

    Parameters
    ----------
    folder : folder of the run, made if it is missing
    tensorboard : bool
        Also write TensorBoard events to ``folder/tensorboard`` where the package ``tensorboardX`` is installed.

    Raises
    ------
    OSError
        The folder cannot be made or written (in any method that writes).
    """

    def __init__(self, folder: str | os.PathLike[str], *, tensorboard: bool = False) -> None:
        self.folder = Path(folder)
        self.path, self.csv = self.folder / "log.jsonl", self.folder / "metrics.csv"
        self._file: BinaryIO | None = None
        self._tensorboard: Any = None
        self._wants_tensorboard = tensorboard

    def start(self, position: int = 0, step: int = 0) -> str | None:
        """Open the log, cut back to its first ``position`` bytes; TensorBoard drops what came after ``step``.

        Returns
        -------
        str or None
            What is wrong with the log, if it is shorter than that (lines were lost; it goes on where it ends).
        """
        self._open(position)
        if position == 0:
            self.csv.unlink(missing_ok=True)  # of an earlier run
        if self._wants_tensorboard:  # TensorBoard drops what is not below purge_step
            self._tensorboard = _summary_writer(self.folder / "tensorboard", step + 1)
        missing = position - self.path.stat().st_size
        return f"{self.path.name} lacks {missing} bytes that it had at the checkpoint" if missing > 0 else None

    @property
    def lacks_tensorboard(self) -> bool:
        """Whether TensorBoard events are wanted, and none are written since the log was opened."""
        return self._wants_tensorboard and self._tensorboard is None

    def _open(self, position: int) -> BinaryIO:
        with _named(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.close()
            file = self._file = self.path.open("ab")
            if file.seek(0, os.SEEK_END) > position:
                file.truncate(position)
                file.seek(0, os.SEEK_END)
        return file

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record; ``event`` names its kind, and ``"epoch"`` records become rows of the CSV."""
        file = self._file or self._open(self.path.stat().st_size if self.path.exists() else 0)
        clean = {k: [_plain(i) for i in v] if isinstance(v, list) else _plain(v) for k, v in record.items()}
        with _named(self.folder):
            file.write(json.dumps(clean, allow_nan=False).encode() + b"\n")
            file.flush()  # to the system: survives the process, if not the machine
            if clean.get("event") == "epoch":
                self._write_csv()
        if self._tensorboard is not None:
            for name, value in clean.items():
                if isinstance(value, int | float) and name not in ("step", "epoch"):
                    self._tensorboard.add_scalar(f"{clean.get('event', 'run')}/{name}", value, clean.get("step", 0))

    def position(self) -> int:
        """Length of the log in bytes, once all of it is on the disk: what a checkpoint stores."""
        if self._file is None:
            return self.path.stat().st_size if self.path.exists() else 0
        with _named(self.folder):
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def _write_csv(self) -> None:
        rows = [{k: v for k, v in r.items() if k != "event"} for r in read_log(self.path) if r.get("event") == "epoch"]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        part = self.csv.with_name(f".{self.csv.name}.part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.csv)


def read_log(path: str | os.PathLike[str]) -> list[Record]:
    """All records of a ``log.jsonl``; a last line that a killed process left unfinished is skipped.

    Raises
    ------
    ValueError
        A line before the last is not JSON.
    """
    lines = Path(path).read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):  # no newline after it
                break
            raise ValueError(f"read_log: line {number} is not JSON ({error}) [path={str(path)!r}]") from error
    return records


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """An ``OSError`` inside as one that says what could not be written."""
    try:
        yield
    except OSError as error:
        raised = OSError(f"RunLog: could not write: {error.strerror or error} [folder={str(folder)!r}]")
        raised.errno = error.errno
        raise raised from error


def _summary_writer(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)
