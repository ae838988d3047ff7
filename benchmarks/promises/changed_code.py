"""Mutants of a module: its code with one operator, bound, number, result or statement changed.

A mutant is a program with a small defect, which a test should notice. What is not behaviour is left
as it is: docstrings, texts, annotations, decorators, assertions and what asserts equal lengths
(`strict=True`), what an error says, `__all__`.
Source of the kinds: Offutt et al. 1996, "An experimental determination of sufficient mutant
operators"; to these come removed statements, swapped jumps and swapped pairs such as min and max.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

from campaign import ROOT

#: A function by its name within the module and the line where it begins; that of its code object.
Place = tuple[str, int]
#: What takes the place of a node, and the change in words.
Change = tuple[ast.AST, str]

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
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
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_PAIRS = (("min", "max"), ("minimum", "maximum"), ("any", "all"))
_SWAPPED = {**dict(_PAIRS), **{other: name for name, other in _PAIRS}}
#: Calls whose arguments are left alone: texts and types, and signals to other processes.
_LEFT_ALONE = {"cast", "TypeVar", "kill", "killpg", "warn", "named", "working"}


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Args:
        module: Its path from the root of the checkout.
        number: Its place among the mutants of the module.
        line: The number of the line, from 1.
        text: The line.
        change: What is changed, as `old -> new`.
        copy: How many mutants before it have the same text and change.
        lines: The lines of the statement: a test that runs none of them cannot see the change.
        function: The function of the module or of a class that holds it; None: code that runs when
            the module is loaded.
    """

    module: str
    number: int
    line: int
    text: str
    change: str
    copy: int
    lines: tuple[int, ...]
    function: Place | None

    @property
    def key(self) -> str:
        """Its name, which an edit elsewhere in the module does not change."""
        return f"{self.module} | {self.text} | {self.change} | {self.copy}"

    def code(self) -> CodeType:
        """The module with the change, compiled."""
        tree = ast.parse((ROOT / self.module).read_text("utf-8"))
        for number, (_, new, put) in enumerate(_changes(tree)):
            if number == self.number:
                put(new)
                return compile(ast.fix_missing_locations(tree), str(ROOT / self.module), "exec")
        raise IndexError(self.key)


def mutants(module: str) -> list[Mutant]:
    """All mutants of a module of the checkout, in the order of its lines."""
    source = (ROOT / module).read_text("utf-8")
    rows = source.splitlines()
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for number, (site, (_, change), _) in enumerate(_walk(ast.parse(source))):
        text = rows[site.line - 1].strip()
        found.append(
            Mutant(
                *(module, number, site.line, text, change, seen[text, change]),
                *(site.lines, site.function),
            )
        )
        seen[text, change] += 1
    return found


def noting(module: str, name: str) -> CodeType:
    """A module of the checkout, compiled, whose functions note each statement that they run.

    A trace function is called for each line and each call of every library; this costs one store.

    Args:
        module: Its path from the root of the checkout.
        name: A global name of a table: before a statement runs, `table[line]` becomes 1.
    """
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _note_statements(node, name)
    return compile(ast.fix_missing_locations(tree), str(ROOT / module), "exec")


