"""What ``kubectl kustomize`` makes of a folder, as far as the folders in ``infra/kubernetes`` go."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]


def render(folder: Path) -> list[Document]:
    """Resources, below this folder's and its bases' patches, with images and namespace put in."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "resources", "images", "patches"}
    assert plan.keys() <= known, f"{folder} asks for what this does not know: {plan.keys() - known}"
    documents: list[Document] = []
    for name in plan["resources"]:
        path = folder / name
        documents += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in plan.get("patches", []):
        _patch(documents, yaml.safe_load((folder / patch["path"]).read_text()), patch.get("target"))
    for image in plan.get("images", []):
        _rename(documents, image["name"], f"{image['newName']}:{image['newTag']}")
    for document in documents:
        if document["kind"] != "Namespace":
            document["metadata"]["namespace"] = plan["namespace"]
    return documents


def _patch(documents: list[Document], patch: Any, target: Document | None) -> None:
    wanted = target or {"kind": patch["kind"], "name": patch["metadata"]["name"]}
    found = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (wanted["kind"], wanted["name"])]
    assert len(found) == 1, f"a patch is for {wanted}, of which there are {len(found)}"
    if isinstance(patch, list):
        for step in patch:
            _step(found[0], **step)
    else:
        _merge(found[0], patch)


def _step(document: Any, op: str, path: str, value: Any = None) -> None:
    """One of JSON Patch (RFC 6902)."""
    *way, last = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])
    for part in way:
        document = document[int(part)] if isinstance(document, list) else document[part]
    if isinstance(document, list):
        assert (op, last) == ("add", "-")
        document.append(copy.deepcopy(value))
    elif op == "remove":
        del document[last]
    else:
        assert op == "add" or (op == "replace" and last in document)
        document[last] = copy.deepcopy(value)


def _merge(into: Document, patch: Document) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _rename(node: Any, name: str, by: str) -> None:
    if isinstance(node, list):
        for item in node:
            _rename(item, name, by)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "image" and isinstance(value, str) and value.rsplit(":", 1)[0] == name:
                node[key] = by
            else:
                _rename(value, name, by)
