"""Filters of a search: Basic CQL2, as text and as JSON, with ``between``, ``in`` and ``like``.

Source: OGC 21-065r2, "Common Query Language (CQL2)", clauses 6 and 7.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from orthofunctions.domain.items import moment

Lookup = Callable[[str], Any]
MOST_CHARACTERS: Final = 10_000
_MOST_OF_JSON: Final = 5 * MOST_CHARACTERS
"""It is longer than text. Every row that is looked at is held against all of a filter."""
_MOST_NESTED: Final = 20
_COMPARISONS: Final = ("=", "<>", "<", ">", "<=", ">=")


class FilterError(ValueError):
    """A filter that is no CQL2 we know, and why."""


@dataclass(frozen=True)
class Filter:
    """``op`` of its arguments: other filters, or a property's name and what it is held against."""

    op: str
    arguments: tuple[Any, ...]

    def holds(self, lookup: Lookup) -> bool:
        """Whether it is true of something; a property that is not there compares with nothing."""
        match self.op:
            case "and":
                return all(one.holds(lookup) for one in self.arguments)
            case "or":
                return any(one.holds(lookup) for one in self.arguments)
            case "not":
                return not self.arguments[0].holds(lookup)
            case "true":
                return bool(self.arguments[0])
        value = lookup(self.arguments[0])
        if self.op == "isNull":
            return value is None
        if value is None:
            return False
        return _compare(self.op, value, self.arguments[1])

    def must_equal(self, name: str) -> Any:
        """What a property must be for the filter to hold; None where it need not be one thing."""
        if self.op == "=" and self.arguments[0] == name:
            return self.arguments[1]
        if self.op == "and":
            return next((value for one in self.arguments if (value := one.must_equal(name)) is not None), None)
        return None


def parse_filter(value: object, properties: Collection[str]) -> Filter:
    """A filter given as text (CQL2 Text, or JSON in a string) or as a JSON object.

    Raises
    ------
    FilterError
    """
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise FilterError(f"a filter has at most {MOST_CHARACTERS} characters")
        if value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise FilterError(f"not JSON: {str(error)[:200]}") from error
        else:
            return _Text(value, properties).filter()
    found = _from_json(value, properties, 0)
    if len(json.dumps(value)) > _MOST_OF_JSON:
        raise FilterError(f"a filter has at most {_MOST_OF_JSON} characters as JSON")
    return found


def _compare(op: str, value: Any, other: Any) -> bool:
    if op == "in":
        return any(_compare("=", value, one) for one in other)
    if op == "between":
        return _compare(">=", value, other[0]) and _compare("<=", value, other[1])
    if op == "like":
        return isinstance(value, str) and _like(other).fullmatch(value) is not None
    if isinstance(other, datetime) and isinstance(value, str):
        value = moment(value)
    if isinstance(value, datetime) and isinstance(other, str):
        other = moment(other)
    numbers = isinstance(value, int | float) and isinstance(other, int | float)
    if not numbers and type(value) is not type(other):
        return op == "<>"
    match op:
        case "=":
            return bool(value == other)
        case "<>":
            return bool(value != other)
        case "<":
            return bool(value < other)
        case ">":
            return bool(value > other)
        case "<=":
            return bool(value <= other)
    return bool(value >= other)


@lru_cache(maxsize=64)
def _like(pattern: str) -> re.Pattern[str]:
    """``%`` any text, ``_`` one character, a backslash before what is meant itself.

    What lies between two ``%`` is looked for once, where it comes first (an atomic group): trying every other place too
    would take for ever with twenty of them.
    """
    pieces = [""]
    for part in re.findall(r"\\.|%+|_|[^\\%_]+|\\", pattern, re.DOTALL):
        if part.startswith("%"):
            pieces.append("")
        else:
            pieces[-1] += "." if part == "_" else re.escape(part[1:] if part[0] == "\\" else part)
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    first, *between, last = pieces
    return re.compile(first + "".join(f"(?>.*?{one})" for one in between) + ".*" + last, re.DOTALL)


