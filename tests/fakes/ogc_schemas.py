"""The schemas of OGC API - Processes 1.0, read where they lie: as YAML that refers to its neighbours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema.validators import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from realdata import real_data


@cache
def _validator(folder: Path, name: str) -> Draft4Validator:
    # OpenAPI 3.0 has Draft 4's words where it has any of them: boolean exclusive bounds
    documents = {file.name: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}
    resources = [(file, Resource.from_contents(one, default_specification=DRAFT4)) for file, one in documents.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft4Validator({"$ref": f"{name}.yaml"}, registry=registry)


def faults(document: Any, name: str) -> list[str]:
    """What a schema of the standard has against a document; the test skips where the standard is not at hand."""
    folder = real_data("ogcapi", "v1.0", "openapi", "schemas")
    return [f"{one.json_path}: {one.message[:300]}" for one in _validator(folder, name).iter_errors(document)]
