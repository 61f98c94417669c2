"""The browse image: small, eight bits, transparent where there is no data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthokernel.product import Product
from orthokernel.scale import FLOOR_POWER

_PERCENTILES = (2.0, 98.0)


def shown_bands(product: Product, bands: Sequence[str]) -> list[int]:
    """Which of the bands, 0-based, a browse image shows: red, green and blue where all are there, else the first."""
    about = product.properties().get("eo_bands", {})
    colours = {about.get(band, {}).get("common_name"): k for k, band in reversed(list(enumerate(bands)))}
    found = [colours.get(name) for name in ("red", "green", "blue")]
    return [k for k in found if k is not None] if None not in found else [0]


def write_browse(values: NDArray[Any], no_data: float, target: Path, power: bool) -> None:
    """Write a PNG of one band, or of three as red, green and blue.

    Parameters
    ----------
    values : (1 or 3, rows, cols) float32 or integer
        The bands, as small as they are to be shown; not valid where NaN or ``no_data``.
    target : Path
        The PNG, with alpha.
    power : bool
        Values are linear power: shown in decibels.

    Notes
    -----
    Colours are stretched alike, so that what is grey stays grey.
    """
    valid = (np.isfinite(values) & (values != no_data)).all(axis=0)
    shown = stretch(values.astype(np.float64), np.broadcast_to(valid, values.shape), power)
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    target.write_bytes(png_bytes(np.stack([*shown, alpha], axis=-1)))


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of ``(rows, cols, 2 or 4)``: grey, or red, green and blue, and alpha.

    Source: PNG specification, second edition, sections 5 and 11.

    Written here because GDAL's driver has no way not to wonder about a missing georeference.
    """
    n_rows, n_cols, n_channels = pixels.shape
    lines = np.zeros((n_rows, 1 + n_channels * n_cols), np.uint8)  # each line starts with its filter type, 0
    lines[:, 1:] = pixels.reshape(n_rows, -1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    colour_type = 4 if n_channels == 2 else 6  # grey with alpha, colour with alpha
    header = struct.pack(">IIBBBBB", n_cols, n_rows, 8, colour_type, 0, 0, 0)  # 8 bits
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 3))  # level 6 takes thrice as long for 2 % of speckle
        + chunk(b"IEND", b"")
    )


def stretch(values: NDArray[np.float64], valid: NDArray[np.bool_], power: bool) -> NDArray[np.uint8]:
    """Values as 1 to 255 between their 2nd and 98th percentile, 0 where not valid."""
    if not valid.any():
        return np.zeros(values.shape, np.uint8)
    shown = 10 * np.log10(np.maximum(values, FLOOR_POWER, where=valid, out=np.ones_like(values))) if power else values
    low, high = np.percentile(shown[valid], _PERCENTILES)
    scaled = 1 + 254 * (np.where(valid, shown, low) - low) / max(high - low, 1e-12)
    return np.where(valid, np.clip(np.rint(scaled), 1, 255), 0).astype(np.uint8)
