"""The brightness of terrain: every facet's echo lands where the radar sees it; layover sums, shadow stays dark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from localdev.scene.ellipsoid import SPEED_OF_LIGHT_M_S, Float64Array
from localdev.scene.jit import jit

HALF_C = 0.5 * SPEED_OF_LIGHT_M_S


@jit
def scatter(
    nodes: Float64Array,
    node_line0: float,
    node_sample0: float,
    node_step: float,
    row_line: Float64Array,
    row_orbit: Float64Array,
    column0: float,
    column_step: float,
    n_columns: int,
    height_m: NDArray[np.float32],
    sea: NDArray[np.bool_],
    land_echo: float,
    sea_echo: float,
    dem_origin: Float64Array,
    record_line: Float64Array,
    table: Float64Array,
    table_range0: float,
    table_step: float,
    line_interval_s: float,
    mid_swath_s: float,
    by_sight: bool,
    first_line: int,
    out: Float64Array,
) -> None:
    """Add the echo areas of a lattice of facets to the image.

    The lattice is laid over the ground so that, were it at the reference height, its rows were image lines and its
    columns samples. Its nodes' ground positions are interpolated from coarse nodes (a millimetre off the ellipsoid),
    raised to the terrain, and each is then put through the range-Doppler equations. A facet is the quadrilateral
    between four of them. Along a row, from near to far, what lies under the highest look angle so far is in shadow.

    Parameters
    ----------
    nodes : (8, NL, NS) float64
        Longitude, latitude (degrees), position on the ellipsoid (3, metres), its normal (3), at lines
        ``node_line0 + k * node_step`` and samples alike.
    row_line : (M,) float64
        Image line of each lattice row.
    row_orbit : (M, 7, 3) float64
        At the row's time: position and its first, second / 2, third / 6 derivatives, velocity and its first,
        second / 2.
    height_m, sea : (H, W) float32, bool
        Ellipsoidal height at the DEM's nodes, and whether a node is sea.
    land_echo, sea_echo : float
        Linear backscatter.
    dem_origin : (4,) float64
        Longitude and latitude of node [0, 0], steps east and south.
    record_line : (R,) float64
        Lines of the range records.
    table : (R, K) float64
        Sample of slant range ``table_range0 + k * table_step`` by each record.
    by_sight : bool
        True: echo area is the area seen from the radar (gamma0); false: the facet's own (sigma0).
    first_line : int
        Line of ``out[0]``.
    out : (L, N) float64
        Echo areas in m2 are added, shared between the four nearest pixels.
    """
    n_rows = row_line.size
    dem_rows, dem_columns = height_m.shape
    n_records, n_table = table.shape
    n_node_columns = nodes.shape[2]
    n_out_lines, n_samples = out.shape
    edge = np.empty((8, n_node_columns))
    current = np.empty((7, n_columns))  # x, y, z, line, sample, lit, share of sea
    before = np.empty((7, n_columns))
    for i in range(n_rows):
        position = (row_line[i] - node_line0) / node_step
        k = min(max(int(position), 0), nodes.shape[1] - 2)
        weight = position - k
        for p in range(8):
            for m in range(n_node_columns):
                edge[p, m] = nodes[p, k, m] * (1.0 - weight) + nodes[p, k + 1, m] * weight
        orbit = row_orbit[i]
        s_x, s_y, s_z = orbit[0, 0], orbit[0, 1], orbit[0, 2]
        s_norm = np.sqrt(s_x * s_x + s_y * s_y + s_z * s_z)
        delay = 0.0
        lowest_cosine = 2.0
        record = 0
        while record < n_records - 2 and record_line[record + 1] <= row_line[i]:
            record += 1
        for j in range(n_columns):
            position = (column0 + j * column_step - node_sample0) / node_step
            m = min(max(int(position), 0), n_node_columns - 2)
            u = position - m
            v = 1.0 - u
            lon = edge[0, m] * v + edge[0, m + 1] * u
            lat = edge[1, m] * v + edge[1, m + 1] * u
            column = (lon - dem_origin[0]) / dem_origin[2]
            row = (dem_origin[1] - lat) / dem_origin[3]
            column = min(max(column, 0.0), dem_columns - 1.0)
            row = min(max(row, 0.0), dem_rows - 1.0)
            c = min(int(column), dem_columns - 2)
            r = min(int(row), dem_rows - 2)
            wc = column - c
            wr = row - r
            w00 = (1.0 - wr) * (1.0 - wc)
            w01 = (1.0 - wr) * wc
            w10 = wr * (1.0 - wc)
            w11 = wr * wc
            h = (
                w00 * height_m[r, c]
                + w01 * height_m[r, c + 1]
                + w10 * height_m[r + 1, c]
                + w11 * height_m[r + 1, c + 1]
            )
            x = edge[2, m] * v + edge[2, m + 1] * u + h * (edge[5, m] * v + edge[5, m + 1] * u)
            y = edge[3, m] * v + edge[3, m + 1] * u + h * (edge[6, m] * v + edge[6, m + 1] * u)
            z = edge[4, m] * v + edge[4, m + 1] * u + h * (edge[7, m] * v + edge[7, m + 1] * u)
            # Zero-Doppler time around the row's: the neighbour's answer is within microseconds, so that one Newton
            # step ends below 1e-10 s, and the range (stationary there) needs no second look.
            slant = 0.0
            for _ in range(3 if j == 0 else 1):
                doppler = 0.0
                slope = 0.0
                squared = 0.0
                for axis in range(3):
                    place = orbit[0, axis] + delay * (
                        orbit[1, axis] + delay * (orbit[2, axis] + delay * orbit[3, axis])
                    )
                    speed = orbit[4, axis] + delay * (orbit[5, axis] + delay * orbit[6, axis])
                    offset = (x if axis == 0 else y if axis == 1 else z) - place
                    doppler += offset * speed
                    slope += offset * orbit[5, axis] - orbit[1, axis] * speed
                    squared += offset * offset
                delay -= doppler / slope
                slant = np.sqrt(squared)
            line = row_line[i] + (delay - (slant / HALF_C - mid_swath_s) * 0.5) / line_interval_s
            here = record
            while here > 0 and line < record_line[here]:
                here -= 1
            while here < n_records - 2 and line >= record_line[here + 1]:
                here += 1
            place = (slant - table_range0) / table_step
            t = min(max(int(place), 0), n_table - 2)
            place -= t
            sample = table[here, t] + place * (table[here, t + 1] - table[here, t])
            if n_records > 1:
                share = (line - record_line[here]) / (record_line[here + 1] - record_line[here])
                share = min(max(share, 0.0), 1.0)
                other = table[here + 1, t] + place * (table[here + 1, t + 1] - table[here + 1, t])
                sample += share * (other - sample)
            cosine = ((s_x - x) * s_x + (s_y - y) * s_y + (s_z - z) * s_z) / (s_norm * slant)
            current[0, j] = x
            current[1, j] = y
            current[2, j] = z
            current[3, j] = line
            current[4, j] = sample
            current[5, j] = 1.0 if cosine < lowest_cosine else 0.0
            current[6, j] = w00 * sea[r, c] + w01 * sea[r, c + 1] + w10 * sea[r + 1, c] + w11 * sea[r + 1, c + 1]
            lowest_cosine = min(lowest_cosine, cosine)
        if i > 0:
            for j in range(1, n_columns):
                lit = 0.25 * (before[5, j - 1] + before[5, j] + current[5, j - 1] + current[5, j])
                if lit == 0.0:
                    continue
                line = 0.25 * (before[3, j - 1] + before[3, j] + current[3, j - 1] + current[3, j]) - first_line
                sample = 0.25 * (before[4, j - 1] + before[4, j] + current[4, j - 1] + current[4, j])
                if line <= -1.0 or line >= n_out_lines or sample <= -1.0 or sample >= n_samples:
                    continue
                # Half the cross product of the diagonals: the area vector, whichever way the facet bends.
                a_x, b_x = current[0, j] - before[0, j - 1], before[0, j] - current[0, j - 1]
                a_y, b_y = current[1, j] - before[1, j - 1], before[1, j] - current[1, j - 1]
                a_z, b_z = current[2, j] - before[2, j - 1], before[2, j] - current[2, j - 1]
                n_x = 0.5 * (a_y * b_z - a_z * b_y)
                n_y = 0.5 * (a_z * b_x - a_x * b_z)
                n_z = 0.5 * (a_x * b_y - a_y * b_x)
                p_x, p_y, p_z = current[0, j], current[1, j], current[2, j]
                if n_x * p_x + n_y * p_y + n_z * p_z < 0.0:
                    n_x, n_y, n_z = -n_x, -n_y, -n_z
                l_x, l_y, l_z = s_x - p_x, s_y - p_y, s_z - p_z
                seen = (n_x * l_x + n_y * l_y + n_z * l_z) / np.sqrt(l_x * l_x + l_y * l_y + l_z * l_z)
                if seen <= 0.0:
                    continue
                power = seen if by_sight else np.sqrt(n_x * n_x + n_y * n_y + n_z * n_z)
                power *= lit * (land_echo + (sea_echo - land_echo) * current[6, j])
                q = int(np.floor(line))
                s = int(np.floor(sample))
                down = line - q
                right = sample - s
                if q >= 0:
                    if s >= 0:
                        out[q, s] += power * (1.0 - down) * (1.0 - right)
                    if s + 1 < n_samples:
                        out[q, s + 1] += power * (1.0 - down) * right
                if q + 1 < n_out_lines:
                    if s >= 0:
                        out[q + 1, s] += power * down * (1.0 - right)
                    if s + 1 < n_samples:
                        out[q + 1, s + 1] += power * down * right
        before, current = current, before
