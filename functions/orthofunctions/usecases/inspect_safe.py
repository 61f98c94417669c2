"""A product with a manifest, as a folder or a zip: what the manifest says, and a hash that names its content."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orthocontracts.manifests import ManifestError, SafeManifest
from orthocontracts.outputs import Source
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import (
    BrokenProductError,
    ProductMissingError,
    UnknownProductError,
    UnsafeProductError,
)
from orthofunctions.domain.pools import REMOTE_STORE
from orthofunctions.ports import BlobFacts, BlobMissingError
from orthofunctions.usecases.folders import SiteMember, members_of_folder
from orthofunctions.usecases.packagings import Packaging, packaging_of
from orthofunctions.usecases.places import Place
from orthofunctions.usecases.ranged import ranged_zip
from orthofunctions.usecases.safexml import MAX_XML_BYTES, parse_xml

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def inspect_safe_folder(place: Place) -> ProductFacts:
    """Facts of a ``….SAFE`` or ``.SEN3``. Reads the manifest and lists the folder, where it can be listed.

    Raises
    ------
    PlanError
        Where it is unknown, has not arrived, or lacks what its manifest lists.
    """
    ref = place.ref
    packaging = packaging_of(ref)
    if not place.lists and place.store == REMOTE_STORE:
        raise UnknownProductError(f"{ref}: a folder cannot be listed over https: name a zip of it, or a bucket")
    try:
        data = place.reader.read(place.container, f"{place.name}/{packaging.manifest}", length=MAX_XML_BYTES + 1)
    except BlobMissingError as error:
        raise ProductMissingError(
            f"{ref} has no {packaging.manifest}: it has not arrived (the manifest is uploaded last)"
        ) from error
    manifest = _manifest(data, ref, packaging)
    there, bytes_at = _members(place, manifest, packaging, len(data))
    for member in manifest.files:
        if not packaging.decides_pixels.match(member.path):
            continue
        found = there.get(member.path)
        if found is None:
            raise BrokenProductError(
                f"{ref} lacks {member.path}, which its manifest lists: upload it, then the manifest"
            )
        if found.size_bytes != member.size_bytes:
            wrong = f"{found.size_bytes} bytes, not the {member.size_bytes} of its manifest"
            raise BrokenProductError(f"{ref}/{member.path} has {wrong}: upload it again")
    content = _manifest_content(manifest)
    size_bytes = sum(member.size_bytes for member in there.values())
    source = Source(ref=ref, content=content, size_bytes=size_bytes, kind="folder")
    facts = replace(packaging.facts(source, manifest), manifest_content=content)
    if place.is_near:
        return replace(facts, bytes_at=bytes_at)
    checksums = {member.path: member.checksum for member in manifest.files}
    return replace(
        facts,
        bytes_at={str(place.store): size_bytes},
        elsewhere=tuple(
            place.input_file(found, _checksum(checksums.get(path)))
            for path, found in there.items()
            if isinstance(found, BlobFacts)
        ),
    )


def _members(
    place: Place, manifest: SafeManifest, packaging: Packaging, manifest_bytes: int
) -> tuple[dict[str, BlobFacts | SiteMember], dict[str, int]]:
    """A folder's members by path, and bytes of those that lie in stores of a site, by store.

    A server that cannot list is believed to have what decides pixels, as the manifest says: its worker will see.
    """
    if not place.lists:
        sizes = {file.path: file.size_bytes for file in manifest.files if packaging.decides_pixels.match(file.path)}
        return {
            path: BlobFacts(place.container, f"{place.name}/{path}", size, "", None, NEVER)
            for path, size in {**sizes, packaging.manifest: manifest_bytes}.items()
        }, {}
    members = members_of_folder(place.reader, place.container, place.name)
    bytes_at: dict[str, int] = {}
    for member in members.values():
        if isinstance(member, SiteMember):
            bytes_at[member.store] = bytes_at.get(member.store, 0) + member.size_bytes
    return members, bytes_at


def _checksum(in_manifest: str | None) -> str | None:
    """Of a manifest, which does not always say by which method: MD5 or, in newer Sentinel-2 products, SHA3-256."""
    if in_manifest and re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", in_manifest):
        return f"{'md5' if len(in_manifest) == 32 else 'sha3-256'}:{in_manifest}"
    return None


def inspect_safe_zip(place: Place, blob: BlobFacts) -> ProductFacts:
    """Facts of a ``….zip``. Reads the central directory and the manifest, by range.

    Raises
    ------
    PlanError
        Where it is unknown, no whole zip, or unsafe.
    """
    ref = place.ref
    packaging = packaging_of(ref)
    try:
        with ranged_zip(place.reader, blob) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _refuse_unsafe(ref, archive.infolist())
            data = _read_manifest(archive, members, ref, packaging.manifest)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BrokenProductError(f"{ref} is not a whole zip ({error}): upload it again") from error
    content = _hash(f"{member.filename}|{member.file_size}|{member.CRC:08x}" for member in members)
    source = Source(ref=ref, content=content, size_bytes=blob.size_bytes, kind="file")
    manifest = _manifest(data, ref, packaging)
    facts = replace(packaging.facts(source, manifest), manifest_content=_manifest_content(manifest))
    return lying_at(place, facts, [blob])


def lying_at(place: Place, facts: ProductFacts, files: Sequence[BlobFacts]) -> ProductFacts:
    """The facts of a product of these files, with where they lie if that is not in blob storage."""
    if place.is_near:
        return facts
    return replace(
        facts,
        bytes_at={str(place.store): sum(file.size_bytes for file in files)},
        elsewhere=tuple(place.input_file(file) for file in files),
    )


def _read_manifest(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], ref: str, manifest: str) -> bytes:
    found = [member for member in members if member.filename.count("/") <= 1 and member.filename.endswith(manifest)]
    if len(found) != 1:
        called = "SAFE manifests" if manifest.endswith(".safe") else f"manifests ({manifest})"
        raise BrokenProductError(f"{ref} holds {len(found)} {called}; expected one, in its top folder")
    if found[0].file_size > MAX_XML_BYTES:
        raise UnsafeProductError(f"{ref}: a manifest of {found[0].file_size} bytes; no product has that")
    with archive.open(found[0]) as member:
        return member.read(MAX_XML_BYTES + 1)


def _refuse_unsafe(ref: str, members: Iterable[zipfile.ZipInfo]) -> None:
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
            raise UnsafeProductError(f"{ref}: member {member.filename[:200]!r} leaves the folder it is unpacked to")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UnsafeProductError(f"{ref}: member {member.filename[:200]!r} is a link")


def _manifest(data: bytes, ref: str, packaging: Packaging) -> SafeManifest:
    try:
        return packaging.parse(parse_xml(data, f"{ref}/{packaging.manifest}"), ref)
    except ManifestError as error:
        raise BrokenProductError(str(error)) from error


def _manifest_content(manifest: SafeManifest) -> str:
    return _hash(f"{member.path}|{member.size_bytes}|{member.checksum}" for member in manifest.files)


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
