"""One's own functions for ``minicnn gradcheck``: found by name, called, and what they return checked."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minicnn

if TYPE_CHECKING:
    from minicnn.testing.report import Report

#: Folders whose lines are not the reader's own.
_FOREIGN = (str(Path(minicnn.__file__).parent), *(sysconfig.get_path(p) for p in ("stdlib", "purelib", "platlib")))


def load(target: str) -> Callable[[], Any]:
    """The function that ``module:function`` or ``path.py:function`` names.

    Parameters
    ----------
    target : str

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If the name is no such name, nothing has it, or the module cannot be imported.
    TypeError
        If it names something that cannot be called.

    Examples
    --------
    >>> from minicnn.cli.targets import load
    >>> load("math:sqrt")(9)
    3.0
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"gradcheck: expected MODULE:FUNCTION, got {target!r}{_hint(target)}")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    path = Path(place)
    if place.endswith(".py") and not path.is_file():
        raise ValueError(f"gradcheck: there is no file {path}")
    try:
        with _yours(place):
            module = _from_file(path) if place.endswith(".py") else importlib.import_module(place)
    except ImportError as error:
        raise ValueError(f"gradcheck: {place} cannot be imported: {error}") from error
    try:
        found: Callable[[], Any] = getattr(module, name)
    except AttributeError:
        raise ValueError(f"gradcheck: {place} has no function {name!r}{_listed(_file_of(place))}") from None
    if not callable(found):
        raise TypeError(f"gradcheck: {target} is no function but {type(found).__name__}")
    return found


def check(target: str, found: Callable[[], Any], seed: int, order: int | None, **defaults: Any) -> list[Report]:
    """Call a target and check what it returns.

    Parameters
    ----------
    target : str
        Its name, for messages.
    found : callable
        What :func:`load` returned.
    seed : int
        Of the check, unless the target asks for another.
    order : int or None
        At most this derivative order.
    **defaults
        Further arguments of :func:`minicnn.testing.gradcheck` that the target may replace.

    Returns
    -------
    list of Report

    Raises
    ------
    ValueError
        If the function, or what it wants checked, raises; the message says what, and in which line.
    TypeError
        If the function returns something else than arguments of ``gradcheck``.
    """
    with _yours(target):
        made = found()
    return _reports(target, made, {**defaults, "seed": seed}, order)


def _reports(target: str, found: Any, defaults: dict[str, Any], order: int | None) -> list[Report]:
    """Reports from what a target returned: ready ones as they are, arguments checked."""
    from minicnn.testing import Report, gradcheck

    if isinstance(found, Report):
        return [found]
    if isinstance(found, list):
        return [report for item in found for report in _reports(target, item, defaults, order)]
    if isinstance(found, tuple) and len(found) in {2, 3} and callable(found[0]):
        found = {"f": found[0], "inputs": found[1], **(found[2] if len(found) == 3 else {})}
    if not isinstance(found, dict) or not {"f", "inputs"} <= set(found):
        raise TypeError(
            f"gradcheck: {target} must return a Report, (f, inputs), (f, inputs, options), a dict with 'f' and "
            f"'inputs', or a list of these; it returned {type(found).__name__}"
        )
    arguments = {**defaults, "name": target, **found}
    if order is not None:
        arguments["order"] = min(order, arguments.get("order", order))
    with _yours(target):
        return [gradcheck(**arguments)]


@contextmanager
def _yours(name: str) -> Iterator[None]:
    """What somebody's code raises becomes bad input: one line, with the place in that code."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        place = _place(error)
        if place is None and isinstance(error, (ValueError, TypeError)):
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"gradcheck: {name}: {error}") from error  # our own word on the arguments
        text = " ".join(str(error).split())
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        raise ValueError(f"gradcheck: {name} raised {what}{f' ({place})' if place else ''}") from error


def _place(error: Exception) -> str | None:
    """The innermost line outside installed packages and this one: ``checks.py:12``."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _foreign(frame.filename)]
    return f"{_short(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def _foreign(filename: str) -> bool:
    return filename.startswith("<") or any(Path(filename).is_relative_to(folder) for folder in _FOREIGN)


def _short(filename: str) -> str:
    path, here = Path(filename), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _hint(target: str) -> str:
    """What may have been meant by a name that is no MODULE:FUNCTION."""
    place = target.strip(":")
    file = _file_of(place)
    if file is not None:
        return _listed(file)
    if place.endswith(".py"):
        return f"; there is no file {place}"
    from minicnn.testing.cases.case import all_cases

    known = sorted({name for case in all_cases() for name in (case.op, case.id)})
    close = [place] if place in known else difflib.get_close_matches(place, known, n=1)
    return f"; did you mean --op {close[0]}?" if close else ""


def _file_of(place: str) -> Path | None:
    """The Python file that ``checks.py``, ``checks`` or ``package.checks`` means, seen from here."""
    path = Path(place if place.endswith(".py") else f"{place.replace('.', '/')}.py")
    return path if path.is_file() else None


def _listed(file: Path | None) -> str:
    """The functions of a file that need no arguments, without running it."""
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ""
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not _needs(node.args)]
    names = [name for name in names if not name.startswith("_")]
    return f"; {file} has {', '.join(names)}" if names else f"; {file} has no function without arguments"


def _needs(arguments: ast.arguments) -> bool:
    """Whether a call without arguments is an error."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional > len(arguments.defaults) or None in arguments.kw_defaults


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"gradcheck: {path} cannot be read")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
