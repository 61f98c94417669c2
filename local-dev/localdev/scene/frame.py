"""An acquisition made from nothing: an orbit past a place, and the frame, records and tie points that follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from localdev.scene.annotation import GeolocationGrid
from localdev.scene.ellipsoid import SPEED_OF_LIGHT_M_S, Float64Array, to_earth_centred, to_geodetic
from localdev.scene.modes import Mode
from localdev.scene.orbit import CircularOrbit, StateVectors, orbit_past
from localdev.scene.radar import RadarGeometry, RangeRecords
from localdev.scene.xml import after

STATE_VECTORS, STATE_INTERVAL_S = 16, 10.0
RECORD_INTERVAL_S, RECORD_DEGREE = 1.0, 8
RECORD_LEAD_S = 1.909162  # the first record of a real product lies about two seconds before its first line
FIT_STEP_M = 250.0


def make_geometry(
    lon_deg: float,
    lat_deg: float,
    shape: tuple[int, int],
    start: datetime,
    *,
    ascending: bool,
    mode: Mode,
    offset_lines: int = 0,
) -> tuple[RadarGeometry, CircularOrbit, float]:
    """Geometry of a frame centred on a place at the mode's mid-swath range.

    Parameters
    ----------
    shape : (lines, samples)
    start : datetime
        UTC of the first line of the frame centred on the place.
    offset_lines : int
        Make, of the same pass, the frame that begins this many lines later: a neighbouring slice.

    Returns
    -------
    geometry : RadarGeometry
    orbit : CircularOrbit
        With time zero when it passes the place.
    middle_s : float
        When it passes the place, in seconds since the first line.
    """
    spacing = mode.spacing_m
    middle_range = 0.5 * SPEED_OF_LIGHT_M_S * mode.mid_swath_s
    orbit = orbit_past(lon_deg, lat_deg, middle_range, ascending=ascending)
    interval = spacing / _ground_speed(orbit, middle_range)
    n_lines, n_samples = shape
    centre = 0.5 * (n_lines - 1) * interval
    epoch = after(start, offset_lines * interval)
    middle = centre - (epoch - start).total_seconds()
    first = np.floor(centre - STATE_INTERVAL_S * (STATE_VECTORS - 1) / 2.0) + 0.029300
    times = first + STATE_INTERVAL_S * np.arange(STATE_VECTORS)
    made = orbit.states(times - middle)
    states = StateVectors(times, np.round(made.position_m, 6), np.round(made.velocity_m_s, 6))
    half_width = 0.5 * (n_samples - 1) * spacing
    n_records = int(np.ceil((2.0 * centre + RECORD_LEAD_S) / RECORD_INTERVAL_S)) + 2
    record_times = np.round(RECORD_INTERVAL_S * np.arange(n_records) - RECORD_LEAD_S, 6)
    near_m = _near_range(orbit, middle_range, half_width)
    coefficients = [_fit_record(orbit, time - middle, near_m, 2.0 * half_width) for time in record_times]
    records = RangeRecords(record_times, np.zeros(n_records), np.array(coefficients))
    geometry = RadarGeometry(epoch, n_lines, n_samples, interval, spacing, states, records, mode.mid_swath_s)
    return geometry, orbit, middle


def _geometry_of(orbit: CircularOrbit) -> RadarGeometry:
    """Only for ``locate`` around time zero of the orbit."""
    states = orbit.states(np.arange(-40.0, 41.0, 10.0))
    empty = RangeRecords(np.zeros(1), np.zeros(1), np.zeros((1, 2)))
    return RadarGeometry(datetime(2000, 1, 1), 1, 1, 1.0, 1.0, states, empty, 0.0)


def displaced(geometry: RadarGeometry, error_m: float) -> RadarGeometry:
    """The same frame with an orbit that is wrong: 0.6 of the error forward, 0.8 to the right, level."""
    states = geometry.states
    down = -states.position_m / np.linalg.norm(states.position_m, axis=1, keepdims=True)
    forward = states.velocity_m_s / np.linalg.norm(states.velocity_m_s, axis=1, keepdims=True)
    moved = states.position_m + error_m * (0.6 * forward + 0.8 * np.cross(down, forward))
    return replace(geometry, states=StateVectors(states.time_s, np.round(moved, 6), states.velocity_m_s))


def _ground_speed(orbit: CircularOrbit, range_m: float) -> float:
    """Speed in m/s at which the beam's mid-swath point moves over the ellipsoid."""
    geometry = _geometry_of(orbit)
    slant = np.full(2, range_m)
    ends = geometry.locate(np.array([-0.05, 0.05]), slant, np.zeros(2))
    return float(np.linalg.norm(ends[1] - ends[0]) / 0.1)


