"""What a deployment would ask Azure for: every resource of a template and its modules, with its properties worked out.

What only Azure knows, an identity's principal say, is a `Runtime`: a text that tells where it would come from.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bicepfiles.syntax import (
    Access,
    Array,
    BicepError,
    Call,
    Choice,
    File,
    Lambda,
    Literal,
    Loop,
    Name,
    Object,
    Operation,
    Resource,
    Template,
    read,
)

GROUP = "/subscriptions/S/resourceGroups/G"


class Runtime(str):
    """A value that is known only when what it is of is there: ``<resource id>.<path of properties>``."""

    __slots__ = ()


@dataclass(frozen=True)
class Deployed:
    """A resource as it would be asked for. ``id`` is built from its names, ``body`` is without scope and parent."""

    symbol: str
    type: str
    version: str
    id: str
    existing: bool
    body: dict[str, Any]
    scope: str | None = None
    where: str = ""
    children: Mapping[str, Deployed] = field(default_factory=dict)


def deployment(path: Path, given: Mapping[str, Any], files: Mapping[Path, str] | None = None) -> list[Deployed]:
    """All that a template deploys with these parameters, modules included. ``files`` are read instead of those on disk.

    Raises
    ------
    BicepError
        Where a parameter is missing, unknown or not allowed, or something is not defined.
    """
    found: list[Deployed] = []
    _Evaluation.of(path, given, files or {}, found).run()
    return found


def parameter_values(variables: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The values of a ``.bicepparam`` file, with these variables of the environment."""
    state = _Evaluation(File(Path("parameters")), {}, {}, [], environment=environment)
    return {name: state.value(node) for name, node in variables.items()}


