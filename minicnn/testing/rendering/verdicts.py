"""What a verdict is called and what it means, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Worst first; ``VACUOUS`` is a check that agreed and could not have disagreed.
OUTCOMES = ("FAIL", "INCONCLUSIVE", "NONDIFFERENTIABLE", "VACUOUS", "PASS")


def outcome(made: Mapping[str, Any]) -> str:
    """The verdict of a record in one word: ``PASS`` only for a check that proves something."""
    verdict = str(made["verdict"])
    return "VACUOUS" if verdict == "PASS" and made["vacuous"] else verdict


def meaning(made: Mapping[str, Any]) -> str:
    """One sentence for a reader who does not know the verdicts."""
    word = outcome(made)
    if word == "FAIL" and not any(f["kind"] == "mismatch" for f in made["findings"]):
        return "The gradient breaks a rule that every gradient keeps; the findings name it."
    if word == "VACUOUS" and made["flat"]:
        return (
            f"Nothing was proved about {', '.join(made['flat'])}: along every direction that was tried the function "
            "does not change with it, so a gradient of zero would have passed for any function."
        )
    return _MEANING[word]


def printable(text: str) -> str:
    r"""The text with characters that a page or XML cannot hold written out, as in ``\x1b``."""
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), str(text))


_MEANING = {
    "PASS": "Backward agrees with the derivative of the function, and the check could have caught it if it did not.",
    "FAIL": "Backward disagrees with the derivative of the function, by more than the error of the numerical value.",
    "NONDIFFERENTIABLE":
        "The function has a kink, a tie or a jump at this point: there is no derivative that backward could be "
        "compared with. Check it at another point.",
    "INCONCLUSIVE":
        "The numerical derivative is too uncertain, or the time did not suffice: backward was shown neither right "
        "nor wrong.",
    "VACUOUS": "Nothing was proved: no number was compared.",
}
# What XML 1.0 does not allow, and the control characters of the second block, which it discourages.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
