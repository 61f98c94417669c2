"""An orbit, an attitude and line times by which all detectors and bands see the ground around one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.flight import INCLINATION_DEG, RADIUS_M, MadeFlight
from localdev.scene.msi import LINE_PERIOD_S, MSI_BANDS, Directions, Refining, centre_tan, directions
from localdev.scene.msi_camera import MsiCamera
from localdev.scene.orbit import CircularOrbit

if TYPE_CHECKING:
    from localdev.scene.sentinel2_l1b import Sentinel2L1BSpec

_JD_OF_1970 = 2_440_587.5
_LARGEST_LATITUDE_SINE = 0.985


def flight_over(spec: Sentinel2L1BSpec, day: datetime) -> MadeFlight:
    """The flight that in the middle of the datastrip has the image's middle under the middle of its detectors.

    Raises
    ------
    ValueError
        Where the orbit does not come.
    """
    random = np.random.default_rng([spec.seed, 80])
    rate = 2.0 * np.pi / np.array([11.0, 29.0])
    wobble = np.stack(
        [
            np.stack([spec.wobble_rad * np.array([0.4, 1.0]), rate, random.uniform(0.0, 2.0 * np.pi, 2)], axis=-1)
            for _ in range(3)
        ]
    )
    jd_day = (day - datetime(1970, 1, 1)) / timedelta(days=1) + _JD_OF_1970
    middle_s = (spec.sensing - day) / timedelta(seconds=1) + spec.pose.gps_minus_utc_s
    lon, lat = spec.centre_lonlat_deg
    tangents = [centre_tan(detector, spec.samples, spec.overlap_px) for detector in spec.detectors]
    middle = 0.5 * (tangents[0] + tangents[-1])

    def flight(angles: Float64Array) -> MadeFlight:
        orbit = CircularOrbit(float(angles[0]), float(angles[1]), RADIUS_M, INCLINATION_DEG)
        return MadeFlight(orbit, spec.pose, jd_day, middle_s, wobble)

    def miss_rad(angles: Float64Array) -> Float64Array:
        off = np.array([float(part) for part in _middle_of(spec, flight(angles), middle)]) - [lon, lat]
        off[0] = (off[0] + 180.0) % 360.0 - 180.0
        return np.asarray(np.radians(off), np.float64)

    tilt = np.radians(INCLINATION_DEG)
    ratio = np.sin(np.radians(lat)) / np.sin(tilt)
    if abs(ratio) > _LARGEST_LATITUDE_SINE:
        raise ValueError(f"latitude {lat} is outside what the orbit sees: give one between -76 and 76 degrees")
    argument = float(np.arcsin(ratio)) if spec.ascending else float(np.pi - np.arcsin(ratio))
    under = np.arctan2(np.sin(argument) * np.cos(tilt), np.cos(argument))
    angles = np.array([argument, np.radians(lon) - under])
    for _ in range(20):
        miss = miss_rad(angles)
        slope = np.stack([(miss_rad(angles + h) - miss_rad(angles - h)) / 2e-6 for h in 1e-6 * np.eye(2)], axis=1)
        angles = angles - np.linalg.solve(slope, miss)
        if float(np.abs(miss).max()) < 1e-12:
            break
    return flight(angles)


def cameras_over(spec: Sentinel2L1BSpec, flight: MadeFlight) -> dict[tuple[str, str], MsiCamera]:
    """A camera for each band and detector, without refining, so timed that their images begin side by side."""
    found = {}
    n_lines = spec.granules * spec.granule_lines
    begin_s = flight.middle_s - 0.5 * n_lines * LINE_PERIOD_S
    for name in spec.bands:
        band = MSI_BANDS[name]
        for detector in spec.detectors:
            # What a pixel of this detector that looked straight down would see in the middle of the image.
            tangent = centre_tan(detector, spec.samples, spec.overlap_px)
            place = _middle_of(spec, flight, tangent)
            period_s = LINE_PERIOD_S * band.per_pixel
            camera = MsiCamera(
                band=band,
                detector=detector,
                n_lines=n_lines // band.per_pixel,
                n_samples=spec.samples // band.per_pixel,
                flight=flight,
                first_line_s=begin_s,
                line_period_s=period_s,
                middle_s=flight.middle_s,
                directions=directions(band, detector, spec.samples, spec.overlap_px),
                mountings=spec.mountings,
                refining=Refining(),
            )
            line = float(camera.ground_to_image(*place, 0.0)[0])
            # Whole lines earlier or later, as detectors are clocked together; told in whole microseconds.
            shift = round(line - 0.5 * (camera.n_lines - 1))
            found[name, detector] = replace(camera, first_line_s=round(begin_s + shift * period_s, 6))
    return found


def _middle_of(spec: Sentinel2L1BSpec, flight: MadeFlight, tangent: float) -> tuple[Float64Array, Float64Array]:
    """``lon_deg, lat_deg`` that is seen in the middle of the datastrip, neither ahead nor back, under a tangent."""
    step = 1e-5
    look = Directions(np.array([tangent - step / 2, tangent + step / 2]), np.zeros(2))
    begin_s = flight.middle_s - 0.5 * LINE_PERIOD_S
    band, detector = MSI_BANDS[spec.bands[0]], spec.detectors[0]
    return MsiCamera(
        band, detector, 1, 2, flight, begin_s, LINE_PERIOD_S, flight.middle_s, look, spec.mountings, Refining()
    ).image_to_ground(0.0, 0.5, 0.0)
