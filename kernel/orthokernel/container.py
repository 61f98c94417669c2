"""Access to the members of a product: a SAFE or SEN3 folder, or a zip whose members are read in place.

Stored zip members are read where they lie; a deflated raster is inflated once into a scratch folder.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from orthokernel.errors import (
    CorruptArchiveError,
    MissingAnnotationError,
    ProductError,
    UnsafeArchiveError,
    UnsupportedProductError,
)

MAX_METADATA_BYTES = 256 * 2**20
"""Real annotations are 2 MB; more is not metadata, and a small zip can inflate to anything."""

COPY_BYTES = 8 * 2**20
_MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
_ENDINGS = (".SAFE", ".SEN3")


@dataclass(frozen=True)
class FileRange:
    """Bytes ``[offset, offset + size)`` of a file: where a raster lies."""

    path: Path
    offset: int
    size: int

    @property
    def gdal_path(self) -> str:
        """What GDAL opens; a part of a file through its sub-file system."""
        if self.offset == 0 and self.size == self.path.stat().st_size:
            return str(self.path)
        return f"/vsisubfile/{self.offset}_{self.size},{self.path}"


class ProductContainer(Protocol):
    """A product's members by their path inside it (``annotation/s1a-….xml``).

    Attributes
    ----------
    path : Path
        Of the folder or zip.
    name : str
        Of the product, without ``.SAFE`` or ``.SEN3``.
    members : frozenset of str
        Files only.
    """

    path: Path
    name: str
    members: frozenset[str]

    def read_bytes(self, member: str) -> bytes:
        """Content of a metadata file.

        Raises
        ------
        CorruptArchiveError
            Its checksum fails or the archive ends in it.
        MissingAnnotationError
            There is no such member.
        """
        ...

    def locate(self, member: str) -> FileRange:
        """Where a raster's bytes lie uncompressed; inflates it to scratch if it must."""
        ...

    def is_in_place(self, member: str) -> bool:
        """Whether `locate` costs nothing."""
        ...

    def close(self) -> None:
        """Remove scratch files."""
        ...


def open_container(path: Path) -> ProductContainer:
    """Open a SAFE or SEN3 folder or zip.

    Raises
    ------
    UnsafeArchiveError, CorruptArchiveError
        See `ZipContainer`.
    ProductError
        Neither a folder nor a zip.
    """
    return FolderContainer(path) if path.is_dir() else ZipContainer(path)


