"""Sphinx configuration. Builds without a network: formulas become MathML, nothing is fetched by the pages."""

import re
import sys
from pathlib import Path
from typing import Any

import minicnn

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "minicnn"
author = "the minicnn authors"
copyright = author
version = release = minicnn.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
]
exclude_patterns = ["_build", "jupyter_execute", "reference/generated/*.md"]
templates_path = ["_templates"]

# Markdown
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"

# The reference: one page for each module, docstrings in NumPy style
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and ranges stand in the docstrings
napoleon_google_docstring = False
napoleon_custom_sections = ["Gradient", ("Class attributes", "params_style")]
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False

# Examples in the pages run by the doctest builder; those in docstrings run with the tests
suppress_warnings = ["ref.python"]   # two classes are called Report, each in its own room
doctest_test_doctest_blocks = ""
doctest_global_setup = "import numpy as np\nimport minicnn as mc"

# Looks
html_theme = "furo"
html_title = f"minicnn {release}"
html_math_renderer = "mathml"
html_show_sourcelink = False


def escape_shapes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Shapes like ``(N, *sizes)`` and norms like ``|x|`` mean themselves, not emphasis or substitutions."""
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        parts = re.split(r"(`+[^`]+`+)", line)  # code and roles stay as they are
        for j in range(0, len(parts), 2):
            shown = re.sub(r"(?<=[\s(,])\*(?=\w+[,)])", r"\\*", parts[j])
            parts[j] = re.sub(r"\|([^|]+)\|", r"\\|\1\\|", shown)
        lines[i] = "".join(parts)


def setup(app: Any) -> None:
    """Docstrings are adapted after napoleon has read their sections."""
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
