"""Resources held against Azure's published types: what `types.json` says of those that we use.

A node of the table is a primitive (``"string"``, ``"int"``, ``"bool"``, ``"any"``), ``{"enum": […], "open": …}``,
``{"array": node}``, ``{"properties": {…}, "more": node}`` (a name with ``!`` must be given) or
``{"by": name, "cases": {…}, "properties": {…}}``. It holds the properties that our files use, and all that must be
given beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bicepfiles.evaluate import Deployed, Runtime

TABLE = Path(__file__).with_name("types.json")
GROUP_SCOPE, EXTENSION_SCOPE = 8, 16
"""Bits of the scopes that a type may be deployed on: a resource group, another resource."""


@cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.read_text())["types"]
    return found


def complaints(resource: Deployed, types: Mapping[str, Any] | None = None) -> list[str]:
    """What Azure would not take of a resource, each with its path."""
    types = table() if types is None else types
    key = f"{resource.type}@{resource.version}"
    what = f"{resource.where} {resource.symbol}"
    if key not in types:
        return [f"{what}: {key} is not in {TABLE.name}: see its first lines"]
    if resource.existing:
        return []
    found = []
    wanted = EXTENSION_SCOPE if resource.scope else GROUP_SCOPE
    if not types[key]["scopes"] & wanted:
        found.append(f"{what}: {resource.type} is not deployed there")
    return found + [f"{what}: {one}" for one in _wrong(resource.body, types[key]["body"], "")]


def _wrong(value: Any, node: Any, path: str) -> Iterator[str]:
    if node == "any" or isinstance(value, Runtime):
        return
    if isinstance(node, str):
        wanted = {"string": str, "int": int | float, "bool": bool}[node]
        if not isinstance(value, wanted) or (node == "int" and isinstance(value, bool)):
            yield f"{path} must be {node}, not {value!r}"
    elif "enum" in node:
        if value not in node["enum"] and not (node["open"] and isinstance(value, str) and _is_open_on_purpose(path)):
            yield f"{path} must be one of {', '.join(node['enum'])}, not {value!r}"
    elif "array" in node:
        if not isinstance(value, list):
            yield f"{path} must be a list, not {value!r}"
            return
        for number, item in enumerate(value):
            yield from _wrong(item, node["array"], f"{path}[{number}]")
    else:
        yield from _wrong_object(value, node, path)


def _wrong_object(value: Any, node: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path or 'it'} must be an object, not {value!r}"
        return
    properties = dict(node.get("properties", {}))
    if "by" in node:
        case = value.get(node["by"])
        if case not in node["cases"]:
            yield f"{path}.{node['by']} must be one of {', '.join(node['cases'])}, not {case!r}"
            return
        properties |= {f"{node['by']}!": "string"} | node["cases"][case].get("properties", {})
    known = {name.rstrip("!"): one for name, one in properties.items()}
    for name in properties:
        if name.endswith("!") and value.get(name[:-1]) is None:
            yield f"{path}.{name[:-1]} is not given"
    for name, one in value.items():
        if name not in known and "more" not in node:
            yield f"{path}.{name} is no property of it that {TABLE.name} knows"
        elif one is not None:
            yield from _wrong(one, known.get(name, node.get("more")), f"{path}.{name}")


def _is_open_on_purpose(path: str) -> bool:
    """Azure takes other texts than those it names in almost every list, for services of tomorrow. We hold ours to
    the names, where those are all there is."""
    return path in {".kind"}
