"""Finds point targets in an orthoimage and compares them with where they stand, sharing no code with the kernel.

The echo of a target is an even Gaussian in the image, but not on a map: ground that bends stretches its two halves
differently, and the triangle of bilinear interpolation and the map's own sampling add to it. That moves the centroid
of an echo even where every pixel is where it should be. So there are two figures: the centroid's distance from the
true place, and its displacement from the centroid that a slow warp by the exact geometry shows there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import ArrayLike, NDArray

from localdev.scene import Target

Float64Array: TypeAlias = NDArray[np.float64]
ToImage: TypeAlias = Callable[[Float64Array, Float64Array, Float64Array], tuple[Float64Array, Float64Array]]
"""``line, sample`` of ``lon_deg, lat_deg, height_m``."""
Height: TypeAlias = Callable[[ArrayLike, ArrayLike], Float64Array]
"""Ellipsoidal height of ``lon_deg, lat_deg``."""

SEARCH_PX = 6
"""How far from its true place a target is looked for: a displacement of several pixels is still measured."""
HALF_PX = 4
"""Half the window of the centroid; the targets are 1.4 source pixels wide."""
RING_PX = 3
"""Width of the frame around that window whose median is the clutter."""
PATCH_PX = SEARCH_PX + HALF_PX + RING_PX + 2
TARGET_WIDTH_PX = 1.4
_FULL_WIDTH_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class TargetErrors:
    """Where targets were found, less where they are.

    Attributes
    ----------
    rowcol_px : (N, 2) float64
        Found minus true, in pixels of the orthoimage.
    """

    rowcol_px: Float64Array

    @property
    def distance_px(self) -> Float64Array:
        """Length of each displacement, shape (N,)."""
        return np.asarray(np.hypot(*self.rowcol_px.T), np.float64)

    @property
    def worst_px(self) -> float:
        """Largest distance."""
        return float(self.distance_px.max())

    @property
    def rms_px(self) -> float:
        """Root mean square distance."""
        return float(np.sqrt(np.mean(self.distance_px**2)))

    def __str__(self) -> str:
        """The figures, and the mean displacement: a systematic error shows there."""
        row, col = self.rowcol_px.mean(axis=0)
        return (
            f"{len(self.rowcol_px)} targets: worst {self.worst_px:.4f} px, rms {self.rms_px:.4f} px, "
            f"mean {row:+.4f} rows {col:+.4f} cols"
        )


class TargetImage:
    """One band of a georeferenced file, and the targets in it.

    Attributes
    ----------
    image : (H, W) float64
        Linear power for radar, so that a centroid is that of the echo.
    places : (N, 2) float64
        Row and column of each target's true map position: 0-based, integers at pixel centres.
    """

    def __init__(self, orthoimage: Path, targets: Sequence[Target], band: int = 1) -> None:
        with rasterio.open(orthoimage) as source:
            self.image = source.read(band).astype(np.float64)
            self._transform = source.transform
            crs = pyproj.CRS.from_user_input(source.crs.to_wkt())
        self.targets = targets
        self._to_map = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
        places = [~self._transform @ self._to_map.transform(t.lon_deg, t.lat_deg) for t in targets]
        self.places = np.array(places)[:, ::-1] - 0.5

    def errors(self) -> TargetErrors:
        """Centroids less true map positions."""
        return TargetErrors(np.array([find_target(self.image, place) - place for place in self.places]))

    def displacements(self, to_image: ToImage, height: Height, source: Float64Array | None = None) -> TargetErrors:
        """Centroids less those of a bilinear warp by the exact geometry at every pixel.

        Parameters
        ----------
        source : (lines, samples) float64, optional
            The image that is warped: what surrounds a target may draw at its centroid. Default: the target alone.
        """
        found = []
        for target, place in zip(self.targets, self.places, strict=True):
            origin = np.rint(place).astype(int) - PATCH_PX
            line, sample = self._looked_at(origin, to_image, height)
            if source is None:
                warped = bilinear(line, sample, lambda q, s, target=target: _echo(target, q, s))
            else:
                warped = bilinear(line, sample, lambda q, s: source[q, s])
            found.append(find_target(self.image, place) - find_target(warped, place - origin) - origin)
        return TargetErrors(np.array(found))

    def _looked_at(
        self, origin_rowcol: NDArray[np.int_], to_image: ToImage, height: Height
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of the pixels of a square that begins at a row and column."""
        row, col = origin_rowcol[:, None, None] + np.mgrid[: 2 * PATCH_PX + 1, : 2 * PATCH_PX + 1]
        x, y = self._transform @ (col + 0.5, row + 0.5)
        lon, lat = self._to_map.transform(x, y, direction="INVERSE")
        return to_image(lon, lat, height(lon, lat))


