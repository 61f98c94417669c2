"""What of a release the one before it could not live with: two sets of schemas compared. Pure.

Conservative: a change that it cannot judge, as that of a pattern, counts. Each finding says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
LeftOut = Callable[[str, str], bool]
"""Whether a field of a model is left out of what is written where it is at its default."""

_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_AS_IT_WAS: Final = ("pattern", "format", "uniqueItems")
_KEEP: Final = "keep it for one release more, unused"


def of_models(before: Mapping[str, Schema], now: Mapping[str, Schema], is_left_out: LeftOut) -> Iterator[str]:
    """By definition: every model, and every part of one."""
    for name, was in before.items():
        if name not in now:
            yield f"{name} is gone: {_KEEP}"
        elif "properties" not in was:
            if why := narrower(was, now[name]):
                yield f"{name}: {why}"
        else:
            yield from _of_model(name, was, now[name], is_left_out)


def _of_model(name: str, was: Schema, now: Schema, is_left_out: LeftOut) -> Iterator[str]:
    required_then, required_now = was.get("required", ()), now.get("required", ())
    for field, then in was["properties"].items():
        where = f"{name}.{field}"
        is_ = now["properties"].get(field)
        if is_ is None:
            yield f"{where} is gone: {_KEEP}"
            continue
        if why := narrower(then, is_):
            yield f"{where} takes less than it did ({why}): what the release before writes must still be read"
        if field in required_now and field not in required_then:
            yield f"{where} has no default any longer: the release before may leave it out"
        if field in required_then and field not in required_now and is_left_out(name, field):
            yield f"{where} may be left out now: the release before refuses what lacks it, so always write it"
        if field not in required_then and field not in required_now and then.get("default") != is_.get("default"):
            yield f"{where} has another default: what was left out would mean something else to each release"
    for field in now["properties"].keys() - was["properties"].keys():
        where = f"{name}.{field}"
        if field in required_now:
            yield f"{where} is new and has no default: the release before does not write it"
        elif was.get("additionalProperties") is False and not is_left_out(name, field):
            yield (
                f"{where} is new and always written, and the release before refuses fields it does not know: "
                "let its default be None, or declare it with Field(exclude_if=...): only what uses it is refused then"
            )


def narrower(was: Schema, now: Schema) -> str | None:  # a rule a line
    """Why a value that one schema takes may be refused by the other; None where none is."""
    if was == now:
        return None
    before, after = _alternatives(was), _alternatives(now)
    if len(before) > 1 or len(after) > 1:
        for one in before:
            reasons = [narrower(one, other) for other in after]
            if None not in reasons:
                return str(reasons[0])
        return None
    if "$ref" in was or "$ref" in now:
        return None if was.get("$ref") == now.get("$ref") else "it is of another type"
    if "enum" in now or "const" in now:
        if "enum" not in was and "const" not in was:
            return "only some values are left"
        gone = [value for value in _values(was) if value not in _values(now)]
        return f"{gone[0]!r} is gone" if gone else None
    if not _type_fits(was.get("type"), now.get("type")):
        return f"it was {was.get('type')}, and is {now.get('type')}"
    return _bounds(was, now) or _inside(was, now)


def _alternatives(schema: Schema) -> list[Schema]:
    found = schema.get("anyOf") or schema.get("oneOf")
    return list(found) if found else [schema]


def _values(schema: Schema) -> list[Any]:
    return list(schema["enum"]) if "enum" in schema else [schema["const"]]


def _type_fits(was: Any, now: Any) -> bool:
    return now is None or was == now or (was, now) == ("integer", "number")


def _bounds(was: Schema, now: Schema) -> str | None:
    for key in _LOWER:
        if key in now and (key not in was or now[key] > was[key]):
            return f"{key} is {now[key]}, was {was.get(key, 'none')}"
    for key in _UPPER:
        if key in now and (key not in was or now[key] < was[key]):
            return f"{key} is {now[key]}, was {was.get(key, 'none')}"
    for key in _AS_IT_WAS:
        if key in now and now[key] != was.get(key):
            return f"{key} is another"
    return None


def _inside(was: Schema, now: Schema) -> str | None:
    for key in ("items", "additionalProperties", "propertyNames"):
        then, is_ = was.get(key, {}), now.get(key, {})
        if isinstance(then, Mapping) and isinstance(is_, Mapping) and (why := narrower(then, is_)):
            return f"{key}: {why}"
    then, is_ = was.get("prefixItems", ()), now.get("prefixItems", ())
    if len(then) != len(is_):
        return "it has another length"
    reasons = (narrower(*pair) for pair in zip(then, is_, strict=True))
    return next((why for why in reasons if why), None)


def of_rows(before: Mapping[str, Schema], now: Mapping[str, Schema]) -> Iterator[str]:
    """Of records in tables. Their readers keep no field that they do not know, and refuse a state that they do not."""
    for name, was in before.items():
        is_ = now.get(name)
        if is_ is None:
            yield f"{name} is gone: {_KEEP}"
            continue
        if (was["table"], was["keys"]) != (is_["table"], is_["keys"]):
            yield f"{name} lies elsewhere: rows of the release before would not be found"
        yield from _of_record(name, was["fields"], is_["fields"])


def _of_record(name: str, was: Mapping[str, Schema], now: Mapping[str, Schema]) -> Iterator[str]:
    for field, then in was.items():
        where = f"{name}.{field}"
        is_ = now.get(field)
        if is_ is None:
            yield f"{where} is gone: {_KEEP}"
            continue
        if then["type"] != is_["type"]:
            yield f"{where} was {then['type']}, and is {is_['type']}: give what is of another type another name"
        if "enum" in then and {*then["enum"]} != {*is_.get("enum", ())}:
            changed = ", ".join(sorted({*then["enum"]} ^ {*is_.get("enum", ())}))
            yield (
                f"{where} has other states ({changed}): a row in a state that the release before does not know cannot "
                "be read by it; let a release read the state before one writes it"
            )
        if is_["required"] and not then["required"]:
            yield f"{where} has no default any longer: rows of the release before may lack it"
        if then["required"] and not is_["required"] and is_["default"] is None:
            yield f"{where} may be None now, which leaves it out: the release before cannot read a row without it"
        if not then["required"] and not is_["required"] and then["default"] != is_["default"]:
            yield f"{where} has another default: a row without it would mean something else to each release"
    for field in now.keys() - was.keys():
        if now[field]["required"]:
            yield f"{name}.{field} is new and has no default: rows of the release before do not have it"
