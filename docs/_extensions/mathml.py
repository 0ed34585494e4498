"""Formulas as MathML, which every browser draws itself: nothing to download, nothing to vendor."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


# Signs as they are typed in docstrings, which should read well without being built
SIGNS = {
    "←": r"\leftarrow ", "·": r"\cdot ", "×": r"\times ", "‖": r"\| ",
    "−": "-", "≤": r"\le ", "≥": r"\ge ", "∑": r"\sum ",
}


def spelled_out(formula: str) -> str:
    """The formula in the commands that docutils knows: no manual sizes, signs by name, code as text."""
    formula = re.sub(r"\\[bB]igg?[lrm]?(?![a-zA-Z])", "", formula)
    formula = re.sub(r"\\([td]?frac)(\d)(\w)", r"\\\1{\2}{\3}", formula)
    formula = re.sub(r"\\dots(?![a-zA-Z])", r"\\ldots", formula)
    formula = re.sub(r"\\texttt\{([^}]*)\}", lambda m: r"\text{" + m[1].replace(r"\_", "_") + "}", formula)
    return "".join(SIGNS.get(sign, sign) for sign in formula)


def convert(node: nodes.Element, block: bool) -> str:
    """The formula of a node; one that cannot be converted is a warning, and so an error in a strict build."""
    formula = node.astext()
    try:
        return str(tex2mathml(spelled_out(formula), as_block=block))
    except MathError as error:
        logger.warning("formula %r: %s", formula, error, location=node)
        return f"<code>{formula}</code>"


def inline(self: Any, node: nodes.math) -> None:
    self.body.append(convert(node, block=False))
    raise nodes.SkipNode


def display(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    self.body.append(convert(node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
