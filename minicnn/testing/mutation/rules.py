"""Changes to the source of a backward, each of which a wrong derivation or a slip of the pen could have made.

A rule looks at one node of the syntax tree and says what may stand there instead. Expressions count as tensors where
they are built from the gradients that come in or from the values that forward kept; only those are changed
arithmetically, so that a mutant computes something wrong instead of merely raising.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_KEPT = frozenset({"kept_inputs", "kept_outputs"})
_PLAIN = frozenset({"zip", "len", "enumerate", "int", "float", "range", "max", "min", "prod", "type"})
_NO_TENSOR = frozenset({"shape", "dtype", "ndim", "data", "device"})
_COMPARED = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_RELATED = {"sin": "cos", "cos": "sin", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}

Change = tuple[str, ast.AST]


@dataclass(frozen=True)
class Edit:
    """One change to one function.

    Parameters
    ----------
    rule : str
        Its name.
    line : str
        The changed statement, as it is after the change.
    source : str
        The whole function after the change.
    """

    rule: str
    line: str
    source: str


def edits(source: str, *, helper: bool = False) -> list[Edit]:
    r"""All changes that the rules make to a function, without those that give the same source.

    Parameters
    ----------
    source : str
        Of one function, not indented.
    helper : bool
        Not a ``backward``: its tensors are the parameters that are annotated as such.

    Examples
    --------
    >>> from minicnn.testing.mutation.rules import edits
    >>> source = "def backward(self, gy):\n    (y,) = self.kept_outputs()\n    return gy * (y + 1.0)"
    >>> [edit.line for edit in edits(source) if edit.rule == "operator"]
    ['return gy * (y - 1.0)']
    """
    tree = _parsed(source)
    tensors = _tensors(tree, helper)
    before = _statements(tree)
    seen: set[str] = {ast.unparse(tree)}
    found: list[Edit] = []
    for rule, mutated in _mutated(tree, tensors):
        text = ast.unparse(ast.fix_missing_locations(mutated))
        if text in seen or not _compiles(text):
            continue
        seen.add(text)
        after = _statements(_parsed(text))
        new = [line for line in after if line not in before and not (rule == "detached" and line == "if True:")]
        old = "; ".join(line for line in before if line not in after)
        line = "; ".join(new) or f"without: {old}"
        if line in {"if True:", "if False:", "pass"}:
            line += f" for {old}"
        twins = sum((edit.rule, edit.line) == (rule, line) for edit in found)
        found.append(Edit(rule, line + f" ({twins + 1})" * bool(twins), text))
    return found


def _compiles(text: str) -> bool:
    try:
        compile(text, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def _parsed(source: str) -> ast.FunctionDef:
    """The function without its docstring."""
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    if isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        tree.body = tree.body[1:]
    return tree


def bare(source: str) -> str:
    """The function's source as its mutants are written: without docstring, decorators and annotations."""
    tree = _parsed(source)
    _strip(tree)
    return ast.unparse(ast.fix_missing_locations(tree))


def _strip(tree: ast.FunctionDef) -> None:
    tree.returns, tree.decorator_list = None, []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
    _Plain().visit(tree)


