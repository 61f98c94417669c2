"""Checksums that say by which method they were made, as STAC's ``file:checksum`` has them. Pure.

Source: multiformats.io/multihash; codes of the methods: github.com/multiformats/multicodec, table.csv.
"""

from __future__ import annotations

from typing import Final

_METHODS: Final = {
    "d50110": ("md5", 32),
    "1220": ("sha256", 64),
    "1620": ("sha3-256", 64),
    "1e20": ("blake3", 64),
}
"""By code and length in bytes, each a varint: the name here, and how many digits follow."""


def checksum_of(multihash: object) -> str | None:
    """``md5:…`` of a multihash in hexadecimal digits. None for one of another method, or none at all."""
    text = str(multihash).lower()
    for begin, (name, n_digits) in _METHODS.items():
        digest = text.removeprefix(begin)
        if text.startswith(begin) and len(digest) == n_digits and not set(digest) - set("0123456789abcdef"):
            return f"{name}:{digest}"
    return None
