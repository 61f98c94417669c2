"""Stores of a site: folders this worker sees. Inputs are read where they lie, images may stay there."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from orthoagent.errors import FaultError
from orthocontracts.stores import split_member, split_site_url


class Sites:
    """The stores this worker has at hand, by name."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def path_of(self, url: str) -> Path | None:
        """Where ``site://store/path``, or the zip that holds ``…#member``, lies here; None for any other link.

        Raises
        ------
        FaultError
            For a store this worker does not have, or a path that leaves it.
        """
        try:
            place = split_site_url(split_member(url)[0])
        except ValueError as error:
            raise FaultError("UnsafePath", str(error), permanent=True) from error
        if place is None:
            return None
        store, path = place
        folder = self._folders.get(store)
        if folder is None:
            known = ", ".join(sorted(self._folders)) or "none"
            raise FaultError("StoreMissing", f"this worker has no store {store} (ORTHOAGENT_STORES names {known})")
        found = folder / path
        if not found.resolve().is_relative_to(folder.resolve()):
            raise FaultError("UnsafePath", f"{url} leaves its store by a link", permanent=True)
        return found


def lend(source: Path, target: Path, size_bytes: int, name: str) -> None:
    """Let ``target`` stand for a file of a store, which is read where it lies. Blocks.

    Raises
    ------
    FaultError
        Where it is not there, or has another size.
    """
    try:
        found = source.stat().st_size
    except FileNotFoundError as error:
        raise FaultError("InputMissing", f"{name}: there is no {source}", permanent=True) from error
    if found != size_bytes:
        raise FaultError(
            "InputChanged", f"{name}: {source} has {found} bytes, {size_bytes} were promised", permanent=True
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def unpack(source: Path, member: str, target: Path, size_bytes: int, name: str) -> None:
    """Make ``target`` of a member of a zip that lies in a store. Blocks.

    Raises
    ------
    FaultError
        Where the zip is not there, is damaged, or its member has another size.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(source) as archive:
            found = archive.getinfo(member).file_size
            if found == size_bytes:  # else a small zip could fill the disk: no more than this is unpacked
                with archive.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
                    found = file.tell()
    except FileNotFoundError as error:
        raise FaultError("InputMissing", f"{name}: there is no {source}", permanent=True) from error
    except KeyError as error:
        raise FaultError("InputMissing", f"{name}: {source} has no member {member}", permanent=True) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FaultError("InputDamaged", f"{name}: {source} does not unpack ({error})", permanent=True) from error
    if found != size_bytes:
        raise FaultError(
            "InputChanged", f"{name}: {found} bytes in {source}, {size_bytes} were promised", permanent=True
        )


def keep(source: Path, target: Path) -> None:
    """Put a finished file into a store, whole or not at all, and never over another. Blocks.

    Raises
    ------
    FaultError
        Where a file of that name is there: each delivery has a folder of its own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename it fails where the name is taken
    except FileExistsError as error:
        raise FaultError("DeliveryRefused", f"{target} is there already") from error
    finally:
        part.unlink(missing_ok=True)