class FolderContainer:
    """A folder. See `ProductContainer`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = _without_ending(path.resolve().name)
        self.members = frozenset(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

    def read_bytes(self, member: str) -> bytes:
        if member not in self.members:
            raise MissingAnnotationError(self.path, f"no {member}", "a complete product")
        file = self.path / member
        _require_metadata_size(file, file.stat().st_size)
        return file.read_bytes()

    def locate(self, member: str) -> FileRange:
        file = self.path / member
        return FileRange(file, 0, file.stat().st_size)

    def is_in_place(self, member: str) -> bool:
        return True

    def close(self) -> None:
        pass


class ZipContainer:
    """A zipped product, its members under one ``….SAFE/`` or ``….SEN3/`` folder or at the top. See `ProductContainer`.

    Raises
    ------
    UnsafeArchiveError
        A member's name is absolute or climbs out with ``..``, or the member is a link.
    CorruptArchiveError
        The archive is cut off, or its directory is damaged.
    UnsupportedProductError
        It is encrypted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scratch: Path | None = None
        self._inflated: dict[str, Path] = {}
        self._inflate_lock = threading.Lock()
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                start = file.read(4)
            if start == b"PK\x03\x04" or path.suffix.lower() == ".zip":
                raise CorruptArchiveError(path, "a zip without its directory: it is cut off", "a complete zip")
            raise ProductError(path, "a file that is not a zip", "a zipped product")
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise CorruptArchiveError(path, f"a zip that does not open ({error})", "a complete zip") from error
        infos = {_checked_name(path, info): info for info in self._zip.infolist() if not info.is_dir()}
        root = _root(path, infos)
        self.name = _without_ending(root or path.name.removesuffix(".zip"))
        prefix = f"{root}/" if root else ""
        self._infos = {name.removeprefix(prefix): info for name, info in infos.items() if name.startswith(prefix)}
        self.members = frozenset(self._infos)

    def read_bytes(self, member: str) -> bytes:
        info = self._infos.get(member)
        if info is None:
            raise MissingAnnotationError(self.path, f"no {member}", "a complete product")
        _require_metadata_size(f"{self.path}:{member}", info.file_size)
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise self._corrupt(member, error) from error

    def is_in_place(self, member: str) -> bool:
        return self._infos[member].compress_type == zipfile.ZIP_STORED

    def locate(self, member: str) -> FileRange:
        info = self._infos[member]
        if self.is_in_place(member):
            # the local header repeats the name and may have other extra fields than the directory
            with self.path.open("rb") as file:
                file.seek(info.header_offset)
                header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\x03\x04":
                raise self._corrupt(member, "no local header where the directory says")
            name_size, extra_size = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
            return FileRange(self.path, info.header_offset + 30 + name_size + extra_size, info.file_size)
        with self._inflate_lock:  # two bands may be opened at once
            if member not in self._inflated:
                self._inflated[member] = self._inflate(member, info)
            file_path = self._inflated[member]
        return FileRange(file_path, 0, file_path.stat().st_size)

    def _inflate(self, member: str, info: zipfile.ZipInfo) -> Path:
        """Inflate a member into scratch; its checksum is verified on the way."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="orthokernel-"))
        free = shutil.disk_usage(self._scratch).free
        if info.file_size > free:
            raise OSError(
                f"{self.path}: inflating {member} takes {info.file_size} bytes, "
                f"scratch {self._scratch} has {free} left; set TMPDIR to a larger folder"
            )
        target = self._scratch / f"{len(self._inflated)}-{PurePosixPath(member).name}"
        try:
            with self._zip.open(info) as source, target.open("wb") as sink:
                _copy_up_to(source, sink, info.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            target.unlink(missing_ok=True)
            raise self._corrupt(member, error) from error
        return target

    def _corrupt(self, member: str, why: object) -> CorruptArchiveError:
        return CorruptArchiveError(self.path, f"a zip whose member {member} cannot be read ({why})", "a complete zip")

    def close(self) -> None:
        self._zip.close()
        self._inflated.clear()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


def _copy_up_to(source: IO[bytes], sink: IO[bytes], size: int) -> None:
    """Copy everything, but never more than the directory announced."""
    left = size
    while block := source.read(COPY_BYTES):
        left -= len(block)
        if left < 0:
            raise zipfile.BadZipFile(f"more than the {size} bytes announced")
        sink.write(block)
    if left:
        raise zipfile.BadZipFile(f"{left} bytes fewer than the {size} announced")


def _require_metadata_size(source: object, size: int) -> None:
    if size > MAX_METADATA_BYTES:
        raise ProductError(source, f"a metadata file of {size} bytes", f"at most {MAX_METADATA_BYTES}")


def _checked_name(path: Path, info: zipfile.ZipInfo) -> str:
    """The member's name, refused if unpacking it could write outside its folder."""
    # zipfile replaces os.sep and cuts at NUL; what the archive really says is in orig_filename
    for name in {info.filename, info.orig_filename}:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
            raise UnsafeArchiveError(path, f"a member named {name!r}", "names inside the product's own folder")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UnsafeArchiveError(path, f"a symbolic link {info.filename!r}", "plain files")
    if info.flag_bits & 0x1:
        raise UnsupportedProductError(path, f"an encrypted member {info.filename!r}", "a zip without password")
    return os.path.normpath(info.filename).replace(os.sep, "/")


def _root(path: Path, infos: dict[str, zipfile.ZipInfo]) -> str:
    """The folder in the zip that holds the manifest; empty for the top."""
    roots = sorted(str(PurePosixPath(name).parent) for name in infos if PurePosixPath(name).name in _MANIFESTS)
    if len(roots) > 1:
        raise UnsupportedProductError(path, f"a zip of {len(roots)} products", "one product a zip")
    if not roots:
        folders = {name.split("/", 1)[0] for name in infos if "/" in name}
        roots = [folder for folder in folders if folder.endswith(_ENDINGS)] or ["."]
    return "" if roots[0] == "." else roots[0]


def _without_ending(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name
