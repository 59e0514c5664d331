"""What cells state, evaluated on the syntax tree as far as it is constant; nothing is executed.

Names stand for numbers, texts, lists, dicts, functions of the notebook, or what a call builds (`Built`): enough to
follow `Trainer(args=…, train_dataset=…)` back to a learning rate, a checkpoint and a corpus. Everything else is
`UNKNOWN`. Work and sizes are bounded, so that a hostile cell ends as an unknown one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import add, floordiv, mul, sub, truediv
from typing import Any

from repro.notebooks.reading import parse

MOST_NODES = 100_000  # of all cells together
MOST_TEXT = 100_000
MOST_CALLS_DEEP = 5
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv, ast.FloorDiv: floordiv,
}  # fmt: skip


class _Unknown:
    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


class _Spent(Exception):  # noqa: N818 (not an error: the bound on work)
    pass


@dataclass(frozen=True)
class _Alias:
    name: str


@dataclass(kw_only=True, eq=False)
class Built:
    """What a call builds: `owner.name(*args, **keywords)`; incomplete where `**` hides some of its keywords.

    A method of it, such as `.to(device)` or `.map(tokenize)`, or one of several of it is taken to be the same; `part`
    is the last key by which it was subscripted, a split.
    """

    name: str
    owner: str = ""
    args: Sequence[Any] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    part: str | None = None


class Interpreter:
    """Runs cells one after the other over known values: `names`, all `built` so far, and what was `trained` last."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.built: list[Built] = []
        self.trained: Built | None = None
        self.assigned: list[tuple[str, Any]] = []
        self._nodes = 0
        self._depth = 0

    def run(self, source: str) -> None:
        """Evaluate a cell; what follows a statement beyond the bounds is left out."""
        tree = parse(source)
        try:
            self._block(tree.body if tree else [], self.names)
        except (_Spent, RecursionError, OverflowError):
            return

    def _block(self, body: Sequence[ast.stmt], names: dict[str, Any]) -> Any:
        """Run statements; return what the last `return` gives."""
        result: Any = UNKNOWN
        for statement in body:
            match statement:
                case ast.Return(value=ast.expr() as value):
                    result = self._value(value, names)
                case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                    given = self._value(value, names)
                    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                        self._assign(target, given, names)
                case ast.AugAssign(target=ast.Name(id=name)):
                    names[name] = UNKNOWN
                case ast.Expr(value=value):
                    self._value(value, names)
                case ast.FunctionDef(name=name):
                    names[name] = statement
                case ast.ImportFrom(names=aliases):
                    names |= {a.asname: _Alias(a.name) for a in aliases if a.asname}
                case ast.If(orelse=orelse) if orelse:
                    self._branches(statement, names)
                case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                    if isinstance(statement, ast.For):
                        self._assign(statement.target, self._value(statement.iter, names), names)
                    for part in (statement.body, getattr(statement, "orelse", []), getattr(statement, "finalbody", [])):
                        self._block(part, names)
        return result

    def _branches(self, statement: ast.If, names: dict[str, Any]) -> None:
        """Run both branches; what they leave different is unknown."""
        first, second = dict(names), dict(names)
        self._block(statement.body, first)
        self._block(statement.orelse, second)
        for name in first | second:
            one, other = first.get(name, UNKNOWN), second.get(name, UNKNOWN)
            names[name] = one if one is other or (_plain(one) and one == other) else UNKNOWN

    def _assign(self, target: ast.expr, value: Any, names: dict[str, Any]) -> None:
        match target:
            case ast.Name(id=name):
                names[name] = value
                if names is self.names:
                    self.assigned.append((name, value))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                same = [value if isinstance(value, Built) else UNKNOWN] * len(parts)
                values = value if isinstance(value, list) and len(value) == len(parts) else same
                for part, each in zip(parts, values, strict=True):
                    self._assign(part, each, names)
            case ast.Attribute(value=owner, attr=attribute):
                if isinstance(built := self._value(owner, names), Built):
                    built.keywords[attribute] = value
            case ast.Subscript(value=owner, slice=key):
                at = self._value(key, names)
                if isinstance(holder := self._value(owner, names), dict) and isinstance(at, str):
                    holder[at] = value

    def _value(self, node: ast.expr, names: dict[str, Any]) -> Any:  # noqa: PLR0911 (one return a kind of node)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _Spent
        match node:
            case ast.Constant(value=value):
                return value if _plain(value) or value is None else UNKNOWN
            case ast.Name(id=name):
                return names.get(name, UNKNOWN)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._value(operand, names)
                return -value if _is_number(value) else UNKNOWN
            case ast.BinOp(left=left, op=operator, right=right):
                return _arithmetic(operator, self._value(left, names), self._value(right, names))
            case ast.JoinedStr(values=parts):
                return self._text([p.value if isinstance(p, ast.FormattedValue) else p for p in parts], names)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._value(part, names) for part in parts]
            case ast.Dict(keys=keys, values=values):
                return self._keywords(keys, values, names)[0]
            case ast.Subscript(value=owner, slice=key):
                return _subscripted(self._value(owner, names), self._value(key, names))
            case ast.Attribute(value=owner, attr=attribute):
                built = self._value(owner, names)  # a part of what was built that is not known stands for the whole
                return built.keywords.get(attribute, built) if isinstance(built, Built) else UNKNOWN
            case ast.Call():
                return self._call(node, names)
        return UNKNOWN

    def _text(self, parts: Sequence[ast.expr], names: dict[str, Any]) -> Any:
        values = [self._value(part, names) for part in parts]
        known = all(map(_plain, values)) and sum(len(str(value)) for value in values) < MOST_TEXT
        return "".join(map(str, values)) if known else UNKNOWN

    def _keywords(
        self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr], names: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Return a dict's known entries, and whether nothing unknown was merged into it."""
        entries: dict[str, Any] = {}
        complete = True
        for key, node in zip(keys, values, strict=True):
            value = self._value(node, names)
            name = value if key is None else self._value(key, names)
            if key is None and isinstance(value, dict):
                entries |= value
            elif isinstance(name, str) and key is not None:
                entries[name] = value
            else:
                complete = False
        return entries, complete

    def _call(self, node: ast.Call, names: dict[str, Any]) -> Any:
        args = [self._value(argument, names) for argument in node.args]
        keys = [None if word.arg is None else ast.Constant(word.arg) for word in node.keywords]
        keywords, complete = self._keywords(keys, [word.value for word in node.keywords], names)
        name, owner = _last_name(node.func), ""
        if isinstance(node.func, ast.Attribute):
            base, owner = self._value(node.func.value, names), _last_name(node.func.value)
            if isinstance(base, Built | dict):
                return self._method(base, name, args, keywords)
        target = None if owner else names.get(name)
        if isinstance(target, ast.FunctionDef):
            return self._function(target, args, keywords)
        name = target.name if isinstance(target, _Alias) else name
        if name == "dict":
            return keywords
        if name in ("int", "float") and len(args) == 1 and _is_number(args[0]):
            return int(args[0]) if name == "int" else float(args[0])
        built = Built(name=name, owner=owner, args=args, keywords=keywords, complete=complete)
        self.built.append(built)
        return built

    def _method(self, base: Built | dict[str, Any], name: str, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
        if isinstance(base, Built):
            self.trained = base if name in ("train", "fit") else self.trained
            if name == "requires_grad_":
                base.keywords["requires_grad"] = args[0] if args else True
            return base
        if name == "update":
            base.update({**(args[0] if args and isinstance(args[0], dict) else {}), **keywords})
        return UNKNOWN

    def _function(self, function: ast.FunctionDef, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """Call a function of the notebook with what is known of its arguments."""
        if self._depth == MOST_CALLS_DEEP:
            return UNKNOWN
        parameters = [parameter.arg for parameter in function.args.args]
        defaults = [self._value(default, self.names) for default in function.args.defaults]
        bound = dict.fromkeys(parameters, UNKNOWN)
        bound |= zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)
        bound |= dict(zip(parameters, args, strict=False))
        self._depth += 1
        try:
            return self._block(function.body, {**self.names, **bound, **keywords})
        finally:
            self._depth -= 1

    def returned(self, name: Any) -> Any:
        """Return what a function of the notebook returns without arguments, as in `model_init=…`."""
        return self._function(name, [], {}) if isinstance(name, ast.FunctionDef) else UNKNOWN


def _arithmetic(operator: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str) and isinstance(operator, ast.Add):
        return left + right if len(left) + len(right) < MOST_TEXT else UNKNOWN
    if not (_is_number(left) and _is_number(right)):
        return UNKNOWN
    try:
        if isinstance(operator, ast.Pow):
            return float(left) ** float(right)
        does = _OPERATORS.get(type(operator))
        return does(left, right) if does and max(abs(left), abs(right)) < 1e15 else UNKNOWN  # noqa: PLR2004
    except (ArithmeticError, ValueError):
        return UNKNOWN


def _subscripted(holder: Any, key: Any) -> Any:
    if isinstance(holder, Built) and isinstance(key, str):
        return replace(holder, part=key)
    if isinstance(holder, dict) and isinstance(key, str):
        return holder.get(key, UNKNOWN)
    if isinstance(holder, list) and isinstance(key, int) and -len(holder) <= key < len(holder):
        return holder[key]
    return UNKNOWN


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)
