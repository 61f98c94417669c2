"""The range-Doppler solves, compiled: ground to image and image to ground, over arrays of points.

A ground point X is imaged at the time t when it lies in the plane through the satellite across its velocity,
``V(t) . (X - P(t)) = 0``, at the slant range ``R = |X - P(t)|``. Both directions are Newton's method, point by point.

Everything compiled is in this one file, and in `ellipsoid`, which has no reason to change: numba's disk cache notices a
change only in the file of the compiled function. The outer functions release the GIL and are serial: whoever calls
decides about threads.

Source: I. G. Cumming and F. H. Wong, "Digital Processing of Synthetic Aperture Radar Data" (2005), section 4.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.ellipsoid import SEMI_MAJOR_M, SEMI_MINOR_M, ecef_to_lonlat, geodetic_to_ecef, height_and_normal
from orthokernel.sentinel1.orbit import Orbit
from orthokernel.sentinel1.slant_range import SlantToSample

Float64Array = NDArray[np.float64]

SPEED_OF_LIGHT_M_S = 299_792_458.0

SMOOTH_LIMIT = 1.25
"""Beyond this multiple of the half swath the smooth polynomial goes on as a parabola: degree 5 would turn away.

A parabola turns, too, 350 to 1300 km beyond the far edge: there it would show the image a second time, mirrored. So it
becomes a straight line where its slope has halved.
"""

TIME_STEP_CONVERGED_S = 1e-7
"""The step that ends the solve for time. One more would be smaller by 1e-6 (what V differs from dP/dt, relatively)."""

POSITION_STEP_CONVERGED_M = 1e-5
SLANT_RANGE_STEP_CONVERGED_M = 1e-6
SAMPLE_STEP_CONVERGED_PX = 3e-3
"""The step that ends the solve for a sample. What it leaves is its square times 1e-4, by the bend of the records."""

MAX_STEPS = 20

_inner = njit(error_model="numpy", nogil=True)
_outer = njit(error_model="numpy", nogil=True, cache=True)


@_inner
def horner3(coefficients: Float64Array, u: float) -> tuple[float, float, float]:
    """Value of three polynomials ``(D + 1, 3)``, lowest power first."""
    last = coefficients.shape[0] - 1
    x = coefficients[last, 0]
    y = coefficients[last, 1]
    z = coefficients[last, 2]
    for power in range(last - 1, -1, -1):
        x = x * u + coefficients[power, 0]
        y = y * u + coefficients[power, 1]
        z = z * u + coefficients[power, 2]
    return x, y, z


@_inner
def horner3_derivative(coefficients: Float64Array, u: float) -> tuple[float, float, float]:
    """Derivative by ``u`` of three polynomials ``(D + 1, 3)``, lowest power first."""
    last = coefficients.shape[0] - 1
    x = last * coefficients[last, 0]
    y = last * coefficients[last, 1]
    z = last * coefficients[last, 2]
    for power in range(last - 1, 0, -1):
        x = x * u + power * coefficients[power, 0]
        y = y * u + power * coefficients[power, 1]
        z = z * u + power * coefficients[power, 2]
    return x, y, z


@_inner
def ground_to_radar(orbit: Orbit, x_m: float, y_m: float, z_m: float, seed_s: float) -> tuple[float, float]:
    """``time_s, slant_range_m`` at which a ground point is imaged; NaN, NaN where it never is.

    It never is where the zero-Doppler time falls outside the state vectors, or the point lies left of the track
    (Sentinel-1 looks right).
    """
    u = (seed_s - orbit.centre_s) / orbit.half_span_s
    converged = TIME_STEP_CONVERGED_S / orbit.half_span_s
    found = False
    for _ in range(MAX_STEPS):
        u = min(max(u, -1.1), 1.1)
        px, py, pz = horner3(orbit.position_m, u)
        vx, vy, vz = horner3(orbit.velocity_m_s, u)
        ax, ay, az = horner3_derivative(orbit.velocity_m_s, u)
        dx, dy, dz = x_m - px, y_m - py, z_m - pz
        along = vx * dx + vy * dy + vz * dz
        slope = ax * dx + ay * dy + az * dz - orbit.half_span_s * (vx * vx + vy * vy + vz * vz)
        step = -along / slope
        u += step
        if abs(step) < converged:
            found = True
            break
    if not found or not abs(u) <= 1.0:
        return np.nan, np.nan
    px, py, pz = horner3(orbit.position_m, u)
    vx, vy, vz = horner3(orbit.velocity_m_s, u)
    dx, dy, dz = x_m - px, y_m - py, z_m - pz
    right = dx * (vy * pz - vz * py) + dy * (vz * px - vx * pz) + dz * (vx * py - vy * px)
    if right <= 0.0:
        return np.nan, np.nan
    return orbit.centre_s + u * orbit.half_span_s, math.sqrt(dx * dx + dy * dy + dz * dz)


@_inner
def radar_to_ground(orbit: Orbit, time_s: float, slant_range_m: float, height_m: float) -> tuple[float, float, float]:
    """``x_m, y_m, z_m`` of the point right of the track at a zero-Doppler time, slant range and ellipsoidal height.

    NaN where the range sphere does not reach that height, or the time is outside the state vectors. Newton's method
    on the three conditions; the gradient of height is the ellipsoid's normal, so the height is met exactly and not
    that of an ellipsoid with both axes inflated (which is off by centimetres on a mountain).
    """
    u = (time_s - orbit.centre_s) / orbit.half_span_s
    if not abs(u) <= 1.0:
        return np.nan, np.nan, np.nan
    px, py, pz = horner3(orbit.position_m, u)
    vx, vy, vz = horner3(orbit.velocity_m_s, u)
    speed = math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / speed, vy / speed, vz / speed

    # start on a sphere: up and right of the zero-Doppler plane
    along = px * vx + py * vy + pz * vz
    ux, uy, uz = px - along * vx, py - along * vy, pz - along * vz
    up_length = math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / up_length, uy / up_length, uz / up_length
    rx, ry, rz = vy * uz - vz * uy, vz * ux - vx * uz, vx * uy - vy * ux
    distance_2 = px * px + py * py + pz * pz
    sin_2 = pz * pz / distance_2
    earth_m = height_m + SEMI_MAJOR_M * SEMI_MINOR_M / math.sqrt(
        SEMI_MINOR_M**2 * (1.0 - sin_2) + SEMI_MAJOR_M**2 * sin_2
    )
    down = (slant_range_m**2 + distance_2 - earth_m**2) / (2.0 * slant_range_m * up_length)
    down = min(down, 0.999)
    right = math.sqrt(1.0 - down * down)
    x_m = px + slant_range_m * (right * rx - down * ux)
    y_m = py + slant_range_m * (right * ry - down * uy)
    z_m = pz + slant_range_m * (right * rz - down * uz)

    for _ in range(MAX_STEPS):
        dx, dy, dz = x_m - px, y_m - py, z_m - pz
        range_m = math.sqrt(dx * dx + dy * dy + dz * dz)
        height_now_m, sin_lat, cos_lat, p_m = height_and_normal(x_m, y_m, z_m)
        scale = cos_lat / max(p_m, 1e-6)  # at a pole the normal has no part across the axis
        nx, ny, nz = scale * x_m, scale * y_m, sin_lat
        lx, ly, lz = dx / range_m, dy / range_m, dz / range_m
        # rows v, l, n of the Jacobian; the step solves them for what is left of each condition
        miss_v = -(vx * dx + vy * dy + vz * dz)
        miss_l = slant_range_m - range_m
        miss_n = height_m - height_now_m
        lnx, lny, lnz = ly * nz - lz * ny, lz * nx - lx * nz, lx * ny - ly * nx
        nvx, nvy, nvz = ny * vz - nz * vy, nz * vx - nx * vz, nx * vy - ny * vx
        vlx, vly, vlz = vy * lz - vz * ly, vz * lx - vx * lz, vx * ly - vy * lx
        determinant = vx * lnx + vy * lny + vz * lnz
        step_x = (miss_v * lnx + miss_l * nvx + miss_n * vlx) / determinant
        step_y = (miss_v * lny + miss_l * nvy + miss_n * vly) / determinant
        step_z = (miss_v * lnz + miss_l * nvz + miss_n * vlz) / determinant
        x_m += step_x
        y_m += step_y
        z_m += step_z
        if abs(step_x) + abs(step_y) + abs(step_z) < POSITION_STEP_CONVERGED_M:
            if (x_m - px) * rx + (y_m - py) * ry + (z_m - pz) * rz <= 0.0:
                break
            return x_m, y_m, z_m
    return np.nan, np.nan, np.nan


@_inner
def smooth_sample(conversion: SlantToSample, slant_range_m: float) -> tuple[float, float]:
    """Smooth sample and its derivative by slant range."""
    u = (slant_range_m - conversion.centre_m) / conversion.half_span_m
    inside = min(max(u, -SMOOTH_LIMIT), SMOOTH_LIMIT)
    value = 0.0
    first = 0.0
    half_second = 0.0
    for power in range(conversion.smooth.size - 1, -1, -1):
        half_second = half_second * inside + first
        first = first * inside + value
        value = value * inside + conversion.smooth[power]
    beyond = u - inside
    bent = beyond
    if beyond * half_second < 0.0:
        halved = -0.25 * first / half_second
        bent = min(max(beyond, -abs(halved)), abs(halved))
    value += bent * (first + bent * half_second)
    first += 2.0 * bent * half_second
    value += (beyond - bent) * first
    return value, first / conversion.half_span_m


@_inner
def _record_sample(conversion: SlantToSample, record: int, slant_range_m: float, seed: float) -> tuple[float, float]:
    """Sample and its derivative by slant range, by one record: Newton's method from a sample nearby."""
    sample = seed
    slope = np.nan
    for _ in range(MAX_STEPS):
        distance = sample - conversion.origin_px[record]
        value = 0.0
        slope = 0.0
        for power in range(conversion.slant_m.shape[1] - 1, -1, -1):
            slope = slope * distance + value
            value = value * distance + conversion.slant_m[record, power]
        step = (slant_range_m - value) / slope
        sample += step
        if abs(step) < SAMPLE_STEP_CONVERGED_PX:
            return sample, 1.0 / slope
    return np.nan, np.nan