def _profile(orbit: CircularOrbit, time_s: float, slant_m: Float64Array) -> Float64Array:
    """Distance along the ellipsoid, from the first of increasing slant ranges, at one moment."""
    geometry = _geometry_of(orbit)
    points = geometry.locate(np.full(slant_m.size, time_s), slant_m, np.zeros(slant_m.size))
    chord = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    arc = chord * (1.0 + (chord / 6.371e6) ** 2 / 24.0)
    return np.concatenate([[0.0], np.cumsum(arc)])


def _near_range(orbit: CircularOrbit, middle_m: float, half_width_m: float) -> float:
    """Slant range that lies half the swath before mid-swath on the ground."""
    near = middle_m - 0.62 * half_width_m
    closest = float(np.linalg.norm(orbit.states(0.0).position_m)) - 6.355e6
    for _ in range(20):
        profile = _profile(orbit, 0.0, np.linspace(near, middle_m, max(3, int(half_width_m / FIT_STEP_M))))
        # the profile's own first slope: near nadir a metre of range is three on the ground
        slope = profile[1] / (middle_m - near) * (max(3, int(half_width_m / FIT_STEP_M)) - 1)
        step = (profile[-1] - half_width_m) / slope
        near = max(near + step, closest)
        if abs(step) < 1e-4:
            break
    return near


def _fit_record(orbit: CircularOrbit, time_s: float, near_m: float, span_m: float) -> Float64Array:
    """Slant range as a polynomial of ground range, fitted a little beyond both edges of the swath."""
    margin = 2000.0 + 0.02 * span_m
    slant = np.linspace(near_m - margin, near_m + 0.78 * span_m + 1.5 * margin, 60 + int(span_m / 2000.0))
    if slant[0] < 7.1e5:
        raise ValueError(f"a swath of {span_m / 1e3:.0f} km does not fit right of nadir")
    fine = np.sort(np.concatenate([np.linspace(slant[0], slant[-1], 1 + int(np.ptp(slant) / FIT_STEP_M)), [near_m]]))
    ground = _profile(orbit, time_s, fine)
    ground -= ground[np.searchsorted(fine, near_m)]
    scale = float(np.abs(ground).max())
    return _fit(ground, fine, scale)


def _fit(argument: Float64Array, value: Float64Array, scale: float) -> Float64Array:
    """Coefficients, lowest power first, fitted in the well-conditioned argument / scale."""
    fitted = np.polynomial.polynomial.polyfit(argument / scale, value, RECORD_DEGREE)
    powers = np.arange(RECORD_DEGREE + 1, dtype=np.float64)
    return np.asarray(fitted / scale**powers, dtype=np.float64)


def inverse_record(records: RangeRecords, record: int, span_m: float) -> tuple[float, Float64Array]:
    """Origin in slant range, and ground range as a polynomial of slant range counted from it."""
    near = float(records.slant_range(record, np.zeros(1), span_m)[0][0])
    ground = np.linspace(0.0, span_m, 400)
    slant = records.slant_range(record, ground, span_m)[0] - near
    scale = float(slant.max())
    return near, _fit(slant, ground, scale)


def make_grid(geometry: RadarGeometry, height_m: float) -> GeolocationGrid:
    """Tie points as a real product has them: 21 a line, on up to 10 lines, by the record nearest in time."""
    samples = np.unique(np.round(np.linspace(0, geometry.n_samples - 1, 21)))
    lines = np.unique(np.round(np.linspace(0, geometry.n_lines - 1, 10)))
    line, sample = (part.ravel() for part in np.meshgrid(lines, samples, indexing="ij"))
    slant = geometry.range_of(line, sample, "nearest")
    two_way = 2.0 * slant / SPEED_OF_LIGHT_M_S
    time = line * geometry.line_interval_s + 0.5 * (two_way - geometry.mid_swath_s)
    height = np.full(line.size, height_m)
    lon, lat, _ = to_geodetic(geometry.locate(time, slant, height))
    incidence, elevation = geometry.angles(time, to_earth_centred(lon, lat, height))
    return GeolocationGrid(time, two_way, line, sample, lon, lat, height, incidence, elevation)


def anx_time(orbit: CircularOrbit, start: datetime, middle_s: float) -> datetime:
    """UTC of the last ascending node."""
    since = (orbit.argument_rad % (2.0 * np.pi)) / orbit.rate_rad_s
    return start + timedelta(seconds=middle_s - since)
