"""The files a task needs, each with a link to read it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orthocontracts import names
from orthocontracts.inputs import InputFile
from orthocontracts.outputs import FILE_SUFFIX, Source
from orthocontracts.references import scheme_of
from orthocontracts.stores import split_site_url
from orthocontracts.tasks import TaskSpec
from orthofunctions.domain.faults import BrokenProductError, PlanError
from orthofunctions.ports import BlobFacts, BlobMissingError, Ports
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.contents import content_of, content_of_folder
from orthofunctions.usecases.folders import SiteMember, members_of_folder
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.sidecars import named_sidecar, only_dimap


class InputMissingError(Exception):
    """A product or auxiliary file was there when the task was planned and is gone now."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"{ref} is gone: it was there when the request was planned. Upload it and request again.")
        self.ref = ref


class InputReplacedError(Exception):
    """A product or auxiliary file has other content than when the task was planned: its images would be misnamed."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"{ref} was replaced after the request was planned: request again what is there now.")
        self.ref = ref


@dataclass(frozen=True)
class _Member:
    """A file of a source, and where it goes on the worker."""

    path: str
    where: BlobFacts | SiteMember


Known = MutableMapping[str, tuple[_Member, ...]]
"""Files by the source they belong to, as a round has seen them: its tasks share products and DEM."""


def input_files(ports: Ports, spec: TaskSpec, expires_at: datetime, known: Known) -> tuple[InputFile, ...]:
    """Links to every file of the task's products, DEM, geoid and instrument. ``known`` is asked first, and told.

    What lies on servers is as the plan found it: a slow one must not hold up a round, and the worker asks for that
    version and no other.

    Raises
    ------
    InputMissingError
        Where one is gone.
    InputReplacedError
        Where one is not what was planned.
    """
    files = {file.path: file for file in spec.elsewhere or ()}
    for source in spec.sources:
        if scheme_of(source.ref) is not None:
            continue
        if source.ref not in known:
            known[source.ref] = tuple(_members(ports, source))
        _check_unchanged(ports, source, known[source.ref], spec.created_at)
        for member in known[source.ref]:
            where = member.where
            if isinstance(where, SiteMember):
                url, etag = where.url, None
            else:
                url, etag = ports.links.read_url(where.container, where.name, expires_at), where.etag
            files[member.path] = InputFile(
                path=member.path, url=url, size_bytes=where.size_bytes, md5=where.md5, etag=etag
            )
    return tuple(files.values())


def _check_unchanged(ports: Ports, source: Source, members: Sequence[_Member], planned_at: datetime) -> None:
    """Look again at what was written since the plan: the same bytes may have been uploaded once more."""
    blobs = [member.where for member in members if isinstance(member.where, BlobFacts)]
    # The service tells whole seconds.
    if all(blob.last_modified < planned_at.replace(microsecond=0) for blob in blobs):
        return
    container = source.ref.partition("/")[0]
    if container == names.CONTAINER_PRODUCTS:
        try:
            now = inspect_product(ports.blobs, source.ref).source
        except PlanError as error:
            raise InputReplacedError(source.ref) from error
        changed = now.content != source.content
    else:
        now_there = content_of_folder(blobs) if source.kind == "folder" else content_of(blobs[0])
        changed = container == names.CONTAINER_AUX and source.content != now_there
    if changed:
        raise InputReplacedError(source.ref)


def _members(ports: Ports, source: Source) -> Iterator[_Member]:
    container, name = source.ref.split("/", 1)
    if source.kind == "folder":
        try:
            found = members_of_folder(ports.blobs, container, name)
        except (BrokenProductError, BlobMissingError) as error:
            raise InputMissingError(source.ref) from error
        if not found:
            raise InputMissingError(source.ref)
        yield from (_Member(f"{source.ref}/{path}", where) for path, where in found.items())
        return
    if container == names.CONTAINER_CATALOGUE:
        yield from _files_of_entry(ports, source)
        return
    facts = ports.blobs.facts(container, name)
    if facts is None:
        raise InputMissingError(source.ref)
    yield _Member(source.ref, facts)
    if container == names.CONTAINER_PRODUCTS and name.lower().endswith((".tif", ".tiff")):
        sidecar = named_sidecar(ports.blobs, container, name) or only_dimap(ports.blobs, container, name)
        if sidecar is not None:
            yield _Member(f"{container}/{sidecar.name}", sidecar)


def _files_of_entry(ports: Ports, source: Source) -> Iterator[_Member]:
    """The files of an image, each beside ``catalogue/<digest>`` under its kind's suffix."""
    entry = read_entry(ports, source.ref.partition("/")[2])
    if entry is None:
        raise InputMissingError(source.ref)
    for kind, file in entry.files.items():
        place = split_site_url(file.blob)
        where: BlobFacts | SiteMember | None
        if place is not None:
            where = SiteMember(*place, file.size_bytes, file.md5)
        else:
            container, _, name = file.blob.partition("/")
            where = ports.blobs.facts(container, name)
        if where is None:
            raise InputMissingError(file.blob)
        yield _Member(f"{source.ref}{FILE_SUFFIX[kind]}", where)