@_inner
def slant_to_sample(conversion: SlantToSample, line: float, slant_range_m: float) -> tuple[float, float]:
    """Exact sample and its derivative by slant range, at an image line."""
    inside_m = min(max(slant_range_m, conversion.low_m), conversion.high_m)
    last = conversion.record_line.size - 1
    if last == 0 or line <= conversion.record_line[0]:
        record, weight = 0, 0.0
    elif line >= conversion.record_line[last]:
        record, weight = last, 0.0
    else:
        record = int(np.searchsorted(conversion.record_line, line, side="right")) - 1
        before = conversion.record_line[record]
        weight = (line - before) / (conversion.record_line[record + 1] - before)
        if conversion.nearest:
            weight = 1.0 if weight > 0.5 else 0.0
    edge, _ = smooth_sample(conversion, inside_m)
    sample, slope = _record_sample(conversion, record, inside_m, edge)
    if weight > 0.0:
        next_sample, next_slope = _record_sample(conversion, record + 1, inside_m, sample)
        sample += weight * (next_sample - sample)
        slope += weight * (next_slope - slope)
    if inside_m != slant_range_m:
        value, slope = smooth_sample(conversion, slant_range_m)
        sample += value - edge
    return sample, slope


@_inner
def sample_to_slant(conversion: SlantToSample, line: float, sample: float) -> float:
    """Slant range in metres of a sample at an image line: Newton's method on `slant_to_sample`; NaN if it fails."""
    # where one record has that sample: metres from the answer, as long as the sample is one of the image
    first, _ = smooth_sample(conversion, conversion.low_m)
    last, _ = smooth_sample(conversion, conversion.high_m)
    record = max(int(np.searchsorted(conversion.record_line, line, side="right")) - 1, 0)
    distance = min(max(sample, first), last) - conversion.origin_px[record]
    slant_range_m = 0.0
    for power in range(conversion.slant_m.shape[1] - 1, -1, -1):
        slant_range_m = slant_range_m * distance + conversion.slant_m[record, power]
    for _ in range(MAX_STEPS):
        value, slope = slant_to_sample(conversion, line, slant_range_m)
        step_m = (sample - value) / slope
        slant_range_m += step_m
        if abs(step_m) < SLANT_RANGE_STEP_CONVERGED_M:
            return slant_range_m
    return math.nan


