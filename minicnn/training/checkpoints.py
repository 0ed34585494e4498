"""Checkpoints: one file that is either whole or not there, and that runs nothing when it is read.

The file is an uncompressed zip of ``.npy`` arrays and one ``header.json``, which ``numpy.load`` opens too. The
header describes a tree of dicts, lists, numbers and strings whose leaves may point to arrays. There is no pickle:
reading parses JSON and copies numbers.

Writing goes to a temporary file in the same folder, is flushed to the disk, and then takes the name of the
checkpoint in one step; the one before stays beside it. A process killed at any moment leaves a readable checkpoint,
and so does a full disk.
"""

import contextlib
import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.dtypes import bfloat16, is_bfloat16

_FORMAT, _VERSION = "minicnn-checkpoint", 1
_HEADER = "header.json"
_KINDS = "biufc"  # bool, ints, floats, complex: nothing that holds objects or text
_UNREADABLE = (
    zipfile.BadZipFile, OSError, EOFError, ValueError, TypeError, KeyError, LookupError, struct.error,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip  # all that zipfile, json and numpy raise for damaged bytes; RecursionError is a RuntimeError

# -- trees of plain values and arrays ---------------------------------------------------------------------------


def _encode(value: Any, arrays: list[NDArray[Any]], where: str) -> Any:
    """``value`` as JSON values; arrays go to the list and leave their number behind."""
    if value is None or isinstance(value, bool | int | str) or type(value) is float:
        return value
    if hasattr(value, "numpy"):  # a Tensor
        value = value.detach().numpy()
    if isinstance(value, np.ndarray | np.generic):
        if is_bfloat16(value.dtype):  # which .npy does not name
            arrays.append(np.asarray(value).view(np.uint16))
            return {"$bfloat16": len(arrays) - 1}
        if value.dtype.kind not in _KINDS:
            raise checks.type_error("save_checkpoint", f"{where} has dtype {value.dtype}, which is not a number")
        arrays.append(np.asarray(value))
        return {"$scalar" if isinstance(value, np.generic) else "$array": len(arrays) - 1}
    if isinstance(value, Mapping):
        if all(type(k) is str and not k.startswith("$") for k in value):
            return {k: _encode(v, arrays, f"{where}.{k}") for k, v in value.items()}
        if all(isinstance(k, str | int) and not isinstance(k, bool) for k in value):
            return {"$dict": [[k, _encode(v, arrays, f"{where}[{k!r}]")] for k, v in value.items()]}
        raise checks.type_error("save_checkpoint", f"{where} has keys that are neither str nor int")
    if isinstance(value, list | tuple):
        items = [_encode(v, arrays, f"{where}[{i}]") for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise checks.type_error(
        "save_checkpoint", f"{where} is a {type(value).__name__}; expected numbers, text, arrays, lists and dicts"
    )


def _decode(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """The inverse of :func:`_encode`; Tensors come back as arrays."""
    if isinstance(value, list):
        return [_decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith("$"):
        [(tag, content)] = value.items()
        if tag == "$array":
            return arrays[content]
        if tag == "$bfloat16":
            return arrays[content].view(bfloat16())
        if tag == "$scalar":
            return arrays[content][()]
        if tag == "$tuple":
            return tuple(_decode(v, arrays) for v in content)
        if tag == "$dict":
            return {k: _decode(v, arrays) for k, v in content}
        raise ValueError(f"unknown tag {tag}")
    return {k: _decode(v, arrays) for k, v in value.items()}


# -- one file ---------------------------------------------------------------------------------------------------


def _name(i: int) -> str:
    return f"arrays/{i}.npy"


def _write(file: Any, tree: Any) -> None:
    arrays: list[NDArray[Any]] = []
    encoded = _encode(tree, arrays, "state")
    described = [{"dtype": a.dtype.newbyteorder("=").str, "shape": list(a.shape)} for a in arrays]
    header = {"format": _FORMAT, "version": _VERSION, "arrays": described, "tree": encoded}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(header))
        for i, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(_name(i)), "w", force_zip64=array.nbytes > 1 << 30) as member:
                native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
                npy.write_array(cast("Any", member), native, allow_pickle=False)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """The tree in a checkpoint file; every byte of it is checked, and none is run.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    dict
        What was saved, with NumPy arrays in place of Tensors.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not a checkpoint, truncated, corrupt (a checksum fails), or written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_checkpoint: file does not exist [path={str(path)!r}]")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _parse(archive, path.stat().st_size)
    except _Newer as error:
        raise checks.value_error("read_checkpoint", str(error), path=str(path)) from None
    except PermissionError:
        raise
    except _UNREADABLE as error:
        reason = str(error) or type(error).__name__
        message = f"the file is corrupt, truncated or no checkpoint ({reason})"
        raise checks.value_error("read_checkpoint", message, path=str(path)) from error


class _Newer(Exception):  # noqa: N818 -- never leaves this file
    pass


def _parse(archive: zipfile.ZipFile, size: int) -> Any:
    members = {m.filename: m for m in archive.infolist()}
    for member in members.values():  # nothing may unpack to more than the file holds
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size > size:
            raise ValueError(f"member {member.filename!r} is packed, encrypted or too large")
    header = json.loads(archive.read(_HEADER))
    if header["format"] != _FORMAT:
        raise ValueError(f"its format is {header['format']!r}")
    if header["version"] > _VERSION:
        raise _Newer(f"written in format version {header['version']}; this release reads up to {_VERSION}")
    expected = {_HEADER, *(_name(i) for i in range(len(header["arrays"])))}
    if set(members) != expected or len(archive.infolist()) != len(expected):
        raise ValueError("its members are not the ones the header lists")
    arrays = [_array(archive.read(_name(i)), d["dtype"], d["shape"]) for i, d in enumerate(header["arrays"])]
    return _decode(header["tree"], arrays)


def _array(content: bytes, dtype_name: str, shape: list[int]) -> NDArray[Any]:
    """One ``.npy`` member, which must be what the header says."""
    dtype = np.dtype(dtype_name)
    file = io.BytesIO(content)
    version = npy.read_magic(cast("Any", file))
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    found_shape, fortran, found_dtype = read_header(cast("Any", file))
    if dtype.kind not in _KINDS or found_dtype != dtype or list(found_shape) != shape or fortran:
        raise ValueError(f"an array is {found_dtype} {found_shape}, the header says {dtype_name} {shape}")
    if len(content) - file.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {found_dtype} {found_shape} has {len(content) - file.tell()} bytes")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape).copy()


# -- the last and the one before --------------------------------------------------------------------------------


class CheckpointFile:
    """A checkpoint that is replaced again and again, with the one before kept beside it.

    Parameters
    ----------
    path : path of the newest checkpoint, such as ``run/checkpoint.npz``
        The one before is ``run/checkpoint.previous.npz``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from minicnn.training import CheckpointFile
    >>> file = CheckpointFile(pathlib.Path(tempfile.mkdtemp()) / "checkpoint.npz")
    >>> file.save({"step": 1, "weight": np.arange(3.0)})
    >>> state, notes = file.load()
    >>> state["step"], state["weight"], notes
    (1, array([0., 1., 2.]), [])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.previous = self.path.with_name(f"{self.path.stem}.previous{self.path.suffix}")
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._known_good = False  # was the file at ``path`` written or read by us

    def save(self, state: Any, *, keep_previous: bool = True) -> None:
        """Replace the checkpoint by ``state``: at every moment a whole one is on the disk.

        Parameters
        ----------
        state : dict
            Nested dicts (keys str or int), lists, tuples, numbers, strings, None, arrays and Tensors.
        keep_previous : bool
            Keep the present checkpoint as the one before. With False both older ones are given up once the new
            one is safe: a new run begins.

        Raises
        ------
        OSError
            The disk is full, or the folder cannot be written; older checkpoints are untouched.
        TypeError
            Something in ``state`` is not of the kinds above.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("wb") as file:
                _write(file, state)
                file.flush()
                os.fsync(file.fileno())
            if keep_previous and self._is_good():
                self._keep()
            os.replace(self._part, self.path)  # noqa: PTH105 -- one atomic system call, named as such
            if not keep_previous:
                self.previous.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
        except OSError as error:
            self._clean()
            raise self._write_error(error) from error
        except BaseException:
            self._clean()
            raise
        self._known_good = True

    def load(self) -> tuple[Any, list[str]]:
        """The newest checkpoint that is whole.

        Returns
        -------
        state : dict
        notes : list of str
            Why it is not the newest, if it is not.

        Raises
        ------
        FileNotFoundError
            There is none.
        ValueError
            There are files, but none is whole.
        """
        notes: list[str] = []
        for path in (self.path, self.previous):
            try:
                state = read_checkpoint(path)
            except FileNotFoundError:
                if path is self.path and self.previous.is_file():
                    notes.append(f"{self.path.name} is missing; using {self.previous.name}")
                continue
            except ValueError as error:
                notes.append(f"{error}; using {self.previous.name}" if path is self.path else str(error))
                continue
            self._known_good = path is self.path
            return state, notes
        if not (self.path.exists() or self.previous.exists()):
            raise FileNotFoundError(f"load_checkpoint: file does not exist [path={str(self.path)!r}]")
        reasons = "; ".join(note.removesuffix(f"; using {self.previous.name}") for note in notes)
        raise checks.value_error(
            "load_checkpoint", f"no checkpoint is readable: {reasons}", folder=str(self.path.parent)
        )

    def _is_good(self) -> bool:
        """Is the file at ``path`` worth keeping; a damaged one must not push out the one before."""
        if not self._known_good and self.path.is_file():
            try:
                read_checkpoint(self.path)
                self._known_good = True
            except ValueError:
                pass
        return self._known_good and self.path.is_file()

    def _keep(self) -> None:
        """A second name for the present checkpoint, which keeps the first one too."""
        self.previous.unlink(missing_ok=True)
        try:
            os.link(self.path, self.previous)
        except OSError:  # a file system without hard links
            os.replace(self.path, self.previous)  # noqa: PTH105

    def _clean(self) -> None:
        """Remove what an unfinished write left."""
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _write_error(self, error: OSError) -> OSError:
        kept = "the last good one is kept" if self.path.exists() or self.previous.exists() else "there is no older one"
        reason = error.strerror or str(error)
        raised = OSError(f"save_checkpoint: could not write: {reason}; {kept} [path={str(self.path)!r}]")
        raised.errno = error.errno
        return raised


def _sync_folder(folder: Path) -> None:
    """Make a new name in the folder survive a power cut (POSIX; elsewhere there is no such call)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
