"""``python -m bicepfiles.facts CLONE``: makes `types.json` anew, from a clone of Azure's published Bicep types.

To be run where a template uses a type, a version or a property that the table does not have yet. CLONE is one of
github.com/Azure/bicep-types-az. The table holds what our files use and what must be given beside it, nothing more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bicepfiles.evaluate import Deployed
from bicepfiles.shapes import TABLE
from bicepfiles.symbols import reads
from bicepfiles.syntax import Resource, read
from bicepfiles.variants import FOLDER, variants

_REQUIRED, _READ_ONLY = 1, 2
_PRIMITIVES = {"StringType": "string", "IntegerType": "int", "BooleanType": "bool", "AnyType": "any"}


class Published:
    """The types in a clone."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone
        self._paths = self._git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
        self.commit = self._git("rev-parse", "HEAD").strip()
        self.day = self._git("log", "-1", "--format=%cs").strip()

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self._clone), *arguments], check=True, capture_output=True, text=True
        ).stdout

    @cache  # noqa: B019  # one object a run
    def _types(self, path: str) -> list[Any]:
        found: list[Any] = json.loads(self._git("show", f"HEAD:{path}"))
        return found

    def resource(self, type_: str, version: str) -> tuple[list[Any], dict[str, Any]]:
        """The file of types that has this one, and it."""
        name = f"{type_}@{version}".lower()
        ending = f"/{type_.partition('/')[0].lower()}/{version.lower()}/types.json"
        for path in (one for one in self._paths if one.endswith(ending)):
            types = self._types(path)
            for one in types:
                if one["$type"] == "ResourceType" and one["name"].lower() == name:
                    if one["name"] != f"{type_}@{version}":
                        raise SystemExit(f"write {one['name']}, not {type_}@{version}")
                    return types, one
        raise SystemExit(f"{type_}@{version} is not published")


def main(arguments: list[str]) -> int:
    published = Published(Path(arguments[0]))
    uses: dict[str, list[Deployed]] = {}
    for one in (one for resources in variants().values() for one in resources):
        uses.setdefault(f"{one.type}@{one.version}", []).append(one)
    table = {}
    for key in sorted(uses):
        types, found = published.resource(*key.split("@"))
        bodies = [one.body for one in uses[key] if not one.existing]
        body = _node(types, types[_at(found["body"])], bodies)
        asked = sorted({path for one, path in _reads() if f"{one.type}@{one.version}" == key})
        for path in asked:
            _follow(types, found, path)
        table[key] = {"scopes": found["writableScopes"], "body": body, "reads": asked}
    document = {
        "source": f"github.com/Azure/bicep-types-az, commit {published.commit} of {published.day}",
        "made": "python -m bicepfiles.facts CLONE, with tests, local-dev and functions on PYTHONPATH",
        "types": table,
    }
    lines = json.dumps(document, indent=1).splitlines()[:4]  # what is said of the table itself
    lines += ",\n".join(f"  {json.dumps(key)}: {json.dumps(one)}" for key, one in table.items()).splitlines()
    TABLE.write_text("\n".join([*lines, " }", "}"]) + "\n")
    sys.stdout.write(f"{len(table)} types\n")
    return 0


def _reads() -> Iterator[tuple[Resource, str]]:
    for path in sorted(FOLDER.rglob("*.bicep")):
        yield from reads(read(path))


def _follow(types: list[Any], of: dict[str, Any], path: str) -> None:
    """Raises SystemExit where a type has no such property."""
    node = types[_at(of["body"])]
    for step in path.split("."):
        if step not in node.get("properties", {}):
            raise SystemExit(f"{of['name']} has no {path}")
        node = types[_at(node["properties"][step]["type"])]


def _at(reference: dict[str, str]) -> int:
    return int(reference["$ref"].rpartition("/")[2])


def _node(types: list[Any], of: Any, values: list[Any]) -> Any:
    """What is said of a type, as far as these values use it."""
    kind = of["$type"]
    if kind in _PRIMITIVES:
        return _PRIMITIVES[kind]
    if kind == "StringLiteralType":
        return {"enum": [of["value"]], "open": False}
    if kind == "UnionType":
        members = [types[_at(one)] for one in of["elements"]]
        texts = [one["value"] for one in members if one["$type"] == "StringLiteralType"]
        return {"enum": texts, "open": len(texts) < len(members)} if texts else "any"
    if kind == "ArrayType":
        items = [item for value in values if isinstance(value, list) for item in value]
        return {"array": _node(types, types[_at(of["itemType"])], items)}
    dicts = [value for value in values if isinstance(value, dict)]
    if kind == "DiscriminatedObjectType":
        used = {str(one.get(of["discriminator"])) for one in dicts}
        cases = {
            name: _node(types, types[_at(one)], [one for one in dicts if one.get(of["discriminator"]) == name])
            for name, one in of["elements"].items()
            if name in used
        }
        return {
            "by": of["discriminator"],
            "cases": cases,
            "properties": _properties(types, of["baseProperties"], dicts),
        }
    if kind != "ObjectType":
        raise SystemExit(f"{kind} is not known")
    node: dict[str, Any] = {"properties": _properties(types, of["properties"], dicts)}
    if "additionalProperties" in of:
        more = [one[name] for one in dicts for name in one if name not in of["properties"]]
        node["more"] = _node(types, types[_at(of["additionalProperties"])], more)
    return node


def _properties(types: list[Any], properties: dict[str, Any], dicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Those that are used, and those that must be given. Read-only ones are left out: nobody can give them."""
    found = {}
    for name, one in properties.items():
        values = [value[name] for value in dicts if value.get(name) is not None]
        if one["flags"] & _READ_ONLY or not (values or one["flags"] & _REQUIRED):
            continue
        found[name + ("!" if one["flags"] & _REQUIRED else "")] = _node(types, types[_at(one["type"])], values)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
