"""A grade as one self-contained HTML page."""

from __future__ import annotations

from html import escape

from minicnn.testing.exercises.grade import Grade, Part

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8886; }
.verdict { font-weight: 600; white-space: nowrap; }
.PASS { color: #177a3b; } .FAIL { color: #c02b2b; } .other { color: #9a6700; }
pre { background: #8882; padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}, {student}</title><style>{style}</style></head><body>
<h1>{title}</h1>
<p>Exercise <code>{name}</code>, student {student}, seed {seed}:
<strong>{points:.0f} % of {count} parts passed.</strong></p>
<table><thead><tr><th>verdict</th><th>part</th><th>what was seen</th></tr></thead><tbody>
{rows}
</tbody></table>
{hints}{printed}</body></html>
"""


def page(grade: Grade) -> str:
    """The page; it refers to nothing outside itself.

    Parameters
    ----------
    grade : Grade

    Returns
    -------
    str
    """
    shown = sorted({part.hint for part in grade.parts if part.hint})
    hints = [f'<h2 id="hint{i}">Hint {i}</h2><pre>{escape(grade.exercise.hints[i - 1])}</pre>\n' for i in shown]
    printed = f"<h2>Printed</h2><pre>{escape(grade.printed)}</pre>\n" if grade.printed else ""
    return _PAGE.format(
        name=escape(grade.exercise.name), student=escape(grade.student), style=_STYLE, seed=grade.seed,
        title=escape(grade.exercise.title), points=100 * grade.points, count=len(grade.parts),
        rows="\n".join(map(_row, grade.parts)), hints="".join(hints), printed=printed,
    )  # fmt: skip


def _row(part: Part) -> str:
    kind = part.verdict if part.verdict in ("PASS", "FAIL") else "other"
    sentence = escape(f"{part.sentence}.") if part.sentence else ""
    hint = f' <a href="#hint{part.hint}">Reread hint {part.hint}.</a>' if part.hint else ""
    return (
        f'<tr><td class="verdict {kind}">{part.verdict}</td><td>{escape(part.name)}</td>'
        f"<td>{sentence}{hint}</td></tr>"
    )