def bilinear(
    line: Float64Array, sample: Float64Array, pixel: Callable[[NDArray[np.int_], NDArray[np.int_]], Float64Array]
) -> Float64Array:
    """Values between the pixels that ``pixel(line, sample)`` gives."""
    q, s = np.floor(line).astype(int), np.floor(sample).astype(int)
    down, right = line - q, sample - s
    upper = pixel(q, s) * (1 - right) + pixel(q, s + 1) * right
    lower = pixel(q + 1, s) * (1 - right) + pixel(q + 1, s + 1) * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def _echo(target: Target, line: NDArray[np.int_], sample: NDArray[np.int_]) -> Float64Array:
    width = TARGET_WIDTH_PX / _FULL_WIDTH_PER_SIGMA
    squared = (line - target.line) ** 2 + (sample - target.sample) ** 2
    return np.asarray(np.exp(-0.5 * squared / width**2), np.float64)


def find_target(image: Float64Array, near_rowcol: Float64Array) -> Float64Array:
    """Centroid (row, col) of what rises above the clutter around the brightest pixel near a place.

    Raises
    ------
    AssertionError
        Where the image does not hold the place with its surroundings, or nothing stands out there.
    """
    row0, col0 = np.rint(near_rowcol).astype(int) - SEARCH_PX
    size = 2 * SEARCH_PX + 1
    peak = np.unravel_index(_part(image, row0, col0, size).argmax(), (size, size))
    row, col = row0 + int(peak[0]), col0 + int(peak[1])
    reach = HALF_PX + RING_PX
    patch = _part(image, row - reach, col - reach, 2 * reach + 1)
    inner = slice(RING_PX, -RING_PX)
    frame = patch.copy()
    frame[inner, inner] = np.nan
    clutter = float(np.nanmedian(frame))
    power = patch[inner, inner] - clutter
    assert power.max() > 10.0 * clutter, f"no target near row {near_rowcol[0]:.1f}, col {near_rowcol[1]:.1f}"
    offset = np.arange(-HALF_PX, HALF_PX + 1)
    total = power.sum()
    return np.array([row + (power.sum(axis=1) @ offset) / total, col + (power.sum(axis=0) @ offset) / total])


def _part(image: Float64Array, row: int, col: int, size: int) -> Float64Array:
    assert 0 <= row <= image.shape[0] - size, f"rows {row} to {row + size} of an image of {image.shape}"
    assert 0 <= col <= image.shape[1] - size, f"columns {col} to {col + size} of an image of {image.shape}"
    part = image[row : row + size, col : col + size]
    assert np.isfinite(part).all(), f"no data around row {row}, col {col}"
    return part


def frame_over(
    lon_deg: ArrayLike, lat_deg: ArrayLike, epsg: int, spacing_m: float, *, turn_deg: float = 0.0, margin_px: int = 20
) -> tuple[Affine, int, int]:
    """Transform, rows and columns of a map frame around places, turned anticlockwise if asked."""
    to_map = pyproj.Transformer.from_crs("OGC:CRS84", epsg, always_xy=True)
    x, y = to_map.transform(np.ravel(lon_deg), np.ravel(lat_deg))
    middle = Affine.translation(round(float(np.mean(x))), round(float(np.mean(y))))
    turned = middle @ Affine.rotation(turn_deg) @ Affine.scale(spacing_m, -spacing_m)
    col, row = ~turned @ (x, y)
    col0, row0 = math.floor(col.min()) - margin_px, math.floor(row.min()) - margin_px
    n_rows, n_cols = math.ceil(row.max()) + margin_px - row0, math.ceil(col.max()) + margin_px - col0
    return turned @ Affine.translation(col0, row0), n_rows, n_cols
