"""Whether what was fetched is the product, and all of it: no provider is believed. Blocks."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

from defusedxml.ElementTree import fromstring

from orthoagent.archive.look import MOST_MANIFEST_BYTES, look_at
from orthocontracts.manifests import listed_files
from orthocontracts.productids import folder_of
from orthocontracts.stubs import MANIFESTS

_CHUNK = 1 << 20
MOST_TIMES = 20
"""As large unpacked as packed: images hardly shrink, and a zip of zeros a thousandfold, which takes hours to read."""
_SLACK_BYTES = 256 << 20


class NotWholeError(Exception):
    """What was fetched is something else, or not all of it; the message says what."""


def whole_product(folder: Path, name: str) -> Path:
    """The product that lies in a folder, under its official name: a zip, or a ``.SAFE`` or ``.SEN3``.

    Raises
    ------
    NotWholeError
    OSError
        Where it cannot be read.
    """
    found = _product_in(folder)
    own = folder / (f"{name}.zip" if found.is_file() else folder_of(name))
    if found != own:
        found = found.rename(own)
    missing = look_at(found).missing
    if missing is not None:
        raise NotWholeError(f"it lacks {missing}")
    if found.is_dir():
        _check_folder(found)
    else:
        _check_zip(found, folder_of(name))
    return found


def md5_of(path: Path) -> bytes:
    return _hash_of(path, "md5")


def _product_in(folder: Path) -> Path:
    """A zip, or the folder with a manifest that is nearest to the top."""
    zips = sorted(folder.glob("*.zip")) or sorted(folder.glob("*/*.zip"))
    if zips:
        return zips[0]
    manifests = sorted((path for name in MANIFESTS for path in folder.rglob(name)), key=lambda path: len(path.parts))
    if manifests and manifests[0].parent != folder:
        return manifests[0].parent
    raise NotWholeError("it is neither a zip nor a folder with a manifest")


def _check_zip(path: Path, folder: str) -> None:
    with zipfile.ZipFile(path) as archive:
        tops = {member.partition("/")[0] for member in archive.namelist()}
        if tops != {folder}:
            raise NotWholeError(f"it holds {', '.join(sorted(tops))[:200]}, not {folder}")
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_TIMES * path.stat().st_size + _SLACK_BYTES:
            raise NotWholeError(f"it would be {unpacked} bytes unpacked, which is no product")
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise NotWholeError(f"a member cannot be unpacked ({type(error).__name__})") from error
    if damaged is not None:
        raise NotWholeError(f"member {damaged} is damaged (its CRC-32 is another)")


def _check_folder(product: Path) -> None:
    manifest = next(product / name for name in MANIFESTS if (product / name).exists())
    with manifest.open("rb") as file:
        listed = listed_files(fromstring(file.read(MOST_MANIFEST_BYTES), forbid_dtd=True), product.name)
    for member in listed:
        method = {32: "md5", 64: "sha3_256"}.get(len(member.checksum))
        if method is not None and _hash_of(product / member.path, method).hex() != member.checksum:
            raise NotWholeError(f"{member.path} is damaged (its checksum is not the manifest's)")


def _hash_of(path: Path, method: str) -> bytes:
    hashed = hashlib.new(method, usedforsecurity=False)
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            hashed.update(chunk)
    return hashed.digest()
