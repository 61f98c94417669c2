"""A file that a task needs: where it is got, where it goes, and which version of it is meant."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from orthocontracts.model import Document

CHECKSUM: Final = r"^(md5:[0-9a-f]{32}|(sha256|sha3-256|blake3):[0-9a-f]{64})$"


class InputFile(Document):
    """One file to fetch.

    ``path`` is where it goes below the task's scratch folder: ``products/NAME.SAFE/manifest.safe``.
    """

    path: str
    url: str = Field(
        description="read-only, expiring; a secret: never logged. site://store/path: a file the worker has at hand; "
        "s3://bucket/key: an object in a bucket that the worker's settings know"
    )
    size_bytes: int = Field(ge=0)
    md5: str | None = None
    etag: str | None = Field(default=None, description="of the version that is meant, where its server has one")
    modified: str | None = Field(default=None, description="Last-Modified of that version, where there is no ETag")
    checksum: str | None = Field(
        default=None,
        pattern=CHECKSUM,
        description="of another server's file, as a manifest, its catalogue or its server has it",
    )
    foreign: bool | None = Field(
        default=None, description="on somebody else's server: what the worker may ask and how it logs in is its own"
    )
