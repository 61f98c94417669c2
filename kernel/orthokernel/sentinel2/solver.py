"""The pushbroom solves, compiled: image to ground along a line of sight, ground to image by Newton over lines.

Everything compiled is in this one file, and in `ellipsoid`, which has no reason to change: numba's disk cache notices a
change only in the file of the compiled function. Functions release the GIL and are serial.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.ellipsoid import ECCENTRICITY_2, SEMI_MAJOR_M, ecef_to_lonlat, geodetic_to_ecef, height_and_normal
from orthokernel.sentinel2.table import LineTable

Float64Array = NDArray[np.float64]

STEP_CONVERGED_PX = 1e-10
HEIGHT_CONVERGED_M = 1e-6
MAX_STEPS = 30

_inner = njit(error_model="numpy", nogil=True)
_outer = njit(error_model="numpy", nogil=True, cache=True)


@_inner
def _row(line: float, table: LineTable) -> tuple[int, float]:
    """Row of the table before a line, and the part of the way to the next; extrapolates at the ends."""
    at = (line - table.first_line) * table.rows_per_line
    row = min(max(math.floor(at), 0), table.position_m.shape[0] - 2)
    return row, at - row


@_inner
def _tangents(sample: float, table: LineTable) -> tuple[float, float]:
    """Along and across, linear between pixels and beyond the ends."""
    left = min(max(math.floor(sample), 0), table.tan_along.size - 2)
    part = sample - left
    along = table.tan_along[left] + part * (table.tan_along[left + 1] - table.tan_along[left])
    across = table.tan_across[left] + part * (table.tan_across[left + 1] - table.tan_across[left])
    return along, across


@_inner
def _sample_of(across: float, table: LineTable, guess: float) -> float:
    """The sample that looks so far across: the tangents are monotonic."""
    sample = guess
    for _ in range(MAX_STEPS):
        left = min(max(math.floor(sample), 0), table.tan_across.size - 2)
        slope = table.tan_across[left + 1] - table.tan_across[left]
        new = float(left + (across - table.tan_across[left]) / slope)
        if math.floor(new) == left or new == sample:
            return new
        if abs(new - sample) < 1e-9:
            return new
        sample = new
    return sample


@_outer
def image_to_ground(
    table: LineTable, line: Float64Array, sample: Float64Array, height_m: Float64Array, out: Float64Array
) -> None:
    """Longitude and latitude in degrees into ``out`` (2, N); NaN where the line of sight never has that height."""
    for n in range(line.size):
        row, part = _row(line[n], table)
        along, across = _tangents(sample[n], table)
        x = y = z = dx = dy = dz = 0.0
        for near in range(2):
            weight = part if near == 1 else 1.0 - part
            m = table.to_itrf[row + near]
            x += weight * table.position_m[row + near, 0]
            y += weight * table.position_m[row + near, 1]
            z += weight * table.position_m[row + near, 2]
            dx += weight * (m[0, 0] * along + m[0, 1] * across + m[0, 2])
            dy += weight * (m[1, 0] * along + m[1, 1] * across + m[1, 2])
            dz += weight * (m[2, 0] * along + m[2, 1] * across + m[2, 2])
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        out[0, n], out[1, n] = _at_height(x, y, z, dx / length, dy / length, dz / length, height_m[n])


@_inner
def _at_height(x: float, y: float, z: float, dx: float, dy: float, dz: float, height_m: float) -> tuple[float, float]:
    """Where a ray comes down to a height above the ellipsoid: first a similar ellipsoid, then Newton on the height."""
    a = SEMI_MAJOR_M + height_m
    squeeze = 1.0 / (1.0 - ECCENTRICITY_2)
    qa = dx * dx + dy * dy + dz * dz * squeeze
    qb = x * dx + y * dy + z * dz * squeeze
    qc = x * x + y * y + z * z * squeeze - a * a
    root = qb * qb - qa * qc
    if not root >= 0.0 or qb >= 0.0:
        return math.nan, math.nan
    distance = (-qb - math.sqrt(root)) / qa
    for _ in range(MAX_STEPS):
        px, py, pz = x + distance * dx, y + distance * dy, z + distance * dz
        height, sin_lat, cos_lat, axis_m = height_and_normal(px, py, pz)
        falls = cos_lat * (px * dx + py * dy) / axis_m + sin_lat * dz
        step = (height_m - height) / falls
        distance += step
        if abs(step) < HEIGHT_CONVERGED_M:
            break
    return ecef_to_lonlat(x + distance * dx, y + distance * dy, z + distance * dz)


@_outer
def ground_to_image(
    table: LineTable, lon_deg: Float64Array, lat_deg: Float64Array, height_m: Float64Array, out: Float64Array
) -> None:
    """Line and sample into ``out`` (2, N); NaN where the search leaves the table by more than its own length."""
    n_rows = table.position_m.shape[0]
    half_lines = 0.5 * n_rows / table.rows_per_line
    line, sample = table.first_line + half_lines, 0.5 * table.tan_across.size
    for n in range(lon_deg.size):
        gx, gy, gz = geodetic_to_ecef(lon_deg[n], lat_deg[n], height_m[n])
        out[0, n] = out[1, n] = math.nan
        for _ in range(MAX_STEPS):
            row, part = _row(line, table)
            early, across_early, ok = _seen(table, row, gx, gy, gz)
            late, across_late, ok_late = _seen(table, row + 1, gx, gy, gz)
            if not (ok and ok_late):
                break
            across = across_early + part * (across_late - across_early)
            sample = _sample_of(across, table, sample)
            along, _ = _tangents(sample, table)
            # The ground moves through the field of view: where it meets the pixel's direction is its line.
            step = ((along - early) / (late - early) - part) / table.rows_per_line
            line += step
            if not abs(line - table.first_line - half_lines) < 3.0 * half_lines:
                break
            if abs(step) < STEP_CONVERGED_PX:
                if _is_above(table, row, lon_deg[n], lat_deg[n], gx, gy, gz):
                    out[0, n], out[1, n] = line, sample
                break
        if not math.isfinite(out[0, n]):
            line, sample = table.first_line + half_lines, 0.5 * table.tan_across.size


@_inner
def _is_above(table: LineTable, row: int, lon_deg: float, lat_deg: float, gx: float, gy: float, gz: float) -> bool:
    """Whether the satellite is above the horizon of a ground point, not behind the Earth."""
    lon, lat = math.radians(lon_deg), math.radians(lat_deg)
    east_axis = math.cos(lon) * (table.position_m[row, 0] - gx) + math.sin(lon) * (table.position_m[row, 1] - gy)
    return bool(math.cos(lat) * east_axis + math.sin(lat) * (table.position_m[row, 2] - gz) > 0.0)


@_inner
def _seen(table: LineTable, row: int, gx: float, gy: float, gz: float) -> tuple[float, float, bool]:
    """Tangents along and across under which a row sees a ground point; False where it is behind."""
    dx = gx - table.position_m[row, 0]
    dy = gy - table.position_m[row, 1]
    dz = gz - table.position_m[row, 2]
    m = table.from_itrf[row]
    u = m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz
    v = m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz
    w = m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz
    return u / w, v / w, w > 0.0
