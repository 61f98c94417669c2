"""The files a task needs, each with a link to read it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import datetime

from orthocontracts import names
from orthocontracts.outputs import Source
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import InputFile
from orthofunctions.ports import BlobFacts, Ports
from orthofunctions.usecases.sidecars import named_sidecar, only_dimap


class InputMissingError(Exception):
    """A product or auxiliary file was there when the task was planned and is gone now."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"{ref} is gone: it was there when the request was planned. Upload it and request again.")
        self.ref = ref


Known = MutableMapping[str, tuple[BlobFacts, ...]]
"""Files by the source they belong to, as a round has seen them: its tasks share products and DEM."""


def input_files(ports: Ports, spec: TaskSpec, expires_at: datetime, known: Known) -> tuple[InputFile, ...]:
    """Links to every file of the task's products, DEM and geoid. ``known`` is asked first, and told.

    Raises
    ------
    InputMissingError
        Where one is gone.
    """
    sources = [*spec.products, *(one for one in (spec.terrain.dem, spec.terrain.geoid) if one is not None)]
    files = {}
    for source in sources:
        if source.ref not in known:
            known[source.ref] = tuple(_members(ports, source))
        for facts in known[source.ref]:
            path = f"{facts.container}/{facts.name}"
            files[path] = InputFile(
                path=path,
                url=ports.links.read_url(facts.container, facts.name, expires_at),
                size_bytes=facts.size_bytes,
                md5=facts.md5,
            )
    return tuple(files.values())


def _members(ports: Ports, source: Source) -> Iterator[BlobFacts]:
    container, name = source.ref.split("/", 1)
    if source.kind == "folder":
        found = list(ports.blobs.list(container, f"{name}/"))
        if not found:
            raise InputMissingError(source.ref)
        yield from found
        return
    facts = ports.blobs.facts(container, name)
    if facts is None:
        raise InputMissingError(source.ref)
    yield facts
    if container == names.CONTAINER_PRODUCTS and name.lower().endswith((".tif", ".tiff")):
        sidecar = named_sidecar(ports.blobs, container, name) or only_dimap(ports.blobs, container, name)
        if sidecar is not None:
            yield sidecar
