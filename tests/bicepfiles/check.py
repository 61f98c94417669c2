"""Everything that is looked at, in one list of complaints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from bicepfiles import shapes, symbols
from bicepfiles.evaluate import Deployed, Runtime
from bicepfiles.syntax import BicepError, File, read
from bicepfiles.variants import FOLDER, variants


def templates() -> list[Path]:
    return sorted(FOLDER.rglob("*.bicep"))


def problems(files: Mapping[Path, str] | None = None) -> list[str]:
    """What is wrong with infra/azure, with these files instead of those on disk."""
    files = files or {}
    try:
        opened = [read(path, files.get(path)) for path in templates()]
        found = [one for file in opened for one in (*symbols.complaints(file, files), *_reads(file))]
        if found:
            return found
        for name, resources in variants(files).items():
            found += [f"{name}: {one}" for one in _of_deployment(resources)]
    except BicepError as error:
        return [str(error)]
    return found


def _reads(file: File) -> Iterator[str]:
    for resource, what in symbols.reads(file):
        known = shapes.table().get(f"{resource.type}@{resource.version}", {}).get("reads", ())
        if what not in known:
            yield f"{file.path.name}: {resource.symbol} has no {what} that {shapes.TABLE.name} knows"


def _of_deployment(resources: list[Deployed]) -> Iterator[str]:
    for one in resources:
        yield from shapes.complaints(one)
        if isinstance(one.id, Runtime) or isinstance(one.body["name"], Runtime):
            yield f"{one.where} {one.symbol}: its name is not known before the deployment, so what-if does not see it"
    made = Counter(one.id for one in resources if not one.existing)
    yield from (f"{id_} is made {n} times" for id_, n in made.items() if n > 1)
    types = {one.type for one in resources if not one.existing}
    for one in resources:
        if one.existing and one.type in types and one.id not in made:
            yield f"{one.where} {one.symbol}: there is no {one.id}"
