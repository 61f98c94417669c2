"""A whole product is announced: its stub goes into container ``products``, the manifest last, which the upload trigger
takes for its arrival. Everything here may be cut short and repeated."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from orthoagent.patience import patiently
from orthocontracts.model import Identifier
from orthocontracts.stores import ELSEWHERE
from orthocontracts.stubs import stub_of

Outcome = Literal["announced", "moved", "known"]


class Products(Protocol):
    """Container ``products``. All raise StorageSilentError."""

    async def md5_of(self, name: str) -> bytes | None:
        """None where there is no such blob, or nobody knows its MD5."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Write a blob with its MD5, whatever is there."""
        ...


@dataclass(frozen=True)
class Announcer:
    """Announces products of one store.

    Attributes
    ----------
    root : Path
        The store's folder as it is mounted here.
    prefix : str
        Of the products' names in the container: ``archive/``, or nothing.
    """

    products: Products
    store: Identifier
    root: Path
    prefix: str = ""

    async def announce(self, product: Path) -> Outcome:
        """``known`` where it was announced before, ``moved`` where it then lay elsewhere in the store.

        Raises
        ------
        StubError
            Where it cannot be announced as it is.
        OSError, zipfile.BadZipFile
            Where it went away meanwhile, or cannot be read.
        """
        stub = await asyncio.to_thread(stub_of, product, store=self.store, root=self.root)
        manifest = await asyncio.to_thread(stub.read, stub.manifest)
        folder = f"{self.prefix}{stub.name}"
        if await self._is_there(f"{folder}/{stub.manifest}", manifest):
            elsewhere = stub.elsewhere.to_json().encode() if stub.elsewhere is not None else b""
            if not elsewhere or await self._is_there(f"{folder}/{ELSEWHERE}", elsewhere):
                return "known"
            await self._put(f"{folder}/{ELSEWHERE}", elsewhere)
            return "moved"
        parts = stub.parts()
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            await self._put(f"{folder}/{part[0]}", part[1])
        return "announced"

    async def _is_there(self, name: str, data: bytes) -> bool:
        md5 = await patiently(lambda: self.products.md5_of(name), "look at a product", blob=name)
        return md5 == hashlib.md5(data, usedforsecurity=False).digest()

    async def _put(self, name: str, data: bytes) -> None:
        await patiently(lambda: self.products.put(name, data), "upload a part of a product", blob=name)
