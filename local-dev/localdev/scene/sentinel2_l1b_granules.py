"""Granules of a Sentinel-2 L1B product: their names, places, times and footprints."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.msi_camera import MsiCamera
from localdev.scene.sentinel2_l1b_xml import GranuleNote
from localdev.scene.sunlight import Sunlight

if TYPE_CHECKING:
    from localdev.scene.sentinel2_l1b import Sentinel2L1BSpec


def granule_notes(
    spec: Sentinel2L1BSpec, cameras: dict[tuple[str, str], MsiCamera], day: datetime
) -> list[GranuleNote]:
    """By detector, then in time."""
    processed = made(spec)
    found = []
    for detector in spec.detectors:
        camera = cameras[spec.bands[0], detector]
        ratio, before = camera.band.per_pixel, datetime.min
        for k in range(spec.granules):
            position = k * spec.granule_lines
            sensing = day + timedelta(
                microseconds=round(1e6 * (camera.first_line_s + position / ratio * camera.line_period_s))
            )
            sensing -= timedelta(seconds=spec.pose.gps_minus_utc_s)
            # Small granules begin within one second, and names must differ: the clock of names goes ahead then.
            named = max(sensing.replace(microsecond=0), before + timedelta(seconds=1) if k else before)
            before = named
            ring = footprint(camera, position // ratio, (position + spec.granule_lines) // ratio)
            found.append(
                GranuleNote(
                    f"{spec.platform}_OPER_MSI_L1B_GR_DPRM_{processed}_S{named:%Y%m%dT%H%M%S}_D{detector}_N{spec.baseline}",
                    detector,
                    position,
                    spec.granule_lines,
                    spec.samples,
                    sensing,
                    ring,
                    _view(camera, (position + 0.5 * spec.granule_lines) / ratio),
                    _sun(day, sensing, ring),
                )
            )
    return found


def _view(camera: MsiCamera, line: float) -> tuple[float, float]:
    """Zenith angle and azimuth, in degrees, of the satellite as seen from the ground in the middle of a line."""
    sample = 0.5 * (camera.n_samples - 1)
    lon, lat = (np.radians(part) for part in camera.image_to_ground(line, sample, 0.0))
    to_satellite = -camera.sight(line, sample)[1]
    east = to_satellite @ np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = to_satellite @ np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    up = to_satellite @ np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return float(np.degrees(np.arccos(up))), float(np.degrees(np.arctan2(east, north)) % 360.0)


def _sun(day: datetime, sensing: datetime, ring: Float64Array) -> tuple[float, float]:
    """Zenith angle and azimuth, in degrees, of the sun in the granule's middle."""
    lon, lat = ring[:4].mean(axis=0)
    cosine, azimuth = Sunlight(day).direction(lon, lat, (sensing - day) / timedelta(seconds=1))
    return float(np.degrees(np.arccos(cosine))), float(azimuth)


def made(spec: Sentinel2L1BSpec) -> str:
    """When it was processed, as names have it."""
    return f"{spec.sensing + timedelta(hours=3):%Y%m%dT%H%M%S}"


def footprint(camera: MsiCamera, first: int, stop: int) -> Float64Array:
    """Corners on the ellipsoid, ``lon_deg, lat_deg``, closed, (5, 2)."""
    line = np.array([first, stop, stop, first, first]) - 0.5
    sample = np.array([0, 0, camera.n_samples, camera.n_samples, 0]) - 0.5
    return np.stack(camera.image_to_ground(line, sample, 0.0), axis=-1)
