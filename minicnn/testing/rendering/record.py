"""A report as plain dicts, lists, strings and numbers: what crosses a process border and what the pages are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from minicnn.testing.evidence import JacobianPair
from minicnn.testing.report import Report

Record = dict[str, Any]


def record(report: Report | Mapping[str, Any], *, name: str | None = None, reproduce: str | None = None) -> Record:
    """Everything that a page shows of a report.

    Parameters
    ----------
    report : Report or mapping
        A report, or what this function made of one before.
    name : str, optional
        Replaces the report's name, such as the test that it comes from.
    reproduce : str, optional
        The line that repeats the check; by default the call with order and seed.

    Returns
    -------
    dict
        Of strings, numbers, booleans, lists and dicts only; floats may be NaN or infinite.

    Examples
    --------
    >>> from minicnn.testing import Report
    >>> made = record(Report(seed=7, comparisons=1), name="scale")
    >>> made["name"], made["verdict"], made["reproduce"]
    ('scale', 'PASS', 'mc.testing.gradcheck(f, inputs, seed=7)')
    """
    made = dict(report) if isinstance(report, Mapping) else _of(report)
    if name is not None:
        made["name"] = name
    if reproduce is not None:
        made["reproduce"] = reproduce
    return made


def pair(made: Mapping[str, Any]) -> JacobianPair:
    """The two Jacobians of a record as arrays again."""
    rows, columns = len(made["rows"]), len(made["columns"])
    floats = {key: np.asarray(made[key], dtype=float).reshape(rows, columns) for key in _FLOATS}
    return JacobianPair(
        made["input"], made["output"], made["order"], tuple(made["input_shape"]), tuple(made["output_shape"]),
        np.asarray(made["columns"], dtype=int), np.asarray(made["rows"], dtype=int), **floats,
    )


_FLOATS = ("analytic", "numeric", "error")


def _of(report: Report) -> Record:
    order = f", order={report.order}" if report.order != 1 else ""
    return {
        "name": report.name,
        "verdict": report.verdict,
        "vacuous": bool(report.vacuous),
        "flat": list(report.flat),
        "seed": int(report.seed),
        "order": int(report.order),
        "compared": [_plain(asdict(row)) for row in report.compared],
        "findings": [_plain(asdict(finding)) for finding in report.findings],
        "diagnoses": [_plain(asdict(diagnosis)) for diagnosis in report.diagnoses],
        "causes": list(report.causes),
        "jacobians": [_plain({f.name: getattr(p, f.name) for f in fields(p)}) for p in report.jacobians],
        "notes": [str(note) for note in report.notes],
        "comparisons": int(report.comparisons),
        "seconds": float(report.seconds),
        "text": str(report),
        "reproduce": f"mc.testing.gradcheck(f, inputs{order}, seed={report.seed})",
    }


def _plain(values: Mapping[str, Any]) -> Record:
    """NumPy's arrays and scalars as Python's lists and numbers."""
    made = {}
    for key, value in values.items():
        if isinstance(value, (np.ndarray, np.generic)):
            made[key] = value.tolist()
        else:
            made[key] = [int(v) for v in value] if isinstance(value, tuple) else value
    return made