@_inner
def smooth_to_slant(conversion: SlantToSample, sample: float) -> tuple[float, float]:
    """Slant range in metres of a smooth sample, and its derivative, by Newton's method; NaN where that fails.

    The start and the steps are those of the sample alone, so that the answer does not depend on its neighbours.
    """
    slant_range_m = conversion.centre_m
    for _ in range(MAX_STEPS):
        value, slope = smooth_sample(conversion, slant_range_m)
        step_m = (sample - value) / slope
        slant_range_m += step_m
        if not slope > 0.0:
            break
        if abs(step_m) < SLANT_RANGE_STEP_CONVERGED_M:
            return slant_range_m, 1.0 / slope
    return math.nan, math.nan


@_inner
def look_angle(orbit: Orbit, x_m: float, y_m: float, z_m: float, time_s: float) -> float:
    """Angle at the satellite between the Earth's centre and a ground point, in radians."""
    u = (time_s - orbit.centre_s) / orbit.half_span_s
    px, py, pz = horner3(orbit.position_m, u)
    dx, dy, dz = px - x_m, py - y_m, pz - z_m
    along = dx * px + dy * py + dz * pz
    return math.acos(along / math.sqrt((dx * dx + dy * dy + dz * dz) * (px * px + py * py + pz * pz)))


