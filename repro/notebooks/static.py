"""What cells state, evaluated on the syntax tree as far as it is constant; nothing is executed.

Names stand for numbers, texts, lists, dicts, functions of the notebook, or what a call builds (`Built`): enough to
follow `Trainer(args=…, train_dataset=…)` back to a learning rate, a checkpoint and a corpus. Everything else is
`UNKNOWN`. Work and sizes are bounded, so that a hostile cell ends as an unknown one.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repro.notebooks.reading import parse

MOST_NODES = 100_000  # of all cells together
MOST_TEXT = 100_000
LARGEST_NUMBER = 1e15
UNKNOWN: Any = object()
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Pow: lambda base, exponent: float(base) ** float(exponent),
}  # fmt: skip


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
        self._scope = self.names
        self._aliases: dict[str, str] = {}
        self._nodes = 0

    def run(self, source: str) -> None:
        """Evaluate a cell; what follows a statement beyond the bounds is left out."""
        tree = parse(source)
        try:
            self._block(tree.body if tree else [], self.names)
        except (RecursionError, OverflowError):
            return

    def _block(self, body: Sequence[ast.stmt], scope: dict[str, Any]) -> Any:
        """Run statements over the names of a scope; return what the last `return` gives."""
        outer, self._scope = self._scope, scope
        result: Any = UNKNOWN
        try:
            for statement in body:
                if isinstance(statement, ast.Return):
                    result = self._value(statement.value)
                else:
                    self._run(statement)
        finally:
            self._scope = outer
        return result

    def _run(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name):
                self._scope[name] = statement
            case ast.ImportFrom(names=imported):
                self._aliases |= {each.asname: each.name for each in imported if each.asname}
            case ast.If(body=body, orelse=[_, *_] as orelse):  # what the branches leave different is unknown
                first, second = dict(self._scope), dict(self._scope)
                self._block(body, first)
                self._block(orelse, second)
                for name in first | second:
                    one, other = first.get(name, UNKNOWN), second.get(name, UNKNOWN)
                    self._scope[name] = one if one is other or (_plain(one) and one == other) else UNKNOWN
            case ast.ClassDef() | ast.AsyncFunctionDef() | ast.AnnAssign(value=None):
                pass
            case _:
                parts = vars(statement)
                given = self._value(parts.get("value") or parts.get("iter"))
                for target in parts.get("targets") or filter(None, [parts.get("target")]):
                    self._assign(target, UNKNOWN if isinstance(statement, ast.AugAssign) else given)
                for part in ("body", "orelse", "finalbody"):
                    self._block(parts.get(part, []), self._scope)

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self._scope[name] = value
                if self._scope is self.names:
                    self.assigned.append((name, value))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                same = [value if isinstance(value, Built) else UNKNOWN] * len(parts)
                values = value if isinstance(value, list) and len(value) == len(parts) else same
                for part, each in zip(parts, values, strict=True):
                    self._assign(part, each)
            case ast.Attribute(value=owner, attr=attribute):
                if isinstance(built := self._value(owner), Built):
                    built.keywords[attribute] = value
            case ast.Subscript(value=owner, slice=key):
                at = self._value(key)
                if isinstance(holder := self._value(owner), dict) and isinstance(at, str):
                    holder[at] = value

    def _value(self, node: ast.expr | None) -> Any:  # noqa: PLR0911 (one return a kind of node)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise OverflowError
        match node:
            case ast.Constant(value=value):
                return value if _plain(value) or value is None else UNKNOWN
            case ast.Name(id=name):
                return self._scope.get(name, UNKNOWN)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _computed(ast.Sub(), 0, self._value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _computed(op, self._value(left), self._value(right))
            case ast.JoinedStr(values=parts):
                values = [self._value(part.value if isinstance(part, ast.FormattedValue) else part) for part in parts]
                known = all(map(_plain, values)) and sum(len(str(value)) for value in values) < MOST_TEXT
                return "".join(map(str, values)) if known else UNKNOWN
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._value(part) for part in parts]
            case ast.Dict(keys=keys, values=values):
                return self._entries(keys, values)[0]
            case ast.Subscript(value=owner, slice=key):
                return _subscripted(self._value(owner), self._value(key))
            case ast.Attribute(value=owner, attr=attribute):
                built = self._value(owner)  # a part of what was built that is not known stands for the whole
                return built.keywords.get(attribute, built) if isinstance(built, Built) else UNKNOWN
            case ast.Call():
                return self._call(node)
        return UNKNOWN

    def _entries(self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr]) -> tuple[dict[str, Any], bool]:
        """Return a dict's known entries, and whether nothing unknown was merged into it."""
        entries: dict[str, Any] = {}
        complete = True
        for key, node in zip(keys, values, strict=True):
            value = self._value(node)
            name = self._value(key)
            if key is None and isinstance(value, dict):
                entries |= value
            elif isinstance(name, str):
                entries[name] = value
            else:
                complete = False
        return entries, complete

    def _call(self, node: ast.Call) -> Any:
        args = [self._value(argument) for argument in node.args]
        keys = [None if word.arg is None else ast.Constant(word.arg) for word in node.keywords]
        keywords, complete = self._entries(keys, [word.value for word in node.keywords])
        name, owner = _last_name(node.func), ""
        if isinstance(node.func, ast.Attribute):
            base, owner = self._value(node.func.value), _last_name(node.func.value)
            if isinstance(base, dict):
                if name == "update":
                    base.update({**(args[0] if args and isinstance(args[0], dict) else {}), **keywords})
                return UNKNOWN
            if isinstance(base, Built):
                if name in ("train", "fit"):
                    self.trained = base
                elif name == "requires_grad_":
                    base.keywords["requires_grad"] = args[0] if args else True
                return base
        elif isinstance(self._scope.get(name), ast.FunctionDef):
            return self.returned(self._scope[name], args, keywords)
        if name == "dict":
            return keywords
        name = name if owner else self._aliases.get(name, name)
        self.built.append(Built(name=name, owner=owner, args=args, keywords=keywords, complete=complete))
        return self.built[-1]

    def returned(self, function: Any, args: Sequence[Any] = (), keywords: Mapping[str, Any] | None = None) -> Any:
        """Return what a function of the notebook returns for what is known of its arguments."""
        if not isinstance(function, ast.FunctionDef):
            return UNKNOWN
        parameters = [parameter.arg for parameter in function.args.args]
        defaults = [self._value(default) for default in function.args.defaults]
        bound = dict.fromkeys(parameters, UNKNOWN)
        bound |= zip(reversed(parameters), reversed(defaults), strict=False)
        bound |= zip(parameters, args, strict=False)
        return self._block(function.body, {**self.names, **bound, **(keywords or {})})


def _computed(op: ast.operator, left: Any, right: Any) -> Any:
    does = _OPERATORS.get(type(op))
    if isinstance(left, str) and isinstance(right, str):
        known = isinstance(op, ast.Add) and len(left) + len(right) < MOST_TEXT
    else:
        known = all(isinstance(value, int | float) and abs(value) < LARGEST_NUMBER for value in (left, right))
    try:
        return does(left, right) if does and known else UNKNOWN
    except (ArithmeticError, ValueError):
        return UNKNOWN


def _subscripted(holder: Any, key: Any) -> Any:
    if isinstance(holder, Built) and isinstance(key, str):
        return replace(holder, part=key)
    try:
        return holder[key] if isinstance(holder, dict | list) and _plain(key) else UNKNOWN
    except (LookupError, TypeError):
        return UNKNOWN


def _last_name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)
