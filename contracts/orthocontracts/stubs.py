"""A product that stays where it is: what is uploaded of it, and ``elsewhere.json``, which says where the rest lies."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orthocontracts.model import Identifier
from orthocontracts.stores import ELSEWHERE, Elsewhere, StoredMember, plain_path

MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
LEAST_BYTES = 1 << 20
"""Smaller files are uploaded: planning reads the manifest, and a worker is spared a look into the archive."""


class StubError(ValueError):
    """A product of which no stub can be made; the message says why."""


@dataclass(frozen=True)
class Stub:
    """The uploadable part of a product.

    Attributes
    ----------
    name : str
        Of its folder: ``….SAFE`` or ``….SEN3``, also where it lies in a zip.
    small : tuple of str
        Paths inside the folder of what to upload, the manifest last.
    elsewhere : Elsewhere, optional
        None where nothing in it is large.
    source : Path
        The folder, or the zip, with links resolved.
    """

    name: str
    small: tuple[str, ...]
    elsewhere: Elsewhere | None
    source: Path

    @property
    def manifest(self) -> str:
        return self.small[-1]

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """What to upload, in the order to do it: paths inside the folder, with the content.

        Raises
        ------
        OSError, zipfile.BadZipFile
            Where it cannot be read, or is going away just now.
        """
        for path in self.small:
            if path == self.manifest and self.elsewhere is not None:
                yield ELSEWHERE, self.elsewhere.to_json().encode()
            yield path, self.read(path)

    def read(self, path: str) -> bytes:
        if self.source.is_dir():
            return (self.source / path).read_bytes()
        with zipfile.ZipFile(self.source) as archive:
            return archive.read(f"{self.name}/{path}")


def stub_of(product: Path, *, store: Identifier, root: Path, least_bytes: int = LEAST_BYTES) -> Stub:
    """The stub of a product, a folder or a zip, that lies in a store of the site. Looks at its files, reads none.

    Parameters
    ----------
    product : Path
        Its folder or zip, below ``root``.
    store : str
        The store's name in ``settings/pools.yaml``.
    root : Path
        The store's folder as it is mounted here; workers may have it elsewhere.

    Raises
    ------
    StubError
        Where the product does not lie below the root, has no manifest, or has a file whose path is not plain or which
        is a link that leaves the store.
    OSError, zipfile.BadZipFile
        Where it cannot be read, or is going away just now.
    """
    source, root = product.resolve(), root.resolve()
    if not source.is_relative_to(root) or not (source.is_dir() or source.suffix.lower() == ".zip"):
        raise StubError(f"{product} is not a folder below {root}, nor a zip")
    name, sizes = (source.name, _sizes_below(source, root)) if source.is_dir() else _sizes_in(source)
    manifests = [path for path in MANIFESTS if path in sizes]
    if len(manifests) != 1:
        raise StubError(f"{product} has {len(manifests) or 'no'} manifests")
    small = sorted(path for path, size_bytes in sizes.items() if size_bytes < least_bytes and path not in manifests)
    base = source.relative_to(root).as_posix()
    try:
        large = {
            path: StoredMember(path=plain_path(f"{base}/{path}"), size_bytes=size_bytes)
            if source.is_dir()
            else StoredMember(path=plain_path(base), size_bytes=size_bytes, member=plain_path(f"{name}/{path}"))
            for path, size_bytes in sizes.items()
            if size_bytes >= least_bytes and path not in manifests
        }
        elsewhere = Elsewhere(store=store, files=large) if large else None
    except ValueError as error:
        raise StubError(f"{product}: {error}") from error
    return Stub(name, (*small, *manifests), elsewhere, source)


def _sizes_below(folder: Path, root: Path) -> dict[str, int]:
    """Bytes of every file of a folder, by its path inside."""

    def refuse(error: OSError) -> None:
        raise error

    sizes = {}
    for parent, _, files in os.walk(folder, onerror=refuse):
        for path in (Path(parent, name) for name in files):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise StubError(f"{path} is a link out of {root}, which no worker follows")
            sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


def _sizes_in(source: Path) -> tuple[str, dict[str, int]]:
    """The one folder that a zip holds, and bytes of every file of it once it is unpacked."""
    with zipfile.ZipFile(source) as archive:
        members = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}
    folders = {name.partition("/")[0] for name in members}
    if len(folders) != 1 or not (top := folders.pop()).endswith((".SAFE", ".SEN3")):
        raise StubError(f"{source} does not hold one folder .SAFE or .SEN3")
    return top, {name.removeprefix(f"{top}/"): size_bytes for name, size_bytes in members.items()}