@_inner
def _cubic(h: Float64Array, f0: float, f1: float, f2: float, f3: float) -> tuple[float, float, float]:
    """First to third coefficient of the cubic through ``(0, f0), (h[1], f1), (h[2], f2), (h[3], f3)``."""
    g1, g2, g3 = (f1 - f0) / h[1], (f2 - f0) / h[2], (f3 - f0) / h[3]
    d12, d23 = (g2 - g1) / (h[2] - h[1]), (g3 - g2) / (h[3] - h[2])
    c3 = (d23 - d12) / (h[3] - h[1])
    return g1 - d12 * h[1] + c3 * h[1] * h[2], d12 - c3 * (h[1] + h[2]), c3


@_outer
def slant_ranges(
    conversion: SlantToSample, sample: Float64Array, out_slant_range_m: Float64Array, out_slope_m: Float64Array
) -> None:
    """Slant range of ``(N,)`` smooth samples, and metres a sample."""
    for index in range(sample.size):
        out_slant_range_m[index], out_slope_m[index] = smooth_to_slant(conversion, sample[index])


@_outer
def flat_nodes(
    orbit: Orbit,
    conversion: SlantToSample,
    tau_mid_s: float,
    line_interval_s: float,
    line: Float64Array,
    slant_range_m: Float64Array,
    height_m: Float64Array,
    out: Float64Array,
) -> None:
    """What becomes of ground points when they are raised from the ellipsoid.

    Parameters
    ----------
    line, slant_range_m : (N,) float64
        Where the points show at height 0.
    height_m : (4,) float64
        0 and three other heights at which they are put through the model.
    out : (10, N) float64
        Written: longitude, latitude (degrees); lines by which the image point moves for a metre; first to third
        coefficient, in height, of the smooth sample; the look angle (radians) and its first to third coefficient.
        NaN where the model has no answer.
    """
    lines = np.empty(4)
    samples = np.empty(4)
    angles = np.empty(4)
    for index in range(line.size):
        range_m = slant_range_m[index]
        start_s = line[index] * line_interval_s + range_m / SPEED_OF_LIGHT_M_S - 0.5 * tau_mid_s
        x_m, y_m, z_m = radar_to_ground(orbit, start_s, range_m, 0.0)
        if np.isnan(x_m):
            out[:, index] = np.nan
            continue
        lon_deg, lat_deg = ecef_to_lonlat(x_m, y_m, z_m)
        for k in range(4):
            x_m, y_m, z_m = geodetic_to_ecef(lon_deg, lat_deg, height_m[k])
            time_s, range_m = ground_to_radar(orbit, x_m, y_m, z_m, start_s)
            lines[k] = (time_s - range_m / SPEED_OF_LIGHT_M_S + 0.5 * tau_mid_s) / line_interval_s
            samples[k], _ = smooth_sample(conversion, range_m)
            angles[k] = look_angle(orbit, x_m, y_m, z_m, time_s)
        out[0, index] = lon_deg
        out[1, index] = lat_deg
        out[2, index] = (lines[1] - lines[0]) / height_m[1]
        out[3, index], out[4, index], out[5, index] = _cubic(height_m, samples[0], samples[1], samples[2], samples[3])
        out[6, index] = angles[0]
        out[7, index], out[8, index], out[9, index] = _cubic(height_m, angles[0], angles[1], angles[2], angles[3])


