"""The faults: what is changed, and how it reads.

Rule of this room: one fault at a time, in one function, and only where a reader would call it another decision. Sentences for
people are left as they are; words that programs compare are not.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
WORD: Final = re.compile(r"[a-z][a-z0-9_.]*")
"""A text that a program compares: not a sentence."""

Change: TypeAlias = Callable[[ast.AST], None]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One change of the node with number `index` in a walk over the function. `what` says it in a line."""

    module: str
    function: str
    line: int
    what: str
    whole: ast.Module
    index: int
    change: Change

    def tree(self) -> ast.Module:
        """The whole module with the fault, at its old lines."""
        twin = copy.deepcopy(self.whole)
        self.change(list(ast.walk(dict(functions(twin))[self.function]))[self.index])
        return ast.fix_missing_locations(twin)


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every fault in every function of the module, in the order of its lines."""
    tree = ast.parse(source)
    for name, function in functions(tree):
        quiet = _quiet(function)
        for index, node in enumerate(ast.walk(function)):
            if id(node) not in quiet:
                line = _line(node)
                for what, change in faults(node):
                    yield Mutant(module, name, line, what, tree, index, change)


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of the module and methods of its classes, by qualified name."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield f"{node.name}.{inner.name}", inner


def _line(node: ast.AST) -> int:
    """Where a program is when it meets the node; 0 where nothing can be wrong with it."""
    if isinstance(node, ast.match_case):
        return _line(node.body[0] if node.guard is None else node.pattern)
    return getattr(node, "lineno", 0)


def _quiet(function: Function) -> set[int]:
    """What is not a decision: annotations, docstrings, assertions, and the arms that only tell the type checker something."""
    parts = [part for node in ast.walk(function) for part in _quiet_parts(node)]
    return {id(inner) for part in parts for inner in ast.walk(part)}


def _quiet_parts(node: ast.AST) -> Sequence[ast.AST]:
    match node:
        case ast.Assert() | ast.Raise() | ast.Expr(value=ast.Constant()):
            return [node]
        case ast.match_case() if "assert_never" in ast.unparse(node):
            return [node]
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            return [annotation]
        case ast.arguments():
            return [*node.defaults, *(default for default in node.kw_defaults if default is not None)]
        case ast.FunctionDef():
            return [*node.decorator_list, *([node.returns] if node.returns else [])]
        case _:
            return []


def faults(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """What can be put wrong at this spot."""
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp():
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield f"{_says(node)}: {other.__name__.lower()}", _set("op", other())
            for index, value in enumerate(node.values):
                if isinstance(value, ast.Constant):
                    continue  # what is there in the place of nothing is nothing much by itself
                nothing = ast.Constant(isinstance(node.op, ast.And))
                yield f"{_says(node)}: without {_says(value)}", _put("values", index, nothing)
        case ast.UnaryOp(op=ast.Not()):
            yield f"{_says(node)}: without not", _turn(node)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            other_op = ARITHMETIC[type(node.op)]
            yield f"{_says(node)}: {other_op.__name__}", _set("op", other_op())
        case ast.Constant():
            yield from _constants(node)
        case ast.Return(value=ast.expr() as value) if _says(value) != "None":
            yield f"return None, not {_says(value)}", _set("value", ast.Constant(None))
        case ast.If() | ast.IfExp():
            for always in (True, False):
                yield f"if {_says(node.test)}: always {always}", _set("test", ast.Constant(always))
        case ast.match_case():
            yield f"case {_says(node.pattern)}: never", _set("guard", ast.Constant(False))
            if node.guard is not None:
                yield f"case if {_says(node.guard)}: always", _set("guard", None)
        case ast.Call(func=ast.Name(id="replace")):
            for index, keyword in enumerate(node.keywords):
                yield f"replace without {keyword.arg}", _without("keywords", index)
        case ast.Assign(targets=[ast.Name(id=name)]) if name in _names(node.value):
            yield f"left out: {_says(node)}", _set("value", ast.Name(name, ast.Load()))
        case _:
            return


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, Change]]:
    for index, old in enumerate(node.ops):
        for new in COMPARISONS[type(old)]:
            yield f"{_says(node)}: {new.__name__}", _put("ops", index, new())


def _constants(node: ast.Constant) -> Iterator[tuple[str, Change]]:
    match node.value:
        case bool():
            yield f"{node.value}: turned", _set("value", not node.value)
        case int() | float():
            yield f"{node.value}: one more", _set("value", node.value + 1)
        case str() if WORD.fullmatch(node.value):
            yield f"{node.value!r}: another word", _set("value", node.value + "_")
        case _:
            return


def _set(field: str, value: object) -> Change:
    return lambda spot: setattr(spot, field, value)


def _put(field: str, index: int, value: object) -> Change:
    def change(spot: ast.AST) -> None:
        getattr(spot, field)[index] = value

    return change


def _without(field: str, index: int) -> Change:
    def change(spot: ast.AST) -> None:
        del getattr(spot, field)[index]

    return change


def _turn(node: ast.UnaryOp) -> Change:
    """`not x` becomes `not not x`: the same place in the tree, the other answer."""

    def change(spot: ast.AST) -> None:
        assert isinstance(spot, ast.UnaryOp)
        spot.operand = ast.UnaryOp(ast.Not(), spot.operand)

    return change


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _says(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:90]