class _Plain(ast.NodeTransformer):
    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _statements(tree: ast.FunctionDef) -> list[str]:
    """Every statement on a line of its own; of compound ones only the head."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.For)):
            lines.append(ast.unparse(node).splitlines()[0])
        elif isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef):
            lines.append(ast.unparse(node))
    return lines


# -- what is a tensor -----------------------------------------------------------------------------------------------


def _tensors(tree: ast.FunctionDef, helper: bool) -> set[str]:
    """Names bound to tensors: incoming gradients, kept values, and what is computed from them."""
    arguments = [*tree.args.args, *([tree.args.vararg] if tree.args.vararg else [])]
    names = {
        a.arg for a in arguments
        if a.arg != "self" and (not helper or (a.annotation is not None and "Tensor" in ast.unparse(a.annotation)))
    }
    _strip(tree)
    for _ in range(3):  # assignments may stand in any order in branches
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    names |= _bound(target, node.value, names)
    return names


def _bound(target: ast.expr, value: ast.expr, names: set[str]) -> set[str]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return set().union(*(_bound(t, v, names) for t, v in zip(target.elts, value.elts, strict=True)))
    if _from_kept(value) or is_tensor(value, names):
        return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return set()


def _from_kept(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _KEPT


def is_tensor(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is computed from these names, and is not merely a property of one."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.BinOp):
        return is_tensor(node.left, names) or is_tensor(node.right, names)
    if isinstance(node, ast.UnaryOp):
        return is_tensor(node.operand, names)
    if isinstance(node, (ast.Subscript, ast.Starred)):
        return is_tensor(node.value, names)
    if isinstance(node, ast.IfExp):
        return is_tensor(node.body, names) or is_tensor(node.orelse, names)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _PLAIN:
            return False
        if isinstance(node.func, ast.Attribute) and is_tensor(node.func.value, names):
            return node.func.attr not in _NO_TENSOR
        return any(is_tensor(argument, names) for argument in node.args)
    return False


# -- the rules ------------------------------------------------------------------------------------------------------


def _mutated(tree: ast.FunctionDef, names: set[str]) -> Iterator[tuple[str, ast.FunctionDef]]:
    # operators and contexts are objects that all nodes share, and stay without a number
    for number, numbered in enumerate(n for n in ast.walk(tree) if isinstance(n, (ast.expr, ast.stmt))):
        numbered.number = number  # type: ignore[union-attr]
    protected = _protected(tree)
    indices = {n.slice.number for n in ast.walk(tree) if isinstance(n, ast.Subscript)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        own = getattr(node, "number", None)
        if own is None or own in protected:
            continue
        for rule, other in _of_index(node) if own in indices else _changes(node, names):
            yield rule, _replaced(tree, node, other)
    yield from _detached(tree, names)


def _protected(tree: ast.FunctionDef) -> set[int]:
    """Nodes in ``self.needs(...)`` (a gradient that nobody wants is no fault), assertions and ``strict=``."""
    found = [
        n for n in ast.walk(tree)
        if _is_needs(n) or isinstance(n, ast.Assert) or (isinstance(n, ast.keyword) and n.arg == "strict")
    ]
    inner = [n for outer in found for n in ast.walk(outer)]
    return {n.number for n in inner if hasattr(n, "number")}


def _is_needs(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "needs"


def _asks_needs(node: ast.AST) -> bool:
    return any(_is_needs(inner) for inner in ast.walk(node))


def _replaced(tree: ast.FunctionDef, node: ast.AST, other: ast.AST) -> ast.FunctionDef:
    number = node.number  # type: ignore[attr-defined]

    class Replace(ast.NodeTransformer):
        def visit(self, found: ast.AST) -> ast.AST:
            if isinstance(found, (ast.expr, ast.stmt)) and getattr(found, "number", None) == number:
                return copy.deepcopy(other)
            return self.generic_visit(found)

    mutated = Replace().visit(copy.deepcopy(tree))
    assert isinstance(mutated, ast.FunctionDef)
    return mutated


def _changes(node: ast.AST, names: set[str]) -> Iterator[Change]:
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node, names)
    elif isinstance(node, ast.UnaryOp):
        if not isinstance(node.operand, ast.Constant):
            yield "sign", node.operand
    elif isinstance(node, ast.Compare):
        for old, new in _COMPARED.items():
            if isinstance(node.ops[0], old):
                yield "comparison", ast.Compare(node.left, [new()], node.comparators)
    elif isinstance(node, (ast.If, ast.IfExp)):
        if not _asks_needs(node.test):
            yield "branch", _with_test(node, True)
            yield "branch", _with_test(node, False)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, names)
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.Assign):
        yield from _of_assignment(node, names)
    elif isinstance(node, ast.AugAssign):
        yield "statement dropped", ast.Pass()


def _with_test(node: ast.If | ast.IfExp, outcome: bool) -> ast.AST:
    """One of the two branches, whatever the condition says."""
    if isinstance(node, ast.IfExp):
        return node.body if outcome else node.orelse
    return ast.If(ast.Constant(outcome), node.body, node.orelse)


def _of_operation(node: ast.BinOp, names: set[str]) -> Iterator[Change]:
    left, right, op = node.left, node.right, node.op
    if isinstance(op, (ast.BitAnd, ast.BitOr)):
        yield "operator", ast.BinOp(left, ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd(), right)
        yield "term dropped", left
        yield "term dropped", right
        return
    if not isinstance(op, _ARITHMETIC) or not is_tensor(node, names):
        return
    if isinstance(op, (ast.Add, ast.Sub)):
        minus = isinstance(op, ast.Sub)
        yield "operator", ast.BinOp(left, ast.Add() if minus else ast.Sub(), right)
        yield "term dropped", left
        yield "term dropped", ast.UnaryOp(ast.USub(), right) if minus else right
        yield "term doubled", ast.BinOp(node, op, right)
        yield "term doubled", ast.BinOp(left, ast.Add(), node)
    elif isinstance(op, ast.Mult):
        yield "factor dropped", left
        yield "factor dropped", right
        yield "factor repeated", ast.BinOp(node, op, right)
        yield "factor repeated", ast.BinOp(left, op, node)
    elif isinstance(op, ast.Div):
        yield "factor dropped", left
        yield "operator", ast.BinOp(left, ast.Mult(), right)
        yield "factor repeated", ast.BinOp(node, op, right)
    else:
        yield "factor dropped", left
        yield "operator", ast.BinOp(left, ast.Mult(), right)


def _of_call(node: ast.Call, names: set[str]) -> Iterator[Change]:
    func, args = node.func, node.args
    constructor = isinstance(func, ast.Name) and func.id[:1].isupper()
    if not constructor and not is_tensor(node, names):
        return
    if not constructor:
        inner = func.value if isinstance(func, ast.Attribute) and is_tensor(func.value, names) else None
        for kept in [inner] if inner is not None else [a for a in args if is_tensor(a, names)][:1]:
            yield "call dropped", kept
    for i in range(len(node.keywords)):
        if node.keywords[i].arg == "strict":
            continue
        yield "argument dropped", ast.Call(func, args, node.keywords[:i] + node.keywords[i + 1 :])
    if len(args) > 1 or (constructor and args):
        yield "argument dropped", ast.Call(func, args[:-1], node.keywords)
    for i in range(len(args) - 1):
        first, second = args[i], args[i + 1]
        if constructor or (is_tensor(first, names) and is_tensor(second, names)) or (_name(func) == "where" and i == 1):
            swapped = [*args[:i], second, first, *args[i + 2 :]]
            yield "arguments swapped", ast.Call(func, swapped, node.keywords)
    if _name(func) in {"Matmul", "matmul"}:
        for i, operand in enumerate(args):
            across = ast.Call(ast.Attribute(operand, "transpose"), [ast.Constant(-1), ast.Constant(-2)], [])
            yield "transposed", ast.Call(func, [*args[:i], across, *args[i + 1 :]], node.keywords)
    if isinstance(func, ast.Attribute) and func.attr in _RELATED:
        yield "related function", ast.Call(ast.Attribute(func.value, _RELATED[func.attr]), args, node.keywords)
    elif isinstance(func, ast.Name) and func.id in _RELATED and args:
        method = ast.Attribute(args[0], _RELATED[func.id])
        if func.id == "sum" or func.id in {"sin", "cos"}:
            yield "related function", ast.Call(method, args[1:], node.keywords)
        else:
            yield "related function", ast.Call(ast.Name(_RELATED[func.id]), args, node.keywords)


def _name(func: ast.expr) -> str:
    """``Matmul`` of ``Matmul()`` and of ``Matmul``."""
    if isinstance(func, ast.Call):
        func = func.func
    return func.id if isinstance(func, ast.Name) else ""


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
        yield "constant", ast.UnaryOp(ast.USub(), ast.Constant(1)) if value == 0 else ast.Constant(value - 1)
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 2 if value else 1.0)
        yield "constant", ast.Constant(value + 1.0)


def _of_index(node: ast.AST) -> Iterator[Change]:
    """The next element and the one before; not the last, which of a single one is the same."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
        if node.value > 0:
            yield "constant", ast.Constant(node.value - 1)


