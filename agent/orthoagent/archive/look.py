"""Whether a product is whole, and has stopped changing."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from orthocontracts.manifests import ManifestError, listed_files

MOST_MANIFEST_BYTES = 16 << 20
CLOCKS_DIFFER_S = 60.0
"""How far a file server's clock may be from ours: what changed longer ago than that and the settle time has settled,
whoever looks for the first time. What differs more is watched for the settle time by our own clock."""


@dataclass(frozen=True)
class Look:
    """A product as it is now.

    Attributes
    ----------
    missing : str, optional
        The first thing that keeps it from being whole.
    marks : int
        Differs where any file of it has changed; 0 where something is missing.
    changed_s : float
        When anything in it changed last, by the file server: not the time of modification, which copying preserves.
    """

    missing: str | None = None
    marks: int = 0
    changed_s: float = 0.0


def look_at(product: Path) -> Look:
    """Look at a product folder or zip. Blocks.

    Raises
    ------
    FileNotFoundError
        Where it is gone.
    OSError
        Where it cannot be read.
    """
    return _look_at_zip(product) if product.suffix == ".zip" else _look_at_folder(product)


def has_settled(look: Look, before: Look | None, same_for_s: float, now_s: float, settle_s: float) -> bool:
    """Whether a whole product has not changed for the settle time.

    Parameters
    ----------
    before : Look, optional
        The last one.
    same_for_s : float
        How long ago, by our clock, it was first seen as ``before`` shows it.
    now_s : float
        Our clock, as `Look.changed_s` is the file server's.
    """
    if look.missing is not None:
        return False
    if look.changed_s < now_s - settle_s - CLOCKS_DIFFER_S:
        return True
    return before is not None and before.marks == look.marks and same_for_s >= settle_s


def _look_at_folder(product: Path) -> Look:
    status = product.stat()
    name = "manifest.safe" if product.name.endswith(".SAFE") else "xfdumanifest.xml"
    manifest = product / name
    try:
        with manifest.open("rb") as file:
            text = file.read(MOST_MANIFEST_BYTES)
        files = listed_files(fromstring(text, forbid_dtd=True), product.name)
    except FileNotFoundError:
        return Look(name)
    except (ParseError, DefusedXmlException, ManifestError, ValueError, LookupError):
        return Look(f"a {name} that can be read")
    marks, changed_s = [], status.st_ctime
    for path, size_bytes in ((name, None), *((file.path, file.size_bytes) for file in files)):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            return Look(f"a {name} with plain paths")
        try:
            found = (product / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return Look(path)
        if size_bytes is not None and found.st_size != size_bytes:
            return Look(f"{path}: {found.st_size} of {size_bytes} bytes")
        marks.append((path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        changed_s = max(changed_s, found.st_ctime)
    return Look(marks=hash((status.st_ino, *marks)), changed_s=changed_s)


def _look_at_zip(product: Path) -> Look:
    status = product.stat()
    try:
        with product.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if not members or not all(_begins(file, member.header_offset) for member in members):
                return Look("members of the zip")
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return Look("the end of the zip")
    marks = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return Look(marks=hash(marks), changed_s=status.st_ctime)


def _begins(file: IO[bytes], at: int) -> bool:
    """Whether a member does begin there: a transfer in parallel streams may have written the end only, so far."""
    if at < 0:
        return False
    file.seek(at)
    return file.read(4) == b"PK\x03\x04"
