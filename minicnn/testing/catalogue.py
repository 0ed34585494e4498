"""The catalogue of gradient bugs: what each is, how it shows in the numbers, how to repair it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Cause:
    """A class of real bugs in hand-written gradients.

    Parameters
    ----------
    id : str
        Stable identifier, words joined by hyphens; what :attr:`Report.causes` lists.
    title : str
        The bug in a few words.
    meaning : str
        What is wrong in the code.
    sign : str
        What one sees in the numbers.
    remedy : str
        How to repair it.
    example : str
        Wrong NumPy code with the right one in a comment.
    group : str
        The section of the catalogue.
    """

    id: str
    title: str
    meaning: str
    sign: str
    remedy: str
    example: str
    group: str


def _read() -> dict[str, Cause]:
    text = resources.files("minicnn.testing").joinpath("causes.toml").read_text(encoding="utf-8")
    found = {}
    for group in tomllib.loads(text)["group"]:
        for entry in group["cause"]:
            entry["example"] = entry["example"].strip("\n")
            found[entry["id"]] = Cause(group=group["title"], **entry)
    return found


#: Every cause by its identifier, in the order of the published page.
CAUSES: dict[str, Cause] = _read()


def page() -> str:
    """The catalogue as the Markdown page of the documentation.

    Returns
    -------
    str
        One section per group, one subsection per cause, whose heading is the identifier.

    Examples
    --------
    >>> "### sign-flipped" in page()
    True
    """
    lines = [
        "# Causes",
        "",
        "A failed check names the probable bug. It compares two Jacobians, what backward says (*analytic*) and what",
        "the function does (*numeric*), with the signs below, and evaluates the function at other inputs. A",
        "cause comes first if it accounts for every entry that was looked at; one that accounts for a part of them",
        "comes after. Where nothing fits, no cause is named.",
        "",
        "The identifiers are stable. `minicnn.testing.catalogue.CAUSES` holds this page as data.",
    ]
    group = ""
    for cause in CAUSES.values():
        if cause.group != group:
            group = cause.group
            lines += ["", f"## {group}"]
        lines += ["", f"### {cause.id}", "", f"**{cause.title}.** {cause.meaning}", ""]
        lines += ["```python", cause.example, "```", ""]
        lines += [f"*Sign:* {cause.sign}", "", f"*Remedy:* {cause.remedy}"]
    return "\n".join(lines) + "\n"
