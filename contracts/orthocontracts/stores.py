"""Data that lie where only a site's own workers see them: ``site://<store>/<path>``.

A store is a folder that all workers of a site have, wherever it is mounted; pools say in ``settings/pools.yaml`` which
ones they have at hand.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, field_validator

from orthocontracts.model import Document, Identifier

SCHEME: Final = "site://"
ELSEWHERE: Final = "elsewhere.json"
"""In a product's folder: which of its members lie in a store instead."""

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")


def site_url(store: str, path: str, member: str | None = None) -> str:
    """Address of a file, or of a member of a zip."""
    return f"{SCHEME}{store}/{path}" + (f"#{member}" if member is not None else "")


def split_member(url: str) -> tuple[str, str | None]:
    """The address of the file, and of which member of it, where it is a zip's.

    Raises
    ------
    ValueError
        Where the member's path is not plain.
    """
    url, hash_, member = url.partition("#") if url.startswith(SCHEME) else (url, "", "")
    return url, plain_path(member) if hash_ else None


def split_site_url(url: str) -> tuple[str, str] | None:
    """Store and path of ``site://store/path``; None where it is another link.

    Raises
    ------
    ValueError
        Where its path could leave the store.
    """
    if not url.startswith(SCHEME):
        return None
    store, _, path = url.removeprefix(SCHEME).partition("/")
    return store, plain_path(path)


def plain_path(path: str) -> str:
    """The path, if it is plain: no ``..``, no hidden name, nothing absolute. Raises ValueError."""
    if len(path) > 500 or not _PATH.fullmatch(path):
        raise ValueError(f"{path[:200]!r} is not a plain path of letters, digits and ._+- below its store")
    return path


class StoredMember(Document):
    """Where a product's member lies below its store's folder."""

    path: str
    size_bytes: int = Field(ge=0)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    member: str | None = Field(default=None, description="of the zip that lies there; the file itself where not set")

    @field_validator("path", "member")
    @classmethod
    def _plain(cls, path: str | None) -> str | None:
        return None if path is None else plain_path(path)


class Elsewhere(Document):
    """``elsewhere.json``: the rest of a product whose small files have been uploaded."""

    v: int = Field(default=1, ge=1, le=1)
    store: Identifier
    files: dict[str, StoredMember] = Field(min_length=1, description="by path inside the product's folder")

    @field_validator("files")
    @classmethod
    def _plain_members(cls, files: dict[str, StoredMember]) -> dict[str, StoredMember]:
        for member in files:
            plain_path(member)
        return files