@_outer
def look_vectors(
    orbit: Orbit,
    seed: Float64Array,
    lon_deg: Float64Array,
    lat_deg: Float64Array,
    height_m: Float64Array,
    out: Float64Array,
) -> None:
    """``(3, N)`` unit vectors from ``(N,)`` ground points to the satellite that images them: east, north, up.

    Up is the ellipsoid's normal. NaN where a point is never imaged.
    """
    for index in range(lon_deg.size):
        x_m, y_m, z_m = geodetic_to_ecef(lon_deg[index], lat_deg[index], height_m[index])
        start_s = seed[0] + seed[1] * x_m + seed[2] * y_m + seed[3] * z_m
        time_s, range_m = ground_to_radar(orbit, x_m, y_m, z_m, start_s)
        if np.isnan(time_s):
            out[:, index] = np.nan
            continue
        px, py, pz = horner3(orbit.position_m, (time_s - orbit.centre_s) / orbit.half_span_s)
        lx, ly, lz = (px - x_m) / range_m, (py - y_m) / range_m, (pz - z_m) / range_m
        lon_rad, lat_rad = math.radians(lon_deg[index]), math.radians(lat_deg[index])
        outward = lx * math.cos(lon_rad) + ly * math.sin(lon_rad)
        out[0, index] = ly * math.cos(lon_rad) - lx * math.sin(lon_rad)
        out[1, index] = lz * math.cos(lat_rad) - outward * math.sin(lat_rad)
        out[2, index] = lz * math.sin(lat_rad) + outward * math.cos(lat_rad)


@_outer
def ground_to_image(
    orbit: Orbit,
    conversion: SlantToSample,
    seed: Float64Array,
    tau_mid_s: float,
    line_interval_s: float,
    exact: bool,
    lon_deg: Float64Array,
    lat_deg: Float64Array,
    height_m: Float64Array,
    out_line: Float64Array,
    out_sample: Float64Array,
) -> None:
    """Line and sample (the exact one or the smooth one) of ``(N,)`` points, not bounded by the image.

    Each point starts from the same function of its own coordinates, so that its result does not depend on its
    neighbours or on the number of threads.
    """
    for index in range(lon_deg.size):
        x_m, y_m, z_m = geodetic_to_ecef(lon_deg[index], lat_deg[index], height_m[index])
        start_s = seed[0] + seed[1] * x_m + seed[2] * y_m + seed[3] * z_m
        time_s, slant_range_m = ground_to_radar(orbit, x_m, y_m, z_m, start_s)
        line = (time_s - slant_range_m / SPEED_OF_LIGHT_M_S + 0.5 * tau_mid_s) / line_interval_s
        if np.isnan(line):
            sample = np.nan
        elif exact:
            sample, _ = slant_to_sample(conversion, line, slant_range_m)
        else:
            sample, _ = smooth_sample(conversion, slant_range_m)
        out_line[index] = line
        out_sample[index] = sample


@_outer
def image_to_ground(
    orbit: Orbit,
    conversion: SlantToSample,
    tau_mid_s: float,
    line_interval_s: float,
    line: Float64Array,
    sample: Float64Array,
    height_m: Float64Array,
    out_lon_deg: Float64Array,
    out_lat_deg: Float64Array,
) -> None:
    """Longitude and latitude of ``(N,)`` image points."""
    for index in range(line.size):
        slant_range_m = sample_to_slant(conversion, line[index], sample[index])
        time_s = line[index] * line_interval_s + slant_range_m / SPEED_OF_LIGHT_M_S - 0.5 * tau_mid_s
        x_m, y_m, z_m = radar_to_ground(orbit, time_s, slant_range_m, height_m[index])
        if np.isnan(x_m):
            out_lon_deg[index] = np.nan
            out_lat_deg[index] = np.nan
        else:
            out_lon_deg[index], out_lat_deg[index] = ecef_to_lonlat(x_m, y_m, z_m)
