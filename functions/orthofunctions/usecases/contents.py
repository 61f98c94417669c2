"""What names the bytes of a blob."""

from __future__ import annotations

from orthofunctions.ports import BlobFacts


def content_of(blob: BlobFacts) -> str:
    """Its MD5 where the store has one; blobs uploaded in blocks have none, and their ETag changes with every write."""
    return blob.md5 or f"etag-{blob.etag}"
