"""Opening data files that may be missing, truncated or lying about their size."""

import gzip
import os
import zlib
from pathlib import Path

from minicnn.core import checks

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_PER_BYTE = 1032  # deflate cannot expand further (zlib technical details)


def folder(op: str, path: str | os.PathLike[str]) -> Path:
    """``path`` as an existing folder."""
    found = Path(path)
    if not found.exists():
        raise FileNotFoundError(f"{op}: folder does not exist [path={str(found)!r}]")
    if not found.is_dir():
        raise checks.value_error(op, "expected a folder, got a file", path=str(found))
    return found


def one_of(op: str, root: Path, *names: str) -> Path:
    """The first of ``names`` that exists in ``root``."""
    for name in names:
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{op}: none of {', '.join(names)} is there [folder={str(root)!r}]")


def is_gzip(path: Path) -> bool:
    """Does the file start as gzip files do (its name is not asked)."""
    with path.open("rb") as f:
        return f.read(2) == _GZIP_MAGIC


def content_limit(path: Path) -> int:
    """No more bytes than these can come out of the file."""
    size = path.stat().st_size
    return size * _MOST_PER_BYTE if is_gzip(path) else size


def read(op: str, path: Path, most: int) -> bytes:
    """At most ``most`` bytes of the file's content, unpacked if it is gzip.

    Raises
    ------
    ValueError
        If a gzip file is corrupt or ends early.
    """
    with path.open("rb") as raw:
        if raw.read(2) != _GZIP_MAGIC:
            raw.seek(0)
            return raw.read(most)
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) as f:
                return f.read(most)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise checks.value_error(op, f"the gzip file is corrupt or truncated ({error})", path=str(path)) from error
