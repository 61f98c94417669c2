"""What a sensor model is: the map from ground to image, and the smooth part of it that a lattice may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class BreakLines:
    """The part of a sensor model that a lattice cannot carry, because it changes slope at known image lines.

    The true image coordinate is ``sample = smooth_sample + correction(line, smooth_sample)``. At ``line[r]`` the
    correction at ``first_sample + k * step_samples`` is ``correction_px[r, k]``; between samples it is linear, and
    between lines it is linear (``kind="linear"``) or that of the nearer line (``kind="nearest"``); before the
    first and after the last line, and beyond the first and last sample, it is that of the edge. Where the model has a
    ``line_px``, a correction of the line is found, and added, in the same way: ``line`` above is the smooth one then.

    Attributes
    ----------
    line : (R,) float64
        0-based image lines, increasing.
    first_sample, step_samples : float
        Smooth sample of column 0 of the table, and the distance between its columns.
    correction_px : (R, K) float64
        In samples.
    line_px : (R, K) float64, optional
        In lines; only with ``kind="linear"``.
    """

    line: Float64Array
    first_sample: float
    step_samples: float
    correction_px: Float64Array
    kind: Literal["linear", "nearest"] = "linear"
    line_px: Float64Array | None = None

    @property
    def reach_px(self) -> tuple[float, float]:
        """By how much it changes a line and a sample at most."""
        lines = 0.0 if self.line_px is None else float(np.max(np.abs(self.line_px)))
        return lines, float(np.max(np.abs(self.correction_px)))


def within(
    line: Float64Array, sample: Float64Array, n_lines: int, n_samples: int, first_line: int = 0
) -> tuple[Float64Array, Float64Array]:
    """The same points, NaN where they lie outside ``[-0.5, n - 0.5]`` of an image."""
    inside = (line >= first_line - 0.5) & (line <= first_line + n_lines - 0.5)
    inside &= (sample >= -0.5) & (sample <= n_samples - 0.5)
    return np.where(inside, line, np.nan), np.where(inside, sample, np.nan)


class SensorModel(Protocol):
    """Maps ground to image and back.

    ``line, sample`` are 0-based with integers at pixel centres. Longitude and latitude are WGS 84 degrees, heights
    are metres above the WGS 84 ellipsoid. All arguments broadcast; all results are float64 arrays of the broadcast
    shape.
    """

    n_lines: int
    n_samples: int

    @property
    def height_support_m(self) -> tuple[float, float] | None:
        """Lowest and highest height for which a polynomial of third degree follows the model to a thousandth of a
        pixel: such models make images that do not depend on which part of the terrain was at hand. None: unknown."""
        ...

    @property
    def break_lines(self) -> BreakLines | None:
        """What to add to the smooth sample; None where the model is smooth by itself."""
        ...

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN outside ``[-0.5, n - 0.5]``."""
        ...

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, smooth_sample`` of ground points: what a lattice interpolates.

        Defined some way beyond the edge of the image too, so that lattice cells across the edge stay exact; NaN only
        where the model has no answer at all.
        """
        ...

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` where the line of sight of an image point has the given ellipsoidal height."""
        ...

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m`` where the line of sight meets the terrain (first surface hit)."""
        ...
