"""Telling a Cloud-Optimized GeoTIFF by its first bytes."""

from __future__ import annotations

HEADER_BYTES = 1024
_CLASSIC = (b"II*\x00", b"MM\x00*")
_BIG = (b"II+\x00", b"MM\x00+")
_STRUCTURE = b"GDAL_STRUCTURAL_METADATA_SIZE="
_LAYOUT = b"LAYOUT=IFDS_BEFORE_DATA"


def cog_defect(header: bytes) -> str | None:
    """Why a file that begins with these bytes is no COG, or None if it is one.

    The structural metadata follow the TIFF header at once: at byte 8 in a classic TIFF, at byte 16 in a BigTIFF. A
    writer that changes such a file later breaks the promise and GDAL marks it with ``KNOWN_INCOMPATIBLE_EDITION=YES``.

    Source: GDAL, Cloud Optimized GeoTIFF driver, "Header ghost area".
    """
    if header[:4] in _CLASSIC:
        ghost = header[8:]
    elif header[:4] in _BIG:
        ghost = header[16:]
    else:
        return f"is not a TIFF: it begins with {header[:4]!r}"
    if not ghost.startswith(_STRUCTURE) or _LAYOUT not in ghost:
        return "is a TIFF but not a Cloud-Optimized one: its header has no LAYOUT=IFDS_BEFORE_DATA"
    if b"KNOWN_INCOMPATIBLE_EDITION=YES" in ghost:
        return "was a Cloud-Optimized GeoTIFF and has been edited since"
    return None