@dataclass
class _Evaluation:
    file: File
    values: dict[str, Any]
    files: Mapping[Path, str]
    found: list[Deployed]
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, path: Path, given: Mapping[str, Any], files: Mapping[Path, str], found: list[Deployed]) -> _Evaluation:
        file = read(path, files.get(path))
        here = cls(file, {}, files, found)
        if unknown := sorted(set(given) - set(file.parameters)):
            raise BicepError(f"{path.name}: there is no parameter {', '.join(unknown)}")
        for name, parameter in file.parameters.items():
            if name not in given and parameter.default is None:
                raise BicepError(f"{path.name}: parameter {name} is not given")
            value = given[name] if name in given else here.value(parameter.default)
            _check(f"{path.name}: parameter {name}", parameter.type, value)
            for kind, argument in parameter.decorators:
                _hold(f"{path.name}: parameter {name}", kind, argument and here.value(argument), value)
            here.values[name] = value
        return here

    def run(self) -> None:
        for symbol in self.file.resources:
            self.resource(symbol)
        for one in self.file.modules.values():
            if (body := self._body(one.body)) is not None:
                path = (self.file.path.parent / one.path).resolve()
                if late := [name for name, value in body["params"].items() if isinstance(value, Runtime)]:
                    raise BicepError(
                        f"{self.file.path.name}: what-if sees nothing of {one.symbol}: {late[0]} comes late"
                    )
                _Evaluation.of(path, body["params"], self.files, self.found).run()

    def resource(self, symbol: str) -> Any:
        """A resource, or a list of them; None where its condition does not hold."""
        if symbol not in self.resources:
            if symbol in self.under_way:
                raise BicepError(f"{self.file.path.name}: {symbol} refers to itself")
            self.under_way.add(symbol)
            one = self.file.resources[symbol]
            if isinstance(one.body, Loop):
                made: Any = self._each(one.body, lambda here, body: here._deployed(one, here._body(body)))
            else:
                body = self._body(one.body)
                made = None if body is None else self._deployed(one, body)
            self.resources[symbol] = made
            self.found.extend(item for item in (made if isinstance(made, list) else [made]) if item is not None)
        return self.resources[symbol]

    def _body(self, node: Any) -> dict[str, Any] | None:
        if isinstance(node, Choice):
            return self._body(node.yes) if self.value(node.condition) else None
        made: dict[str, Any] = self.value(node)
        if isinstance(node, Object) and node.children:
            made["::"] = node.children
        return made

    def _deployed(self, one: Resource, body: dict[str, Any] | None) -> Deployed:
        assert body is not None
        parent, scope = body.pop("parent", None), body.pop("scope", None)
        children = body.pop("::", ())
        body.pop("dependsOn", None)
        name = str(body["name"])
        if parent is not None:
            where = f"{parent.id}/{one.type.rpartition('/')[2]}/{name}"
        else:
            where = f"{scope.id if scope else GROUP}/providers/{one.type}/{name}"
        made = Deployed(
            one.symbol,
            one.type,
            one.version,
            where,
            one.existing,
            body,
            scope.id if scope else None,
            self.file.path.name,
        )
        below = {}
        for child in children:
            named = replace(child, type=f"{one.type}/{child.type}", version=one.version)
            below[child.symbol] = self._deployed(named, {**self.value(child.body), "parent": made})
        self.found.extend(below.values())
        return replace(made, children=below)

    def _each(self, loop: Loop, make: Callable[[_Evaluation, Any], Any]) -> list[Any]:
        made = []
        for number, item in enumerate(self.value(loop.source)):
            here = replace(self, values={**self.values, loop.item: item})
            if loop.index:
                here.values[loop.index] = number
            made.append(make(here, loop.body))
        return made

    def value(self, node: Any) -> Any:
        match node:
            case Literal(value):
                return value
            case Template(parts):
                texts = [self.value(one) for one in parts]
                text = "".join(str(one).lower() if isinstance(one, bool) else str(one) for one in texts)
                return Runtime(text) if any(isinstance(one, Runtime) for one in texts) else text
            case Name(name):
                return self._named(name)
            case Array(items):
                return [self.value(one) for one in items]
            case Object(pairs):
                return {
                    str(self.value(key) if isinstance(key, Template) else key): self.value(one) for key, one in pairs
                }
            case Choice(condition, yes, no):
                return self.value(yes) if self.value(condition) else self.value(no)
            case Loop():
                return self._each(node, lambda here, body: here.value(body))
            case Lambda(names, body):
                return lambda *given: replace(
                    self, values={**self.values, **dict(zip(names, given, strict=True))}
                ).value(body)
            case Operation(operator, operands):
                return _operate(operator, operands, self.value)
            case Access(base, steps):
                return self._accessed(self.value(base), steps)
            case Call(function, arguments):
                return self._called(function, [self.value(one) for one in arguments])
        raise BicepError(f"{self.file.path.name}: cannot work out {node}")

    def _named(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name in self.file.variables:
            return self.value(self.file.variables[name])
        if name in self.file.resources:
            return self.resource(name)
        if name in self.file.modules:
            return None  # they are named in dependsOn only
        raise BicepError(f"{self.file.path.name}: {name} is not defined")

    def _accessed(self, value: Any, steps: tuple[Any, ...]) -> Any:
        for number, step in enumerate(steps):
            if isinstance(value, Deployed):
                if isinstance(step, str) and step.startswith("::"):
                    value = value.children[step[2:]]
                elif step in ("id", "name"):
                    value = value.id if step == "id" else value.body["name"]
                else:
                    return Runtime(f"<{value.id}>." + ".".join(str(one) for one in steps[number:]))
            else:
                key = step if isinstance(step, str) else self.value(step)
                try:
                    value = value[key]
                except (KeyError, IndexError, TypeError) as error:
                    raise BicepError(f"{self.file.path.name}: there is no {key} in {str(value)[:60]}") from error
        return value

    def _called(self, function: str, given: list[Any]) -> Any:
        if function == "loadJsonContent":
            path = (self.file.path.parent / given[0]).resolve()
            return json.loads(self.files.get(path) or path.read_text())
        if function == "readEnvironmentVariable":
            name, *default = given
            if name not in self.environment and not default:
                raise BicepError(f"variable {name} is not set")
            return self.environment.get(name, *default)
        if function not in FUNCTIONS:
            raise BicepError(f"{self.file.path.name}: function {function} is not known to these checks")
        return FUNCTIONS[function](*given)


def _union(*objects: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for one in objects:
        made |= one
    return made


def _concat(*parts: Any) -> Any:
    return [item for part in parts for item in part] if isinstance(parts[0], list) else "".join(parts)


def _subnet(space: str, bits: int, number: int) -> str:
    import ipaddress

    return str(list(ipaddress.ip_network(space).subnets(new_prefix=bits))[number])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cidrSubnet": _subnet,
    "concat": _concat,
    "empty": lambda value: not value,
    "environment": lambda: {"suffixes": {"storage": "core.windows.net"}},
    "guid": lambda *parts: f"guid({'|'.join(str(one) for one in parts)})",
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "json": json.loads,
    "map": lambda values, make: [make(one) for one in values],
    "resourceGroup": lambda: {"id": GROUP, "location": "westeurope"},
    "resourceId": lambda type_, name: f"{GROUP}/providers/{type_}/{name}",
    "split": lambda text, mark: text.split(mark),
    "string": str,
    "subscriptionResourceId": lambda type_, name: f"/subscriptions/S/providers/{type_}/{name}",
    "take": lambda text, n: text[:n],
    "tenant": lambda: {"tenantId": "TENANT"},
    "toObject": lambda values, key, value: {key(one): value(one) for one in values},
    "union": _union,
    "uniqueString": lambda *parts: f"u{zlib.crc32('|'.join(parts).encode()):012d}",
}
"""The functions that our files use; those that give texts nobody can foresee give recognisable ones."""


def _operate(operator: str, operands: tuple[Any, ...], value: Callable[[Any], Any]) -> Any:
    if operator == "and_op":
        return all(value(one) for one in operands)
    if operator == "or_op":
        return any(value(one) for one in operands)
    worked = [value(one) for one in operands]
    known: dict[str, Callable[..., Any]] = {
        "not_op": lambda a: not a,
        "equals": lambda a, b: a == b,
        "not_equals": lambda a, b: a != b,
        "greater_than": lambda a, b: a > b,
        "coalesce": lambda a, b: b if a is None else a,
    }
    if operator not in known:
        raise BicepError(f"operator {operator} is not known to these checks")
    return known[operator](*worked)


_PYTHON: dict[str, type] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}


def _check(what: str, type_: str, value: Any) -> None:
    wanted = _PYTHON.get(type_)
    if wanted is None:
        raise BicepError(f"{what} has type {type_}, which these checks do not know")
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise BicepError(f"{what} must be {type_}, not {value!r}")


def _hold(what: str, decorator: str, argument: Any, value: Any) -> None:
    size = value if isinstance(value, int) else len(value)
    if decorator == "allowed" and value not in argument:
        raise BicepError(f"{what} must be one of {argument}, not {value!r}")
    if decorator in ("minValue", "minLength") and size < argument:
        raise BicepError(f"{what} must be at least {argument}, not {value!r}")
    if decorator in ("maxValue", "maxLength") and size > argument:
        raise BicepError(f"{what} must be at most {argument}, not {value!r}")
