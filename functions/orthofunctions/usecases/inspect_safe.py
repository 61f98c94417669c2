"""A product with a manifest, as a folder or a zip: what the manifest says, and a hash that names its content."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import IO, cast

from orthocontracts import names
from orthocontracts.manifests import ManifestError, SafeManifest
from orthocontracts.outputs import Source
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import BrokenProductError, ProductMissingError, UnsafeProductError
from orthofunctions.ports import BlobFacts, BlobMissingError, Blobs
from orthofunctions.usecases.folders import SiteMember, members_of_folder
from orthofunctions.usecases.packagings import Packaging, packaging_of
from orthofunctions.usecases.ranged import RangedBlob
from orthofunctions.usecases.safexml import MAX_XML_BYTES, parse_xml


def inspect_safe_folder(blobs: Blobs, ref: str) -> ProductFacts:
    """Facts of ``products/….SAFE`` or ``.SEN3``. Reads the manifest and lists the folder.

    Raises
    ------
    PlanError
        Where it is unknown, has not arrived, or lacks what its manifest lists.
    """
    packaging = packaging_of(ref)
    folder = ref.removeprefix("products/")
    try:
        data = blobs.read(names.CONTAINER_PRODUCTS, f"{folder}/{packaging.manifest}", length=MAX_XML_BYTES + 1)
    except BlobMissingError as error:
        raise ProductMissingError(
            f"{ref} has no {packaging.manifest}: it has not arrived (the manifest is uploaded last)"
        ) from error
    manifest = _manifest(data, ref, packaging)
    there, bytes_at = _sizes(blobs, ref)
    for member in manifest.files:
        if not packaging.decides_pixels.match(member.path):
            continue
        found = there.get(member.path)
        if found is None:
            raise BrokenProductError(
                f"{ref} lacks {member.path}, which its manifest lists: upload it, then the manifest"
            )
        if found != member.size_bytes:
            wrong = f"{found} bytes, not the {member.size_bytes} of its manifest"
            raise BrokenProductError(f"{ref}/{member.path} has {wrong}: upload it again")
    content = _hash(f"{member.path}|{member.size_bytes}|{member.checksum}" for member in manifest.files)
    source = Source(ref=ref, content=content, size_bytes=sum(there.values()), kind="folder")
    return replace(packaging.facts(source, manifest), bytes_at=bytes_at)


def _sizes(blobs: Blobs, ref: str) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of a folder's members by path, and of those that lie in stores of a site, by store."""
    members = members_of_folder(blobs, names.CONTAINER_PRODUCTS, ref.removeprefix("products/"))
    bytes_at: dict[str, int] = {}
    for member in members.values():
        if isinstance(member, SiteMember):
            bytes_at[member.store] = bytes_at.get(member.store, 0) + member.size_bytes
    return {path: member.size_bytes for path, member in members.items()}, bytes_at


def inspect_safe_zip(blobs: Blobs, ref: str, blob: BlobFacts) -> ProductFacts:
    """Facts of ``products/….zip``. Reads the central directory and the manifest, by range.

    Raises
    ------
    PlanError
        Where it is unknown, no whole zip, or unsafe.
    """
    packaging = packaging_of(ref)
    with RangedBlob(blobs, blob.container, blob.name, blob.size_bytes) as file:
        try:
            # zipfile asks for no more than RawIOBase has
            with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                _refuse_unsafe(ref, archive.infolist())
                data = _read_manifest(archive, members, ref, packaging.manifest)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise BrokenProductError(f"{ref} is not a whole zip ({error}): upload it again") from error
    content = _hash(f"{member.filename}|{member.file_size}|{member.CRC:08x}" for member in members)
    source = Source(ref=ref, content=content, size_bytes=blob.size_bytes, kind="file")
    return packaging.facts(source, _manifest(data, ref, packaging))


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


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