def _note_statements(node: ast.AST, name: str) -> None:
    """Put a note before each statement of a block; functions in it see to their own."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, [])
        noted: list[ast.stmt] = []
        for one in block:
            table = ast.Subscript(ast.Name(name, ast.Load()), ast.Constant(one.lineno), ast.Store())
            noted += [ast.copy_location(ast.Assign([table], ast.Constant(1)), one), one]
            if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                _note_statements(one, name)
        block[:] = noted
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        _note_statements(part, name)


@dataclass(frozen=True)
class _Site:
    line: int
    lines: tuple[int, ...]
    function: Place | None


def _changes(tree: ast.Module) -> Iterator[tuple[_Site, ast.AST, Callable[[ast.AST], None]]]:
    for site, (new, _), put in _walk(tree):
        yield site, new, put


def _walk(tree: ast.Module) -> Iterator[tuple[_Site, Change, Callable[[ast.AST], None]]]:
    """Each change with its place, and a function that puts it into the tree."""
    yield from _block(tree.body, None, "")


def _block(
    body: list[ast.stmt], function: Place | None, name: str
) -> Iterator[tuple[_Site, Change, Callable[[ast.AST], None]]]:
    for index, node in enumerate(body):
        site = _Site(node.lineno, _own_lines(node), function)

        def put(new: ast.AST, body: list[ast.stmt] = body, index: int = index) -> None:
            assert isinstance(new, ast.stmt)
            body[index] = new

        for change in _of_statement(node):
            yield site, change, put
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(node.args, site)
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            place = function or (f"{name}{node.name}", first)
            yield from _block(node.body, place, f"{name}{node.name}.<locals>.")
            continue
        if isinstance(node, ast.ClassDef):
            yield from _block(node.body, function, f"{name}{node.name}.")
            continue
        if _is_left(node):
            continue
        yield from _within(node, site)
        for field in ("body", "orelse", "finalbody"):
            yield from _block(getattr(node, field, []), function, name)
        for part in getattr(node, "handlers", []):
            yield from _block(part.body, function, name)
        for case in getattr(node, "cases", []):
            yield from _block(case.body, function, name)


def _own_lines(node: ast.stmt) -> tuple[int, ...]:
    """The lines of a statement, without the statements in it."""
    inner = getattr(node, "body", None) or getattr(node, "cases", None)
    last = node.end_lineno or node.lineno
    if inner:
        first = inner[0].pattern.lineno if isinstance(node, ast.Match) else inner[0].lineno
        last = max(node.lineno, first - 1)
    return tuple(range(node.lineno, last + 1))


def _is_left(node: ast.stmt) -> bool:
    """Whether nothing in a statement is changed."""
    if isinstance(node, ast.Assert | ast.Raise | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets)


def _of_statement(node: ast.stmt) -> Iterator[Change]:
    """A statement that is left out, a jump that goes elsewhere, a result that is lost."""
    text = ast.unparse(node).split("\n")[0]
    nothing = ast.copy_location(ast.Pass(), node)
    match node:
        case ast.Expr(value=ast.Call() as call) if not _is_text(call):
            yield nothing, f"{text} -> pass"
        case ast.AugAssign() | ast.Raise() | ast.Delete():
            yield nothing, f"{text} -> pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield nothing, f"{text} -> pass"
        case ast.Break():
            yield ast.copy_location(ast.Continue(), node), "break -> continue"
        case ast.Continue():
            yield ast.copy_location(ast.Break(), node), "continue -> break"
        # A constant is changed itself, and one that says no is as false as None.
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.copy_location(ast.Return(ast.Constant(None)), node), f"{text} -> return None"


def _within(
    node: ast.AST, site: _Site
) -> Iterator[tuple[_Site, Change, Callable[[ast.AST], None]]]:
    """The changes in the expressions of a statement."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        listed = value if isinstance(value, list) else [value]
        for index, inner in enumerate(listed):
            if not isinstance(inner, ast.AST) or isinstance(
                inner, ast.stmt | ast.expr_context | ast.excepthandler | ast.match_case
            ):
                continue
            if isinstance(inner, ast.keyword) and inner.arg == "strict":
                continue

            def put(
                new: ast.AST,
                value: object = value,
                index: int = index,
                field: str = field,
            ) -> None:
                if isinstance(value, list):
                    value[index] = new
                else:
                    setattr(node, field, new)

            if isinstance(inner, ast.expr):
                own = site
                if inner.lineno in site.lines:
                    own = _Site(inner.lineno, site.lines, site.function)
                for change in _of_expression(inner, node, field):
                    yield own, change, put
            if not _is_text(inner):
                yield from _within(inner, site)


def _of_expression(node: ast.expr, parent: ast.AST, field: str) -> Iterator[Change]:
    """What an expression is changed into."""

    def changed(new: ast.expr) -> Change:
        return ast.copy_location(new, node), f"{ast.unparse(node)} -> {ast.unparse(new)}"

    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in _COMPARED[type(operator)]:
                    new = copy.deepcopy(node)
                    new.ops[index] = other()
                    yield changed(new)
        case ast.BoolOp():
            other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield changed(ast.BoolOp(other_op, node.values))
        case ast.BinOp() if type(node.op) in _COMPUTED and not (
            _is_text(node.left) or _is_text(node.right)
        ):
            yield changed(ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield changed(operand)
        case ast.Constant(value=bool() as value):
            yield changed(ast.Constant(not value))
        case ast.Constant(value=int() | float() as value):
            yield changed(ast.Constant(value + 1))
        case ast.Constant(value=str() as value) if isinstance(parent, ast.arguments):
            yield changed(ast.Constant(value + "x"))
        case ast.Call(func=ast.Name(id=name) as function) if name in _SWAPPED:
            new_call = copy.copy(node)
            new_call.func = ast.copy_location(ast.Name(_SWAPPED[name], ast.Load()), function)
            yield changed(new_call)
        case ast.Call(func=ast.Attribute(attr=name) as function) if name in _SWAPPED:
            new_call = copy.copy(node)
            new_call.func = copy.copy(function)
            new_call.func.attr = _SWAPPED[name]
            yield changed(new_call)
    is_condition = field in ("test", "ifs") and not isinstance(parent, ast.Assert)
    if is_condition and isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
        yield changed(ast.UnaryOp(ast.Not(), node))


def _is_text(node: ast.AST) -> bool:
    """Whether it is a text, or a call in which nothing is changed."""
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _LEFT_ALONE
    return False
