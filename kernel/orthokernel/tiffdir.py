"""The first bytes of a Cloud-Optimized GeoTIFF: header, directories, and where every tile will lie.

Source: TIFF revision 6.0; GDAL, Cloud Optimized GeoTIFF driver, "File format details": after the header a text that
says how the file is laid out, the directory of the full image and those of its overviews, then the tiles' offsets and
sizes, and then the tiles, the smallest overview first. Little-endian throughout.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from orthokernel.grid import Grid

CLASSIC_BYTES = 2**32 - 1
"""Offsets of a classic TIFF are of 32 bits; a file that goes further is a BigTIFF."""

_SHORT, _LONG, _LONG8 = 3, 4, 16
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8, 16: 8}
_TILE_OFFSETS, _TILE_BYTE_COUNTS = 324, 325
_NO_DATA = 42113
# Tie point, pixel scale, matrix, three of GeoTIFF keys; GDAL's metadata and no-data value
_GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, _NO_DATA)
_ZSTD = 50000
LEADER_BYTES = TRAILER_BYTES = 4

Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Scale and offset of each band."""


@dataclass(frozen=True)
class Field:
    """A field of a directory: ``data`` is ``count`` values of the TIFF type ``kind``, little-endian."""

    tag: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class TiledImage:
    """One directory: its fields but for the tiles' places, and the tiles' compressed sizes in the order of the file.

    In the file every tile has its size in the four bytes before it, and its own last four bytes again after it.
    """

    fields: list[Field]
    tile_bytes: NDArray[np.int64]

    @property
    def n_bytes(self) -> int:
        """What its tiles take."""
        return int(self.tile_bytes.sum()) + (LEADER_BYTES + TRAILER_BYTES) * self.tile_bytes.size


def file_head(images: Sequence[TiledImage], planar: bool, classic_bytes: int = CLASSIC_BYTES) -> bytes:
    """All that comes before the tiles of a file.

    Parameters
    ----------
    images : sequence of TiledImage
        Full resolution first; their tiles follow this head in the opposite order.
    planar : bool
        Several bands, one after the other.
    classic_bytes : int
        A file larger than this becomes a BigTIFF.
    """
    for big in (False, True):
        start = len(_head(images, [np.zeros_like(image.tile_bytes) for image in images], planar, big))
        places: list[NDArray[np.int64]] = []
        for image in reversed(images):
            spans = image.tile_bytes + (LEADER_BYTES + TRAILER_BYTES)
            places.insert(0, start + LEADER_BYTES + np.cumsum(spans) - spans)
            start += image.n_bytes
        if big or start <= classic_bytes:
            break
    return _head(images, places, planar, big)


def image_fields(
    shape: tuple[int, int], dtype: np.dtype[np.generic], n_bands: int, tile_px: int, predictor: int, overview: bool
) -> list[Field]:
    """The fields that say how pixels are kept: ZSTD tiles, bands one after the other."""
    n_rows, n_cols = shape
    fields = [
        _numbers(256, _LONG, n_cols),
        _numbers(257, _LONG, n_rows),
        _numbers(258, _SHORT, *[8 * dtype.itemsize] * n_bands),
        _numbers(259, _SHORT, _ZSTD),
        _numbers(262, _SHORT, 1),  # zero is black
        _numbers(277, _SHORT, n_bands),
        _numbers(284, _SHORT, 2 if n_bands > 1 else 1),
        _numbers(317, _SHORT, predictor),
        _numbers(322, _SHORT, tile_px),
        _numbers(323, _SHORT, tile_px),
        _numbers(339, _SHORT, *[3 if dtype.kind == "f" else 1] * n_bands),
    ]
    if n_bands > 1:
        fields.append(_numbers(338, _SHORT, *[0] * (n_bands - 1)))  # further bands are no colours
    if overview:
        fields.append(_numbers(254, _LONG, 1))
    return fields


