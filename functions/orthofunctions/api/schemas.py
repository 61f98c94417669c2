"""Pydantic's JSON Schema (2020-12) in the words of OpenAPI 3.0, which OGC API - Processes 1.0 describes inputs with."""

from __future__ import annotations

from functools import cache
from typing import Any

from orthofunctions.domain.processes import PROCESSES


@cache
def input_descriptions(process: str) -> dict[str, Any]:
    """A process's inputs as OGC API - Processes describes them."""
    found = PROCESSES[process]
    schema = found.model.model_json_schema()
    shared, required = schema.get("$defs", {}), set(schema.get("required", ())) - {"request_id"}
    return {
        name: {
            "title": name.replace("_", " "),
            **({"description": of_input["description"]} if "description" in of_input else {}),
            "schema": openapi_schema(of_input, shared),
            "minOccurs": 1 if name in required else 0,
            "maxOccurs": 1,
        }
        for name, of_input in schema["properties"].items()
        if name not in found.hidden
    }


def openapi_schema(schema: Any, shared: dict[str, Any]) -> Any:
    """A schema without references, ``const``, null alternatives and numeric exclusive bounds.

    Parameters
    ----------
    schema : dict
        What pydantic says, or a part of it.
    shared : dict
        Its ``$defs``, which are written out where they are named. They must not be recursive.
    """
    if isinstance(schema, list):
        return [openapi_schema(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = shared[schema["$ref"].rsplit("/", 1)[-1]]
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return openapi_schema({**named, **beside}, shared)
    said: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "properties":
                said[name] = {key: openapi_schema(one, shared) for key, one in value.items()}
            case "const":
                said["enum"] = [value]
            case "prefixItems":  # positions: all of their members are alike but for bounds
                said["items"] = {"anyOf": [openapi_schema(one, shared) for one in value]}
            case "exclusiveMinimum":
                said |= {"minimum": value, "exclusiveMinimum": True}
            case "exclusiveMaximum":
                said |= {"maximum": value, "exclusiveMaximum": True}
            case "discriminator":
                pass  # it names definitions that are not here any more
            case "default":
                if isinstance(value, dict):  # of a default that is an object, members that are left out anyway
                    said[name] = {member: one for member, one in value.items() if one is not None}
                elif value is not None:
                    said[name] = value
            case _:
                said[name] = openapi_schema(value, shared)
    return _without_null(said)


def in_openapi_3_0(document: Any) -> Any:
    """A whole description, or a schema, of OpenAPI 3.1 in the words of 3.0; references stay."""
    if isinstance(document, list):
        return [in_openapi_3_0(one) for one in document]
    if not isinstance(document, dict):
        return document
    if "$ref" in document and len(document) > 1:  # 3.0 reads nothing beside a reference
        beside = {name: value for name, value in document.items() if name != "$ref"}
        return in_openapi_3_0({"allOf": [{"$ref": document["$ref"]}], **beside})
    said: dict[str, Any] = {}
    for name, value in document.items():
        match name:
            case "const" if not isinstance(value, dict):
                said["enum"] = [value]
            case "exclusiveMinimum" if not isinstance(value, (bool, dict)):
                said |= {"minimum": value, "exclusiveMinimum": True}
            case "exclusiveMaximum" if not isinstance(value, (bool, dict)):
                said |= {"maximum": value, "exclusiveMaximum": True}
            case "prefixItems":
                said["items"] = {"anyOf": in_openapi_3_0(value)} if value else {}
            case "default" if value is None:
                pass
            case "examples" if isinstance(value, list):
                said["example"] = value[0]
            case "properties":
                said[name] = {key: in_openapi_3_0(one) for key, one in value.items()}
            case _:
                said[name] = in_openapi_3_0(value)
    nullable = isinstance(said.get("anyOf"), list) and {"type": "null"} in said["anyOf"]
    said = _without_null(said)
    if nullable and "$ref" in said:
        said = {"allOf": [{"$ref": said.pop("$ref")}], **said}
    return said | {"nullable": True} if nullable else said


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An input that may be left out need not be null as well."""
    alternatives = schema.get("anyOf")
    if alternatives is None or {"type": "null"} not in alternatives:
        return schema
    left = [one for one in alternatives if one != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {**rest, "anyOf": left}
