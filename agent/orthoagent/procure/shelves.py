"""Where a fetched product goes: whole into container ``products``, or into a store of the site, with a stub there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orthoagent.archive.announce import Announcer
from orthoagent.archive.announce import Products as Stubs
from orthoagent.archive.look import look_at
from orthoagent.patience import patiently
from orthoagent.procure.whole import md5_of
from orthocontracts.productids import folder_of
from orthocontracts.stubs import MANIFESTS


class Products(Stubs, Protocol):
    """Container ``products``. All raise StorageSilentError."""

    async def put_file(self, name: str, path: Path, md5: bytes) -> None:
        """Write a blob of any size with its MD5, whatever is there."""
        ...


class Shelf(Protocol):
    async def has(self, name: str) -> bool:
        """Whether a product of this official name is there already, and announced."""
        ...

    async def put(self, product: Path) -> None:
        """Take a whole product, which may lie elsewhere afterwards. May be cut short and repeated."""
        ...


@dataclass(frozen=True)
class Uploads:
    """Into container ``products``, a folder's manifest last: that is when it has arrived."""

    products: Products

    async def has(self, name: str) -> bool:
        folder = folder_of(name)
        for blob in (*(f"{folder}/{manifest}" for manifest in MANIFESTS), f"{name}.zip"):
            if await patiently(lambda blob=blob: self.products.md5_of(blob), "look", blob=blob):  # type: ignore[misc]
                return True
        return False

    async def put(self, product: Path) -> None:
        for path in await asyncio.to_thread(_files_of, product):
            await self._put(path.relative_to(product.parent).as_posix(), path)

    async def _put(self, name: str, path: Path) -> None:
        md5 = await asyncio.to_thread(md5_of, path)
        await patiently(lambda: self.products.put_file(name, path, md5), "upload a product", blob=name)


@dataclass(frozen=True)
class Archive:
    """Into the folder of a store, which its workers read; only the stub is uploaded."""

    announcer: Announcer
    folder: Path

    async def has(self, name: str) -> bool:
        for product in (self.folder / folder_of(name), self.folder / f"{name}.zip"):
            if await asyncio.to_thread(_is_whole, product):
                await self.announcer.announce(product)
                return True
        return False

    async def put(self, product: Path) -> None:
        place = self.folder / product.name
        await asyncio.to_thread(product.rename, place)
        await self.announcer.announce(place)


def _files_of(product: Path) -> list[Path]:
    """All files of it, a folder's manifest last."""
    files = [product] if product.is_file() else sorted(path for path in product.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.parent == product and path.name in MANIFESTS)


def _is_whole(product: Path) -> bool:
    return product.exists() and look_at(product).missing is None
