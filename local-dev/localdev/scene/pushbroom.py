"""A simple camera: one line of detectors, carried straight ahead, looking down at a constant attitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array, normal, to_earth_centred, to_geodetic

ALTITUDE_M = 694e3


@dataclass(frozen=True)
class Pushbroom:
    """A line scanner in Earth-fixed coordinates.

    At line ``l`` it is at ``start_m + l * advance_m`` and sees, at sample ``s``, along
    ``boresight + (s - middle_sample) * pixel_rad * across``. Both ways are closed formulas, so that an RPC fitted to
    it has an exact truth.

    Attributes
    ----------
    start_m : (3,) float64
        Position at line 0, Earth-centred.
    advance_m : (3,) float64
        Step per line.
    boresight, across : (3,) float64
        Unit vectors at right angles to each other, fixed to the Earth.
    """

    n_lines: int
    n_samples: int
    start_m: Float64Array
    advance_m: Float64Array
    boresight: Float64Array
    across: Float64Array
    pixel_rad: float

    @property
    def middle_sample(self) -> float:
        """Sample on the boresight."""
        return 0.5 * (self.n_samples - 1)

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` (0-based, integers at pixel centres) of ground points, also outside the image."""
        point = to_earth_centred(lon_deg, lat_deg, height_m)
        plane = np.cross(self.boresight, self.across)
        line = (point - self.start_m) @ plane / (self.advance_m @ plane)
        offset = point - self.start_m - line[..., None] * self.advance_m
        sample = (offset @ self.across) / (offset @ self.boresight) / self.pixel_rad + self.middle_sample
        return line, sample

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` where lines of sight meet a height: Newton on the distance along them."""
        lines, samples, heights = np.broadcast_arrays(
            np.asarray(line, float), np.asarray(sample, float), np.asarray(height_m, float)
        )
        origin = self.start_m + lines[..., None] * self.advance_m
        sight = self.boresight + ((samples - self.middle_sample) * self.pixel_rad)[..., None] * self.across
        distance = np.full(lines.shape, ALTITUDE_M)
        lon, lat = np.zeros(lines.shape), np.zeros(lines.shape)
        for _ in range(20):
            lon, lat, height = to_geodetic(origin + distance[..., None] * sight)
            step = (height - heights) / np.sum(sight * normal(lon, lat), axis=-1)
            distance = distance - step
            if float(np.abs(step).max()) < 1e-6:
                break
        lon, lat, _ = to_geodetic(origin + distance[..., None] * sight)
        return lon, lat


def pushbroom_over(
    lon_deg: float,
    lat_deg: float,
    height_m: float,
    *,
    n_lines: int,
    n_samples: int,
    gsd_m: float,
    heading_deg: float,
    roll_deg: float,
    pitch_deg: float,
) -> Pushbroom:
    """A camera whose image is centred on a ground point.

    Parameters
    ----------
    gsd_m : float
        Size of a pixel on the ground along the lines, and across them at nadir; an oblique look stretches it.
    heading_deg : float
        Direction of flight at the ground point, clockwise from north.
    roll_deg, pitch_deg : float
        Look angle at the satellite to the right and ahead.
    """
    target = to_earth_centred(lon_deg, lat_deg, height_m)
    up = normal(lon_deg, lat_deg)
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    heading, roll, pitch = np.radians(heading_deg), np.radians(roll_deg), np.radians(pitch_deg)
    forward = np.cos(heading) * north + np.sin(heading) * east
    right = np.cross(forward, up)
    boresight = np.sin(roll) * right + np.cos(roll) * (np.sin(pitch) * forward - np.cos(pitch) * up)
    across = right - (right @ boresight) * boresight
    across = across / np.linalg.norm(across)
    distance = ALTITUDE_M / float(-(boresight @ up))
    middle = target - distance * boresight
    advance = gsd_m * forward
    return Pushbroom(
        n_lines,
        n_samples,
        middle - 0.5 * (n_lines - 1) * advance,
        advance,
        boresight,
        across,
        gsd_m / distance,
    )