def _of_assignment(node: ast.Assign, names: set[str]) -> Iterator[Change]:
    target = node.targets[0]
    if isinstance(target, ast.Tuple) and _from_kept(node.value):
        elements = target.elts
        for i in range(len(elements) - 1):
            swapped = [*elements[:i], elements[i + 1], elements[i], *elements[i + 2 :]]
            yield "kept values swapped", ast.Assign([ast.Tuple(swapped)], node.value)
    elif is_tensor(node.value, names):
        used = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        if isinstance(target, ast.Name) and target.id in used:  # x = f(x): without it, x stays
            yield "statement dropped", ast.Pass()
        elif isinstance(target, ast.Name):
            yield "sign", ast.Assign([target], ast.UnaryOp(ast.USub(), node.value))


def _detached(tree: ast.FunctionDef, names: set[str]) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Kept values that are treated as constants: only derivatives of order 2 and more can see it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not any(_from_kept(n) for n in ast.walk(node.value)):  # type: ignore[arg-type]
            continue
        for name in [n for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name) and n.id in names]:
            several = any(isinstance(n, ast.Starred) and n.value is name for n in ast.walk(node.targets[0]))
            text = f"{name.id} = " + (f"[t.detach() for t in {name.id}]" if several else f"{name.id}.detach()")
            both = ast.If(ast.Constant(True), [copy.deepcopy(node), ast.parse(text).body[0]], [])  # one node for one
            yield "detached", _replaced(tree, node, both)
