"""Lines of code without docstrings, comments and blanks: ``python benchmarks/code_lines.py FILE ...``.

Without files it counts the engine (tensor, function, backprop) and all of ``minicnn/core``.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

CORE = Path(__file__).parents[1] / "minicnn" / "core"
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(path: Path) -> int:
    """Lines that hold a token of code outside docstrings."""
    source = path.read_text()
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


if __name__ == "__main__":
    groups = {"files": [Path(p) for p in sys.argv[1:]]} if sys.argv[1:] else {
        "engine": [CORE / f"{name}.py" for name in ("tensor", "function", "backprop")],
        "core": sorted(CORE.glob("*.py")),
    }  # fmt: skip
    for name, paths in groups.items():
        total = sum(len(p.read_text().splitlines()) for p in paths)
        print(f"{name}: {sum(map(code_lines, paths))} lines of code, {total} lines in all")