def geo_fields(
    grid: Grid,
    dtype: np.dtype[np.generic],
    no_data: float,
    band_names: Sequence[str],
    scaling: Scaling | None = None,
) -> list[Field]:
    """Position, coordinate system, no-data value, band names and scaling, as GDAL writes them: it is asked to."""
    profile = {
        "driver": "GTiff",
        "height": 1,
        "width": 1,
        "count": len(band_names),
        "dtype": dtype.name,
        "nodata": no_data,
        "crs": CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.transform,
        "BIGTIFF": "NO",
        "ENDIANNESS": "LITTLE",
    }
    with rasterio.Env(GDAL_PAM_ENABLED=False), MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            for k, name in enumerate(band_names):
                if name:
                    dataset.set_band_description(k + 1, name)
            if scaling is not None and set(zip(*scaling, strict=True)) != {(1.0, 0.0)}:
                dataset.scales, dataset.offsets = scaling
        content = bytes(memory.getbuffer())
    return [field for field in _fields_of(content) if field.tag in _GEO_TAGS]


def no_data_field(fields: Sequence[Field]) -> list[Field]:
    """What an overview repeats of `geo_fields`."""
    return [field for field in fields if field.tag == _NO_DATA]


def _numbers(tag: int, kind: int, *values: int) -> Field:
    code = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}[kind]
    return Field(tag, kind, len(values), struct.pack(f"<{len(values)}{code}", *values))


def _fields_of(content: bytes) -> list[Field]:
    """The fields of the first directory of a classic little-endian TIFF."""
    (start,) = struct.unpack_from("<I", content, 4)
    (n,) = struct.unpack_from("<H", content, start)
    fields = []
    for k in range(n):
        at = start + 2 + 12 * k
        tag, kind, count = struct.unpack_from("<HHI", content, at)
        size = count * _TYPE_BYTES[kind]
        first = at + 8 if size <= 4 else struct.unpack_from("<I", content, at + 8)[0]
        fields.append(Field(tag, kind, count, content[first : first + size]))
    return fields


def _structure(planar: bool) -> bytes:
    """The text that promises readers how the file is laid out. The blank leaves room for a YES instead of NO."""
    text = (
        b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
        b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
    )
    if planar:
        text += b"INTERLEAVE=BAND\n"
    return _even(b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(text) + text)


def _head(images: Sequence[TiledImage], places: Sequence[NDArray[np.int64]], planar: bool, big: bool) -> bytes:
    start = struct.pack("<2sHHH", b"II", 43, 8, 0) if big else struct.pack("<2sH", b"II", 42)
    link, slot, entry, many = ("<Q", 8, "<HHQ", "<Q") if big else ("<I", 4, "<HHI", "<H")
    structure = _structure(planar)
    head = bytearray(start + struct.pack(link, len(start) + slot + len(structure)) + structure)
    postponed: list[tuple[int, bytes]] = []
    for k, (image, at) in enumerate(zip(images, places, strict=True)):
        tiles = [
            Field(_TILE_OFFSETS, _LONG8 if big else _LONG, at.size, at.astype("<u8" if big else "<u4").tobytes()),
            Field(_TILE_BYTE_COUNTS, _LONG, at.size, image.tile_bytes.astype("<u4").tobytes()),
        ]
        fields = sorted([*image.fields, *tiles], key=lambda field: field.tag)
        head += struct.pack(many, len(fields))
        values_at = len(head) + len(fields) * (struct.calcsize(entry) + slot) + slot
        values = bytearray()
        for field in fields:
            head += struct.pack(entry, field.tag, field.kind, field.count)
            if len(field.data) <= slot:
                head += field.data.ljust(slot, b"\0")
            elif field.tag in {_TILE_OFFSETS, _TILE_BYTE_COUNTS}:
                postponed.append((len(head), field.data))
                head += bytes(slot)
            else:
                head += struct.pack(link, values_at + len(values))
                values += _even(field.data)
        after = values_at + len(values)
        head += struct.pack(link, after if k + 1 < len(images) else 0) + values
    for where, data in postponed:
        struct.pack_into(link, head, where, len(head))
        head += _even(data)
    return bytes(head)


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
