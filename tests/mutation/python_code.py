"""Mutants of Python, from its syntax tree. Only the changed expression is written anew; the rest of the text stays."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

from tests.mutation.model import Mutant, numbered

_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_COUNTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_EXTREMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Equal either way, or broken in a way that any test finds.
_UNSWAPPED: Final = frozenset({*_EXTREMES, "isinstance", "getattr", "setattr", "cast"})
_LOGS: Final = frozenset({"log", "_log", "logger"})
_NOTHING: Final = ast.Constant(None)
_Node = TypeVar("_Node", bound=ast.expr)


def mutants(path: str, text: str) -> list[Mutant]:
    """All of one file, in its order. Annotations, decorators, strings, log lines and what is in an f-string stay."""
    return numbered(_Walk(path, text).run())


class _Walk(ast.NodeVisitor):
    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text
        self._scope: list[str] = []
        self._made: list[Mutant] = []
        self._lines = [0]
        for line in text.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._bytes = text.encode()

    def run(self) -> list[Mutant]:
        self.visit(ast.parse(self._text))
        return sorted(self._made, key=lambda one: (one.start, one.end, one.kind, one.after))

    # Places -----------------------------------------------------------------------------------------------------------

    def _make(self, node: ast.expr | ast.stmt, kind: str, after: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._at(node.lineno, node.col_offset)
        end = self._at(node.end_lineno, node.end_col_offset)
        scope = ".".join(self._scope)
        self._made.append(
            Mutant(self._path, start, end, node.lineno, scope, kind, self._text[start:end], after)
        )

    def _at(self, line: int, column: int) -> int:
        return len(self._bytes[: self._lines[line - 1] + column].decode())

    def _changed(self, node: _Node, kind: str, change: Callable[[_Node], Any]) -> None:
        other = copy.deepcopy(node)
        change(other)
        self._make(node, kind, f"({ast.unparse(other)})")

    # What stays -------------------------------------------------------------------------------------------------------

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Places inside f-strings are wrong before Python 3.12."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Only an annotation is in it."""

    def _visit_named(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self._scope.append(node.name)
        if isinstance(node, ast.FunctionDef):
            self.visit(node.args)
        for child in node.body:
            self.visit(child)
        self._scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_named(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_named(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            if self._is_log(node.value):
                return
            self._make(node, "deleted", "pass")
        self.generic_visit(node)

    @staticmethod
    def _is_log(call: ast.Call) -> bool:
        function = call.func
        while isinstance(function, ast.Attribute):
            function = function.value
        return isinstance(function, ast.Name) and function.id in _LOGS

    # What changes -----------------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for number, found in enumerate(node.ops):
            for other in _COMPARED[type(found)]:
                self._changed(node, "comparison", partial(_compare, number, other))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        self._changed(node, "and, or", lambda n: setattr(n, "op", other()))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._make(node, "not", f"({ast.unparse(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = _COUNTED.get(type(node.op))
        texts = any(
            isinstance(side, ast.JoinedStr)
            or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (node.left, node.right)
        )
        if other is not None and not texts:
            self._changed(node, "arithmetic", lambda n: setattr(n, "op", other()))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._make(node, "constant", str(not value))
        elif isinstance(value, int):
            self._make(node, "constant", str(value + 1))
            if value > 0:
                self._make(node, "constant", str(value - 1))
        elif isinstance(value, float):
            self._make(node, "constant", str(value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _EXTREMES:
            self._make(node.func, "other end", _EXTREMES[node.func.id])
        plain = not any(isinstance(one, ast.Starred) for one in node.args)
        names = isinstance(node.func, ast.Name) and node.func.id in _UNSWAPPED
        if len(node.args) > 1 and plain and not names and not self._is_log(node):
            self._changed(node, "swapped", lambda n: n.args.__setitem__(slice(0, 2), n.args[1::-1]))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._make(node.test, "never", "False")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._make(node.test, "negated", f"not ({ast.unparse(node.test)})")
        self._make(node.test, "never", "False")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._make(test, "always", "True")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._make(node, "deleted", "pass")
        elif ast.dump(node.value) != ast.dump(_NOTHING):
            self._make(node.value, "returned", "None")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._make(node, "deleted", "pass")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._make(node, "left", "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._make(node, "left", "pass")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._make(node, "deleted", "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._scope and all(isinstance(one, ast.Attribute | ast.Subscript) for one in node.targets):
            self._make(node, "deleted", "pass")
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for child in _children(node):
            self.visit(child)


def _compare(number: int, other: type[ast.cmpop], node: ast.Compare) -> None:
    node.ops[number] = other()


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
