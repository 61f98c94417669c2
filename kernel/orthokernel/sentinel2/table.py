"""The rigorous model as a table: for each line of a detector's image where the satellite was and how it stood."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthokernel.sentinel2 import platform, quaternions
from orthokernel.sentinel2.bands import Band
from orthokernel.sentinel2.datastrip import NOMINAL_RESOLUTION_M, Correction, Datastrip
from orthokernel.sentinel2.frames import itrf_from_eme2000
from orthokernel.sentinel2.gipp import Gipp, Mounting

Float64Array = NDArray[np.float64]


class LineTable(NamedTuple):
    """What the solvers read; in ITRF. Between rows, 1.6 ms apart, everything is linear, which errs by 0.1 mm.

    Attributes
    ----------
    first_line, rows_per_line : float
        Image line of row 0, and rows to a line: as many lines as a 10 m band has, whatever the band.
    position_m : (R, 3) float64
        Of the satellite, in the middle of a line's exposure.
    to_itrf, from_itrf : (R, 3, 3) float64
        Directions from the detector's frame to ITRF and back. A pixel looks along ``(tan_along, tan_across, 1)``.
    tan_along, tan_across : (S,) float64
        Of the pixels; across falls with the sample, or rises.
    """

    first_line: float
    rows_per_line: float
    position_m: Float64Array
    to_itrf: Float64Array
    from_itrf: Float64Array
    tan_along: Float64Array
    tan_across: Float64Array


def line_table(datastrip: Datastrip, gipp: Gipp, band: Band, detector: str, lines: tuple[int, int]) -> LineTable:
    """Of the lines from ``lines[0]`` to ``lines[1]``, inclusive, of a detector's datastrip image."""
    rows_per_line = band.resolution_m // NOMINAL_RESOLUTION_M
    line = lines[0] + np.arange((lines[1] - lines[0]) * rows_per_line + 1) / rows_per_line
    time_s = datastrip.first_line_of(band, detector) + (line + 0.5) * datastrip.line_period_of(band)
    since_s = time_s - datastrip.middle_s
    itrf = itrf_from_eme2000(datastrip.orientation, datastrip.jd_day, time_s)
    attitude = quaternions.matrices(platform.attitudes(datastrip, time_s))
    refined = datastrip.refining.focal_plane.get(band.focal_plane, Correction())
    to_piloting = (
        _to_outer(gipp.piloting_to_msi(), datastrip.refining.msi, since_s)
        @ _to_outer(gipp.msi_to_focal_plane(band), refined, since_s)
        @ _to_outer(gipp.focal_plane_to_detector(band, detector), Correction(), since_s)
    )
    to_itrf = itrf @ attitude @ to_piloting
    directions = gipp.viewing_directions(band, detector, datastrip.tdi.get(band.number))
    return LineTable(
        first_line=float(lines[0]),
        rows_per_line=float(rows_per_line),
        position_m=np.einsum("nij,nj->ni", itrf, platform.positions(datastrip, time_s)),
        to_itrf=np.ascontiguousarray(to_itrf),
        from_itrf=np.ascontiguousarray(np.linalg.inv(to_itrf)),
        tan_along=directions.tan_psi_y,
        tan_across=-directions.tan_psi_x,
    )


def known_lines(datastrip: Datastrip, band: Band, detector: str) -> tuple[int, int]:
    """First and last line of a detector's image for which there are orbit and attitude."""
    start_s, period_s = datastrip.first_line_of(band, detector), datastrip.line_period_of(band)
    first_s = max(datastrip.orbit_time_s[0], datastrip.attitude_time_s[0])
    last_s = min(datastrip.orbit_time_s[-1], datastrip.attitude_time_s[-1])
    return math.ceil((first_s - start_s) / period_s - 0.5) + 1, math.floor((last_s - start_s) / period_s - 0.5) - 1


def _to_outer(mounting: Mounting, correction: Correction, since_s: Float64Array) -> Float64Array:
    """``(N, 3, 3)``: directions in the inner frame to those in the one it is mounted in.

    Found by comparison with ESA's grids: the angles are those of the turn to the inner frame, X after Y after Z, and
    the scale is on the direction's Z before it is turned back.
    """
    angles = [
        given + platform.value(polynomial, since_s)
        for given, polynomial in zip(mounting.angles_rad, correction.angles, strict=True)
    ]
    to_inner = _about(0, angles[0]) @ _about(1, angles[1]) @ _about(2, angles[2])
    outer: Float64Array = np.swapaxes(to_inner, 1, 2).copy()
    outer[:, :, 2] *= (mounting.z_scale + platform.value(correction.z_scale, since_s))[:, None]
    return outer


def _about(axis: int, angle_rad: Float64Array) -> Float64Array:
    """``(N, 3, 3)``: turns of vectors about a coordinate axis."""
    vector = np.zeros((angle_rad.size, 3))
    vector[:, axis] = angle_rad
    return quaternions.matrices(quaternions.from_rotation_vector(vector))
