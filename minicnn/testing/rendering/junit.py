"""Reports as JUnit XML, the format that CI systems read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import Any

from minicnn.testing.rendering.record import Record, record
from minicnn.testing.rendering.verdicts import meaning, outcome, printable
from minicnn.testing.report import Report


def junit(reports: Iterable[Report | Mapping[str, Any]], *, suite: str = "minicnn.gradcheck") -> str:
    r"""JUnit XML of some reports, one test case for each.

    Parameters
    ----------
    reports : iterable of Report
        Or records of them.
    suite : str
        Name of the test suite and class name of its cases.

    Returns
    -------
    str
        An XML document. The same reports give the same text, but for ``time``.

    Notes
    -----
    A **failure** says that a gradient is wrong (``FAIL``). An **error** says that the check tells nothing about the
    gradient and has to be repaired itself: ``INCONCLUSIVE``, ``NONDIFFERENTIABLE``, or ``VACUOUS`` for one that
    agreed and could not have disagreed. Their ``type`` is that word, and CI systems count both as not passed.
    Each case has the properties ``verdict``, ``vacuous``, ``seed``, ``order``, ``causes`` and ``reproduce``.
    Cases of one name are numbered, because CI systems merge them otherwise. Characters that XML cannot hold are
    written out, as in ``\x1b``.

    Examples
    --------
    >>> from minicnn.testing import Report
    >>> junit([Report(name="scale", comparisons=4)]).splitlines()[1]
    '<testsuites tests="1" failures="0" errors="0" skipped="0" time="0.000">'
    """
    records = [record(r) for r in reports]
    root = ET.Element("testsuites")
    group = ET.SubElement(root, "testsuite", name=printable(suite))
    seen: dict[str, int] = {}
    for i, made in enumerate(records):
        name = printable(made["name"]) or f"check {i + 1}"
        seen[name] = seen.get(name, 0) + 1
        _case(group, name if seen[name] == 1 else f"{name} ({seen[name]})", printable(suite), made)
    words = [outcome(made) for made in records]
    counts = {
        "tests": str(len(records)),
        "failures": str(words.count("FAIL")),
        "errors": str(len(words) - words.count("FAIL") - words.count("PASS")),
        "skipped": "0",
        "time": f"{sum(made['seconds'] for made in records):.3f}",
    }
    for element in (root, group):
        element.attrib.update(counts)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(group: ET.Element, name: str, suite: str, made: Record) -> None:
    case = ET.SubElement(group, "testcase", classname=suite, name=name, time=f"{made['seconds']:.3f}")
    properties = ET.SubElement(case, "properties")
    for key in ("verdict", "vacuous", "seed", "order", "causes", "reproduce"):
        value = made[key]
        text = str(value).lower() if isinstance(value, bool) else ", ".join(value) if key == "causes" else str(value)
        ET.SubElement(properties, "property", name=key, value=printable(text))
    word = outcome(made)
    if word == "PASS":
        return
    first = made["findings"][0] if made["findings"] else None
    message = f"{first['where']}: {first['kind']}: {first['message']}" if first else meaning(made)
    tag = "failure" if word == "FAIL" else "error"
    ET.SubElement(case, tag, type=word, message=printable(message)).text = printable(made["text"])