def _from_json(value: Any, properties: Collection[str], depth: int) -> Filter:
    if depth > _MOST_NESTED:
        raise FilterError(f"a filter is nested at most {_MOST_NESTED} deep")
    if isinstance(value, bool):
        return Filter("true", (value,))
    if not isinstance(value, dict) or not isinstance(value.get("op"), str) or not isinstance(value.get("args"), list):
        raise FilterError('a filter is {"op": ..., "args": [...]}')
    op, arguments = value["op"], value["args"]
    if op == "between" and len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]  # as drafts of the standard had it
    if op in ("and", "or") and len(arguments) >= 1:
        return Filter(op, tuple(_from_json(one, properties, depth + 1) for one in arguments))
    if op == "not" and len(arguments) == 1:
        return Filter(op, (_from_json(arguments[0], properties, depth + 1),))
    if op == "isNull" and len(arguments) == 1:
        return Filter(op, (_property(arguments[0], properties),))
    if op in _COMPARISONS and len(arguments) == 2:
        return Filter(op, (_property(arguments[0], properties), _literal(arguments[1])))
    if op == "between" and len(arguments) == 3:
        return Filter(op, (_property(arguments[0], properties), (_literal(arguments[1]), _literal(arguments[2]))))
    if op == "in" and len(arguments) == 2 and isinstance(arguments[1], list):
        return Filter(op, (_property(arguments[0], properties), tuple(_literal(one) for one in arguments[1])))
    if op == "like" and len(arguments) == 2 and isinstance(arguments[1], str):
        return Filter(op, (_property(arguments[0], properties), arguments[1]))
    raise FilterError(f"{op[:40]!r} with {len(arguments)} arguments is not among what is understood: and, or, not, "
                      f"{', '.join(_COMPARISONS)}, isNull, between, in, like")  # fmt: skip


def _property(value: Any, properties: Collection[str]) -> str:
    name = value.get("property") if isinstance(value, dict) else None
    return _known(str(name), properties)


def _known(name: str, properties: Collection[str]) -> str:
    name = name.removeprefix("properties.")
    if name not in properties:
        raise FilterError(f"{name[:60]!r} is no queryable; there are {', '.join(sorted(properties))}")
    return name


def _literal(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in ("timestamp", "date") and isinstance(text, str):
            return _time(text)
    raise FilterError(f"{str(value)[:60]} is no text, number, true, false, timestamp or date")


def _time(text: str) -> datetime:
    when = moment(text)
    if when is None:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise FilterError(f"{text[:40]!r} is no RFC 3339 time") from None
        when = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return when


_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>\"[^\"]+\")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<sign><=|>=|<>|[=<>(),])|(?P<name>[A-Za-z_][A-Za-z0-9_:.\-]*))"
)


class _Text:
    """Reads CQL2 Text from left to right: ``or`` binds least, then ``and``, then ``not``."""

    def __init__(self, text: str, properties: Collection[str]) -> None:
        self._properties = properties
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        place = 0
        text = text.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise FilterError(f"not understood at {text[place : place + 20]!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()

    def filter(self) -> Filter:
        found = self._either()
        if self._tokens:
            raise FilterError(f"not understood at {self._tokens[0][1][:20]!r}")
        return found

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Filter("or", tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Filter("and", tuple(parts))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise FilterError(f"a filter is nested at most {_MOST_NESTED} deep")
        try:
            if self._take("not"):
                return Filter("not", (self._one(),))
            if self._take("("):
                found = self._either()
                self._need(")")
                return found
            for word, value in (("true", True), ("false", False)):
                if self._take(word):
                    return Filter("true", (value,))
            return self._predicate()
        finally:
            self._depth -= 1

    def _predicate(self) -> Filter:
        kind, text = self._next()
        if kind not in ("name", "quoted"):
            raise FilterError(f"a property is expected, not {text[:20]!r}")
        name = _known(text.strip('"'), self._properties)
        if self._take("is"):
            negated = self._take("not")
            self._need("null")
            return self._maybe_not(negated, Filter("isNull", (name,)))
        negated = self._take("not")
        if self._take("between"):
            low = self._value()
            self._need("and")
            return self._maybe_not(negated, Filter("between", (name, (low, self._value()))))
        if self._take("in"):
            self._need("(")
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            self._need(")")
            return self._maybe_not(negated, Filter("in", (name, tuple(values))))
        if self._take("like"):
            return self._maybe_not(negated, Filter("like", (name, str(self._value()))))
        kind, sign = self._next()
        if negated or sign not in _COMPARISONS:
            raise FilterError(f"a comparison is expected after {name}, not {sign[:20]!r}")
        return Filter(sign, (name, self._value()))

    def _maybe_not(self, negated: bool, found: Filter) -> Filter:
        return Filter("not", (found,)) if negated else found

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if kind == "name" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "name" and text.lower() in ("timestamp", "date"):
            self._need("(")
            when = _time(str(self._value()))
            self._need(")")
            return when
        raise FilterError(f"a value is expected, not {text[:20]!r}")

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise FilterError("it ends too early")
        return self._tokens.pop(0)

    def _take(self, word: str) -> bool:
        if self._tokens and self._tokens[0][0] in ("sign", "name") and self._tokens[0][1].lower() == word:
            self._tokens.pop(0)
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            found = self._tokens[0][1][:20] if self._tokens else "the end"
            raise FilterError(f"{word!r} is expected, not {found!r}")
