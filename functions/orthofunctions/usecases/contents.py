"""What names the bytes of a blob."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from orthofunctions.ports import BlobFacts


def content_of(blob: BlobFacts) -> str:
    """Its MD5 where the store has one; blobs uploaded in blocks have none, and their ETag changes with every write.

    Of a file on a server that has no ETag: when it was written, and its size.
    """
    if blob.md5 or blob.etag:
        return blob.md5 or f"etag-{blob.etag}"
    return f"written-{blob.last_modified.isoformat()}-{blob.size_bytes}"


def content_of_folder(blobs: Iterable[BlobFacts]) -> str:
    """A hash of what names the bytes of its files, and of their names."""
    return hashlib.sha256("\n".join(sorted(f"{blob.name}|{content_of(blob)}" for blob in blobs)).encode()).hexdigest()
