"""Is a TIFF whole? Its directories say where every strip and tile lies; a cut-off file ends before the last of them.

A reader that meets a missing strip may answer with zeros, and in a radar image zero means "outside the swath". So this
is looked at before any pixel is read: a few kilobytes for a Sentinel-1 measurement.

Source: TIFF 6.0, Adobe (1992), section 2; BigTIFF as in libtiff.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import ProductError, TruncatedRasterError

ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, size)``: bytes of the file; fewer than asked for at its end."""

MAX_DIRECTORIES = 64
_SIZE_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_DTYPE_OF_TYPE = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS = (
    256,
    257,
    258,
    259,
    273,
    277,
    278,
    279,
)
_TILE_OFFSETS, _TILE_COUNTS = 324, 325


@dataclass(frozen=True)
class TiffImage:
    """The first image of a TIFF.

    Attributes
    ----------
    n_lines, n_samples : int
    rows_offset : int or None
        Where the pixels start, if they lie in the file uncompressed, line after line without gaps; else None.
    byte_order : {"<", ">"}
    """

    n_lines: int
    n_samples: int
    rows_offset: int | None
    byte_order: str


def check_tiff(read_at: ReadAt, size: int, source: object) -> TiffImage:
    """Check that every strip and tile of every image of a TIFF lies inside the file.

    Blocks with offset and length zero are allowed: a sparse TIFF has them, a truncated one does not.

    Parameters
    ----------
    read_at : callable
    size : int
        Of the file, in bytes.
    source : object
        What to call the file in errors.

    Raises
    ------
    TruncatedRasterError
        The file ends before its directory, or before a block that the directory names.
    ProductError
        It is not a TIFF.
    """
    header = read_at(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(header[:2])
    if order is None or len(header) < 8:
        raise ProductError(source, f"a file of {size} bytes that is not a TIFF", "a TIFF")
    version = struct.unpack(order + "H", header[2:4])[0]
    if version not in {42, 43} or (version == 43 and len(header) < 16):
        raise ProductError(source, f"TIFF version {version}", "42 (TIFF) or 43 (BigTIFF)")
    big = version == 43
    offset = struct.unpack(order + ("Q" if big else "I"), header[8:16] if big else header[4:8])[0]
    parser = _Parser(read_at, size, source, order, big)
    first: TiffImage | None = None
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MAX_DIRECTORIES:
        seen.add(offset)
        tags, offset = parser.directory(offset)
        image = parser.check_image(tags)
        first = first or image
    if first is None:
        raise TruncatedRasterError(source, "a TIFF without image", "a complete TIFF")
    return first


_Tags = dict[int, tuple[int, int, bytes]]
"""Tag number: field type, number of values, the raw value field (the values, or their offset)."""


@dataclass(frozen=True)
class _Parser:
    read_at: ReadAt
    size: int
    source: object
    order: str
    big: bool

    def read(self, offset: int, size: int) -> bytes:
        content = self.read_at(offset, size) if offset + size <= self.size else b""
        if len(content) != size:
            raise TruncatedRasterError(
                self.source, f"{self.size} bytes", f"at least {offset + size}: its directory lies there"
            )
        return content

    def directory(self, offset: int) -> tuple[_Tags, int]:
        """The tags of the directory at an offset, and the offset of the next."""
        count_format, entry_size, offset_format = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        count_size = struct.calcsize(self.order + count_format)
        offset_size = struct.calcsize(self.order + offset_format)
        n_tags = struct.unpack(self.order + count_format, self.read(offset, count_size))[0]
        body = self.read(offset + count_size, n_tags * entry_size + offset_size)
        tags: _Tags = {}
        for index in range(n_tags):
            entry = body[index * entry_size : (index + 1) * entry_size]
            tag, kind = struct.unpack(self.order + "HH", entry[:4])
            n_values = struct.unpack(self.order + offset_format, entry[4 : 4 + offset_size])[0]
            tags[tag] = (kind, n_values, entry[4 + offset_size :])
        return tags, struct.unpack(self.order + offset_format, body[-offset_size:])[0]

    def values(self, tags: _Tags, tag: int) -> NDArray[np.int64]:
        """Integer values of a tag; empty where it is absent."""
        kind, n_values, field = tags.get(tag, (3, 0, b""))
        if kind not in _DTYPE_OF_TYPE:
            raise ProductError(self.source, f"TIFF tag {tag} of type {kind}", "an unsigned integer type")
        n_bytes = n_values * _SIZE_OF_TYPE[kind]
        if n_bytes > len(field):
            offset = struct.unpack(self.order + ("Q" if self.big else "I"), field)[0]
            field = self.read(offset, n_bytes)
        found = np.frombuffer(field[:n_bytes], dtype=self.order + _DTYPE_OF_TYPE[kind])
        if found.size and int(found.max()) >= 2**62:
            raise TruncatedRasterError(self.source, f"TIFF tag {tag} of {int(found.max())}", "a place in a file")
        return found.astype(np.int64)

    def value(self, tags: _Tags, tag: int, default: int) -> int:
        values = self.values(tags, tag)
        return int(values[0]) if values.size else default

    def check_image(self, tags: _Tags) -> TiffImage:
        """Compare where the blocks of an image end with the size of the file."""
        tiled = _TILE_OFFSETS in tags
        offsets = self.values(tags, _TILE_OFFSETS if tiled else _STRIP_OFFSETS)
        counts = self.values(tags, _TILE_COUNTS if tiled else _STRIP_COUNTS)
        n_lines, n_samples = self.value(tags, _LENGTH, 0), self.value(tags, _WIDTH, 0)
        if offsets.size != counts.size or not offsets.size:
            raise TruncatedRasterError(
                self.source, f"{offsets.size} block offsets and {counts.size} lengths", "as many, and some"
            )
        end = int((offsets + counts).max())
        if end > self.size:
            raise TruncatedRasterError(self.source, f"{self.size} bytes", f"{end}: its last pixels end there")
        rows_per_strip = min(self.value(tags, _ROWS_PER_STRIP, n_lines), n_lines)
        if not tiled and offsets.size < -(-n_lines // max(rows_per_strip, 1)):
            raise TruncatedRasterError(self.source, f"{offsets.size} strips", f"enough for {n_lines} lines")
        line_bytes = n_samples * int(self.values(tags, _BITS).sum()) // 8
        plain = (
            not tiled
            and self.value(tags, _COMPRESSION, 1) == 1
            and self.value(tags, _SAMPLES, 1) == 1
            and bool((counts[:-1] == line_bytes * rows_per_strip).all())
            and bool((np.diff(offsets) == counts[:-1]).all())
            and int(counts.sum()) == line_bytes * n_lines
        )
        return TiffImage(n_lines, n_samples, int(offsets[0]) if plain else None, self.order)
