"""Bicep files as trees of a few kinds of node, by pycep's grammar: its own result does not tell names from texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from lark import Token, Tree
from lark.exceptions import LarkError
from pycep import BicepParser


class BicepError(Exception):
    """A file that Azure's tools would refuse. Names the file and what is wrong."""


@dataclass(frozen=True)
class Literal:
    value: str | int | bool | None


@dataclass(frozen=True)
class Template:
    """A text with ``${…}``: its parts in order, texts as Literals."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Access:
    """``base.member``, ``base[index]`` or ``base::child``; ``steps`` are texts, and nodes for indices."""

    base: Any
    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Object:
    """Pairs in order; a key is a text or a Template. ``children`` are resources declared in it."""

    pairs: tuple[tuple[Any, Any], ...]
    children: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class Array:
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Operation:
    operator: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """``condition ? yes : no``, and ``if (condition) yes`` where ``no`` is None."""

    condition: Any
    yes: Any
    no: Any


@dataclass(frozen=True)
class Lambda:
    names: tuple[str, ...]
    body: Any


@dataclass(frozen=True)
class Loop:
    item: str
    index: str | None
    source: Any
    body: Any


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    default: Any  # None where it must be given
    decorators: tuple[tuple[str, Any], ...]

    @property
    def is_secure(self) -> bool:
        return any(name == "secure" for name, _ in self.decorators)


@dataclass(frozen=True)
class Resource:
    symbol: str
    type: str
    version: str
    existing: bool
    body: Any


@dataclass(frozen=True)
class Module:
    symbol: str
    path: str
    body: Any


@dataclass(frozen=True)
class Output:
    name: str
    type: str
    value: Any
    decorators: tuple[tuple[str, Any], ...]


@dataclass
class File:
    """All that a file declares, by symbol."""

    path: Path
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)

    def expressions(self) -> Iterator[Any]:
        """Everything that is an expression somewhere in the file."""
        yield from (one.default for one in self.parameters.values() if one.default is not None)
        yield from self.variables.values()
        yield from (one.body for one in (*self.resources.values(), *self.modules.values()))
        yield from (one.value for one in self.outputs.values())


def walk(node: Any) -> Iterator[Any]:
    """A node and all below it."""
    yield node
    below: Any = ()
    if isinstance(node, tuple):
        below = node
    elif hasattr(node, "__dataclass_fields__"):
        below = tuple(getattr(node, one.name) for one in fields(node))
    for one in below:
        yield from walk(one)


def read(path: Path, text: str | None = None) -> File:
    """A template. Raises BicepError."""
    return _file(path, path.read_text() if text is None else text)


_USING = re.compile(r"^using '([^']+)'$", re.MULTILINE)


def read_parameters(path: Path, text: str | None = None) -> tuple[Path, dict[str, Any]]:
    """The template that a ``.bicepparam`` file is for, and the expressions it gives. Raises BicepError.

    The grammar has no such files. But for its first line one is a template with values in place of types.
    """
    text = path.read_text() if text is None else text
    using = _USING.findall(text)
    if len(using) != 1:
        raise BicepError(f"{path.name}: it must say once for which template it is: using 'FILE'")
    given = _file(path, re.sub(r"^param ", "var ", _USING.sub("", text), flags=re.MULTILINE))
    return (path.parent / using[0]).resolve(), given.variables


@cache
def _parser() -> BicepParser:
    return BicepParser()


def _tree(text: str, what: str) -> Tree[Token]:
    try:
        return _parser().lark_parser.parse(text)
    except LarkError as error:
        raise BicepError(f"{what}: {str(error).splitlines()[0]}") from error


@cache
def _file(path: Path, text: str) -> File:
    found = File(path)
    for tree in _tree(text, path.name).children:
        if isinstance(tree, Tree):
            _declare(found, tree)
    return found


def _declare(found: File, tree: Tree[Token]) -> None:
    kind, parts = str(tree.data), list(tree.children)
    decorators = tuple(_decorator(one) for one in parts[0].children) if isinstance(parts[0], Tree) else ()
    symbol = str(parts[1])
    if kind == "param":
        one: Any = Parameter(symbol, _type(parts[2]), None if parts[3] is None else _node(parts[3]), decorators)
        known: dict[str, Any] = found.parameters
    elif kind == "var":
        one, known = _node(parts[-1]), found.variables
    elif kind == "output":
        one, known = Output(symbol, _type(parts[2]), _node(parts[3]), decorators), found.outputs
    elif kind == "resource":
        type_, _, version = _text(parts[2].children[0]).partition("@")
        one, known = Resource(symbol, type_, version, parts[3] is not None, _node(parts[4])), found.resources
    elif kind == "module":
        one, known = Module(symbol, _text(parts[2].children[0]), _node(parts[3])), found.modules
    else:
        raise BicepError(f"{found.path.name}: {kind} is not known to these checks")
    others = (found.parameters, found.variables, found.resources, found.modules)
    if symbol in known or (kind != "output" and any(symbol in one for one in others)):
        raise BicepError(f"{found.path.name}: {symbol} is declared twice")
    known[symbol] = one


def _type(tree: Any) -> str:
    return "".join(str(token) for token in tree.scan_values(lambda _: True)) + "[]" * len(
        list(tree.find_data("array_suffix"))
    )


def _decorator(tree: Any) -> tuple[str, Any]:
    name, value = tree.children[0], next((one for one in tree.children[1:] if one is not None), None)
    return str(name).removeprefix("sys."), None if value is None else _node(value)


def _text(token: Token) -> str:
    return str(token)[1:-1]


_NODES = {"null": None, "true": True, "false": False}


def _node(tree: Any) -> Any:
    if isinstance(tree, Token):
        return _string(str(tree))
    kind, parts = str(tree.data), [one for one in tree.children if one is not None]
    if kind in _NODES:
        return Literal(_NODES[kind])
    if kind == "int_type":
        return Literal(int(parts[0]))
    if kind == "string":
        return _string(str(parts[-1]))
    if kind == "array":
        return Array(tuple(_node(one) for one in parts))
    if kind == "object":
        return _object(parts)
    if kind == "function":
        return Call(str(parts[0])[:-1], tuple(_node(one) for one in parts[1:]))
    if kind == "operator":
        return _node(parts[0])
    if kind.endswith("_accessor"):
        return _access(kind, parts)
    if kind in ("conditional", "deploy_condition"):
        condition, yes, *no = (_node(one) for one in parts)
        return Choice(condition, yes, no[0] if no else None)
    if kind == "lambda_expression":
        *names, body = parts
        return Lambda(tuple(str(one.children[-1]) for one in names), _node(body))
    if kind == "loop":
        return _loop(parts)
    return _operation(kind, [_node(one) for one in parts])


def _operation(kind: str, operands: list[Any]) -> Any:
    """``a == b ? c : d`` comes as ``a == (b ? c : d)``: the grammar knows no precedence, and keeps no brackets.

    So these files have no choice as an operand, and no two operators in one expression but ``!``.
    """
    last = operands[-1]
    if isinstance(last, Choice):
        return Choice(_operation(kind, [*operands[:-1], last.condition]), last.yes, last.no)
    if any(isinstance(one, Operation) and (kind == "not_op" or one.operator != "not_op") for one in operands):
        raise BicepError(f"two operators in one expression, {kind} of {operands}: name one of them in a variable")
    return Operation(kind, tuple(operands))


def _access(kind: str, parts: list[Any]) -> Access:
    base, step = _node(parts[0]), _node(parts[1])
    base, before = (base.base, base.steps) if isinstance(base, Access) else (base, ())
    if kind == "index_accessor":
        return Access(base, (*before, step))
    if isinstance(step, Access):
        step, after = step.base, step.steps
    else:
        after = ()
    assert isinstance(step, Name), f"cannot read {kind} of {step}"
    mark = "::" if kind == "nested_resource_accessor" else ""
    return Access(base, (*before, mark + step.name, *after))


def _object(parts: list[Any]) -> Object:
    pairs, children = [], []
    for part in parts:
        if str(part.data) == "child_resource":
            symbol, type_, existing, body = (*part.children, None)[:4]
            children.append(Resource(str(symbol), _text(type_), "", existing is not None, _node(body)))
            continue
        key = str(part.children[0].children[0])
        name = _string(key) if key.startswith("'") else Literal(key)
        pairs.append((name.value if isinstance(name, Literal) else name, _node(part.children[1])))
    return Object(tuple(pairs), tuple(children))


def _loop(parts: list[Any]) -> Loop:
    head, *_, body = parts
    names = [str(one) for one in head.children if isinstance(one, Token)]
    trees = [one for one in head.children if isinstance(one, Tree)]
    source = _node(trees[-1])
    names += [str(next(one.scan_values(lambda _: True))) for one in trees[:-1]]
    if str(head.data) == "loop_object":
        source = Call("items", (source,))
    return Loop(names[0], names[1] if len(names) > 1 else None, source, _node(body))


_INTERPOLATION = re.compile(r"(?<!\\)\$\{")
_ESCAPES = {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\t": "\t", "\\${": "${"}


def _plain(text: str) -> str:
    return re.sub(r"\\(?:\$\{|.)", lambda found: _ESCAPES[found[0]], text)


def _string(text: str) -> Any:
    """A token: a name, or a quoted text with or without expressions in it."""
    if not text.startswith("'"):
        return Name(text)
    text = text[1:-1]
    parts: list[Any] = []
    while (found := _INTERPOLATION.search(text)) is not None:
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        tree = _tree(f"var x = {text[found.end() : end - 1]}\n", text)
        parts += [Literal(_plain(text[: found.start()])), _node(tree.children[0].children[-1])]
        text = text[end:]
    parts.append(Literal(_plain(text)))
    kept = tuple(one for one in parts if one != Literal(""))
    if all(isinstance(one, Literal) for one in kept):
        return Literal("".join(str(one.value) for one in kept))
    return Template(kept)
