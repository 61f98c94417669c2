"""Where a point lies in an array of pixel positions: all that is compiled of it.

Four neighbouring pixels are a quad. A quad is *good* where it is convex and lies the way most of them lie: then the
bilinear map over it has one answer inside. It is *bad* where it is flipped, folded or has a corner that must not be
interpolated from, *flat* where it has no area (a pixel that is there twice), and *none* where a corner has no position
or two are too far apart to be neighbours. Squares of quads are tiles; each has a box around its quads, and buckets
over the plane list the tiles whose boxes touch them.

A point is looked for in the quad that its neighbour was found in, walking from quad to quad, and in the bucket's tiles
where that fails. Which side of an edge a point is on is decided by one expression for both quads that share it, so
that a point lies in exactly one of them however it was come upon. Where a tile is *contested* (it has bad quads or
gaps, or lies over tiles that are not beside it) the walk's answer does not count: all quads over the point are looked
at, and the one with the nearest corner is taken.

Everything is in one file because numba's disk cache notices a change only in the file of the compiled function.
"""

# numba infers the types of what it compiles, knows floor as a float, and has no `in` over tuples of arrays' elements
# ruff: noqa: PLR1714, PLW3301, RUF046
# mypy: disable-error-code="no-untyped-def, no-untyped-call, assignment"

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]
UInt8Array = NDArray[np.uint8]

NO_POSITION: Final = -(2**31)
"""In place of a pixel's x where it has no position."""

TILE: Final = 4
"""Quads along each side of a tile."""

APART, REPLACEABLE = 1, 2
"""Bits of a pixel: never to be interpolated from; a further measurement nearby is better than it."""

_NONE: Final = 0
_GOOD: Final = 1
_BAD: Final = 2
_FLAT: Final = 3
_MOST_STEPS: Final = 24
_FARTHEST_STEP: Final = 64
_ALONG_EDGE: Final = 0.75
_HALF_DIAGONAL_2: Final = 0.5
_EXACT: Final = 2.0**25
"""Sides of a quad whose products float64 has exactly, twice over."""
_BIT_OF_KIND: Final = 2 << 2 * _NONE | 1 << 2 * _BAD
"""What `box_tiles` notes of each kind of quad, two bits for each."""
_ROUNDS: Final = 1.5 * 2.0**52
_QUARTER, _QUARTER_REST = 1.57079632673412561417e00, 6.07710050650619224932e-11
"""A quarter turn: its first 33 bits, times any small number exact, and the rest."""
_S1, _S2, _S3 = -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04
_S4, _S5, _S6 = 2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10
_C1, _C2, _C3 = 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05
_C4, _C5, _C6 = -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11
_FAR: Final = 2**31 - 1
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)

# No fastmath: a contracted or reordered product would put a point on both sides of an edge, or on neither.
_inner = njit(nogil=True, error_model="numpy")
_fast = njit(nogil=True, error_model="numpy", forceinline=True)
_outer = njit(nogil=True, error_model="numpy", cache=True)


class Quads(NamedTuple):
    """Positions of pixels on a plane, and what finds a point among them.

    ``xy`` (L, S, 2) int32 are positions in units of the plane, x about along a line and y about across lines; x is
    ``NO_POSITION`` where there is none. ``marks`` (L, S) uint8 of `APART` and `REPLACEABLE`, or (0, 0) where no pixel
    has any. ``most`` (2,) is how far apart neighbours may be along a line and across, ``spacing`` (2,) how far they
    usually are. ``box`` (I, J, 4) int32 has each tile's least and largest x, least and largest y (least above largest
    where it has no quad), ``contested`` (I, J) whether it is.

    Bucket (r, c) is the square of ``side`` from ``(x0 + c * side, y0 + r * side)`` on; its tiles, in rising order, are
    ``listed[start[k] : start[k + 1]]`` with k = r * n_cols + c, whose boxes come within ``reach`` of it.

    ``further_xy`` (N, 2) int32 are measurements without a pixel, at ``further_at`` (N, 2) int32 line and sample; those
    of bucket k of ``further_side`` are ``further_start[k]`` to ``further_start[k + 1]``, with the buckets' shape as
    ``further_shape``.
    """

    xy: Int32Array
    marks: UInt8Array
    most: Float64Array
    spacing: Float64Array
    reach: float
    box: Int32Array
    contested: UInt8Array
    x0: float
    y0: float
    side: float
    n_rows: int
    n_cols: int
    start: NDArray[np.int64]
    listed: Int32Array
    further_xy: Int32Array
    further_at: Int32Array
    further_start: NDArray[np.int64]
    further_side: float
    further_shape: tuple[int, int]


@_inner
def _rounded(x):
    """To the nearest whole number, even of two; below 2e15. As vector code, which what numpy has for it is not."""
    return (x + _ROUNDS) - _ROUNDS


@_inner
def _sin_cos(angle_rad):
    """Sine and cosine to 2e-16, as vector code: of what is left of quarter turns, by short series.

    Source of the series: fdlibm, k_sin.c and k_cos.c.
    """
    k = _rounded(angle_rad * (2.0 / math.pi))
    d = angle_rad - k * _QUARTER - k * _QUARTER_REST
    z = d * d
    sine = d + d * z * (_S1 + z * (_S2 + z * (_S3 + z * (_S4 + z * (_S5 + z * _S6)))))
    cosine = 1.0 - 0.5 * z + z * z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * (_C5 + z * _C6)))))
    half = _rounded(0.5 * k - 0.25)  # of whole numbers: rounded down
    is_odd = k - 2.0 * half != 0.0
    sign = 1.0 - 2.0 * abs(half - 2.0 * _rounded(0.5 * half))
    return sign * (cosine if is_odd else sine), sign * (-sine if is_odd else cosine)


@_outer
def place(lat, lon, scale_lat, scale_lon, first, last, fill, axes, unit, xy):
    """Positions of pixels on the plane; `NO_POSITION` where they have none, or none that can be.

    Parameters
    ----------
    lat, lon : (L, S)
        Geodetic, in degrees once multiplied by ``scale_lat`` and ``scale_lon``.
    first, last : int
        Lines to do, half-open.
    fill : float
        What stands for no latitude or longitude; NaN always does.
    axes : (3, 3) float64
        Unit vectors of the plane's x and y and of its middle.
    unit : float
        Of the plane, as a part of the sphere's radius.
    xy : (L, S, 2) int32
        Written.

    Notes
    -----
    The plane is the stereographic one of the unit sphere of geodetic normals: conformal, without seam at the
    antimeridian or the poles. Source: J. P. Snyder, Map Projections - A Working Manual, equations 21-2 to 21-4.
    """
    u, v = np.empty(lat.shape[1]), np.empty(lat.shape[1])
    for i in range(first, last):
        _place_row(lat[i], lon[i], scale_lat, scale_lon, fill, axes, unit, u, v)
        row = xy[i]
        for j in range(u.size):
            row[j, 0] = np.int32(u[j])
            row[j, 1] = np.int32(v[j])


@_inner
def _place_row(lat, lon, scale_lat, scale_lon, fill, axes, unit, u, v):
    """Vector code: no table, no branch, one array at a time."""
    to_rad = math.pi / 180.0
    x0, x1, x2 = axes[0, 0], axes[0, 1], axes[0, 2]
    y0, y1, y2 = axes[1, 0], axes[1, 1], axes[1, 2]
    z0, z1, z2 = axes[2, 0], axes[2, 1], axes[2, 2]
    for j in range(u.size):
        raw_lat, raw_lon = float(lat[j]), float(lon[j])
        b, a = raw_lat * scale_lat, raw_lon * scale_lon
        sin_b, cos_b = _sin_cos(b * to_rad)
        sin_a, cos_a = _sin_cos(a * to_rad)
        nx, ny = cos_b * cos_a, cos_b * sin_a
        w = 1.0 + nx * z0 + ny * z1 + sin_b * z2
        factor = 2.0 / (w * unit)
        x = _rounded(factor * (nx * x0 + ny * x1 + sin_b * x2))
        y = _rounded(factor * (nx * y0 + ny * y1 + sin_b * y2))
        known = (raw_lat != fill) & (raw_lon != fill) & (abs(b) <= 90.0) & (abs(a) <= 360.0) & (w >= 0.1)
        known &= (abs(x) < 2147483647.0) & (abs(y) < 2147483647.0)
        u[j] = x if known else float(NO_POSITION)
        v[j] = y if known else float(NO_POSITION)


@_inner
def _cross(ax, ay, bx, by):
    return ax * by - ay * bx


@_inner
def _kind(xy, marks, along, across, i, j):
    """Which kind of quad the pixels (i, j) to (i + 1, j + 1) make. Whole numbers: exact."""
    ax, ay = np.int64(xy[i, j, 0]), np.int64(xy[i, j, 1])
    bx, by = np.int64(xy[i, j + 1, 0]), np.int64(xy[i, j + 1, 1])
    cx, cy = np.int64(xy[i + 1, j + 1, 0]), np.int64(xy[i + 1, j + 1, 1])
    dx, dy = np.int64(xy[i + 1, j, 0]), np.int64(xy[i + 1, j, 1])
    if ax == NO_POSITION or bx == NO_POSITION or cx == NO_POSITION or dx == NO_POSITION:
        return _NONE
    if (
        abs(bx - ax) > along or abs(by - ay) > along or abs(cx - dx) > along or abs(cy - dy) > along
        or abs(dx - ax) > across or abs(dy - ay) > across or abs(cx - bx) > across or abs(cy - by) > across
    ):  # fmt: skip
        return _NONE
    at_a = _cross(bx - ax, by - ay, dx - ax, dy - ay)
    at_b = _cross(cx - bx, cy - by, ax - bx, ay - by)
    at_c = _cross(dx - cx, dy - cy, bx - cx, by - cy)
    at_d = _cross(ax - dx, ay - dy, cx - dx, cy - dy)
    if at_a == 0 and at_b == 0 and at_c == 0 and at_d == 0:
        return _FLAT
    if at_a < 0 or at_b < 0 or at_c < 0 or at_d < 0:
        return _BAD
    if marks.shape[0] == 0:
        return _GOOD
    if (marks[i, j] | marks[i, j + 1] | marks[i + 1, j] | marks[i + 1, j + 1]) & APART:
        return _BAD
    return _GOOD


@_inner
def _edge(xy, i0, j0, i1, j1, x, y):
    """On which side of the edge from one pixel to a later one a point is, and whether the edge has a length."""
    ax, ay = float(xy[i0, j0, 0]), float(xy[i0, j0, 1])
    ex, ey = xy[i1, j1, 0] - ax, xy[i1, j1, 1] - ay
    return ex * (y - ay) - ey * (x - ax), ex != 0.0 or ey != 0.0


@_inner
def _way_out(xy, i, j, x, y):
    """Across which edges of a quad one comes nearer to a point, as a step in line and sample; (0, 0): it is inside."""
    top, _ = _edge(xy, i, j, i, j + 1, x, y)
    bottom, has_bottom = _edge(xy, i + 1, j, i + 1, j + 1, x, y)
    left, _ = _edge(xy, i, j, i + 1, j, x, y)
    right, has_right = _edge(xy, i, j + 1, i + 1, j + 1, x, y)
    di = -1 if top < 0.0 else 1 if has_bottom and bottom >= 0.0 else 0
    dj = -1 if left > 0.0 else 1 if has_right and right <= 0.0 else 0
    return di, dj


@_fast
def _parts(xy, i, j, x, y):
    """How far along a line and across lines a point is in a good quad, each 0 to 1.

    The bilinear map A + q (B - A) + p (D - A) + p q (A - B + C - D) leads to a quadratic in p. Of its two roots the
    one where the map keeps its orientation is taken: the derivative of the quadratic there is the map's determinant.
    """
    ax, ay = float(xy[i, j, 0]), float(xy[i, j, 1])
    ex, ey = xy[i, j + 1, 0] - ax, xy[i, j + 1, 1] - ay
    fx, fy = xy[i + 1, j, 0] - ax, xy[i + 1, j, 1] - ay
    gx = xy[i + 1, j + 1, 0] - xy[i + 1, j, 0] - ex
    gy = xy[i + 1, j + 1, 1] - xy[i + 1, j, 1] - ey
    hx, hy = x - ax, y - ay
    k2 = _cross(gx, gy, fx, fy)
    k1 = _cross(ex, ey, fx, fy) + _cross(hx, hy, gx, gy)
    k0 = _cross(hx, hy, ex, ey)
    root = math.sqrt(max(k1 * k1 - 4.0 * k0 * k2, 0.0))
    p = 0.0
    if k1 >= 0.0:
        if k1 + root > 0.0:
            p = -2.0 * k0 / (k1 + root)
    elif k2 != 0.0:
        p = (root - k1) / (2.0 * k2)
    p = min(max(p, 0.0), 1.0)
    ux, uy = ex + p * gx, ey + p * gy
    length_2 = ux * ux + uy * uy
    q = 0.0
    if length_2 > 0.0:
        q = ((hx - p * fx) * ux + (hy - p * fy) * uy) / length_2
    return p, min(max(q, 0.0), 1.0)


@_inner
def _distance_2(xy, i, j, x, y):
    dx, dy = xy[i, j, 0] - x, xy[i, j, 1] - y
    return dx * dx + dy * dy


@_fast
def _walk(flat, width, last_i, last_j, i, j, x, y):
    """From quad to quad towards a point: the quad it is in, or (-1, -1) where a gap or the edge is in the way.

    ``flat`` (L * width,) are the positions, line after line. Sides are decided as `_way_out` does.

    Returns
    -------
    i, j : int
    p, q : float
        About how far along lines and samples the point is in it, as if it were a parallelogram.
    """
    none = float(NO_POSITION)
    for _ in range(_MOST_STEPS):
        a = np.uint64(i * width + 2 * j)  # of unsigned numbers none is taken to count from the end
        d = a + np.uint64(width)
        ax, ay, bx, by = float(flat[a]), float(flat[a + _1]), float(flat[a + _2]), float(flat[a + _3])
        dx, dy, cx, cy = float(flat[d]), float(flat[d + _1]), float(flat[d + _2]), float(flat[d + _3])
        if ax == none or bx == none or cx == none or dx == none:
            return -1, -1, 0.0, 0.0
        ex, ey, fx, fy = bx - ax, by - ay, dx - ax, dy - ay
        gx, gy, hx, hy = cx - dx, cy - dy, cx - bx, cy - by
        top, bottom = ex * (y - ay) - ey * (x - ax), gx * (y - dy) - gy * (x - dx)
        left, right = fx * (y - ay) - fy * (x - ax), hx * (y - by) - hy * (x - bx)
        di = -1 if top < 0.0 else 1 if bottom >= 0.0 and (gx != 0.0 or gy != 0.0) else 0
        dj = -1 if left > 0.0 else 1 if right <= 0.0 and (hx != 0.0 or hy != 0.0) else 0
        area = ex * fy - ey * fx
        part = 1.0 / area if area > 0.0 else 0.0
        p, q = top * part, -left * part
        if di == 0 and dj == 0:
            if _cross(cx - ax, cy - ay, dx - bx, dy - by) > 0.0:
                return i, j, p, q
            return -1, -1, 0.0, 0.0  # four pixels at one place, which have no outside
        # As far as the quad's own sides say, if that is farther.
        far_i, far_j = math.floor(p), math.floor(q)
        if abs(far_i) > 1.0:
            di = int(min(max(far_i, -_FARTHEST_STEP), _FARTHEST_STEP))
        if abs(far_j) > 1.0:
            dj = int(min(max(far_j, -_FARTHEST_STEP), _FARTHEST_STEP))
        to_i, to_j = min(max(i + di, 0), last_i), min(max(j + dj, 0), last_j)
        if to_i == i and to_j == j:
            return -1, -1, 0.0, 0.0
        i, j = to_i, to_j
    return -1, -1, 0.0, 0.0


@_inner
def _has_odd(xy, i, j, x, y):
    """Whether a ray from a point crosses the outline of a quad an odd number of times: it is in it, however folded."""
    inside = False
    for k in range(4):
        i0, j0 = i + (1 if k in (2, 3) else 0), j + (1 if k in (1, 2) else 0)
        m = (k + 1) % 4
        i1, j1 = i + (1 if m in (2, 3) else 0), j + (1 if m in (1, 2) else 0)
        ax, ay, bx, by = float(xy[i0, j0, 0]), float(xy[i0, j0, 1]), float(xy[i1, j1, 0]), float(xy[i1, j1, 1])
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside


@_inner
def _is_beside(xy, i, j, x, y):
    """Whether a point is outside the box around a quad."""
    a, b, c, d = xy[i, j, 0], xy[i, j + 1, 0], xy[i + 1, j, 0], xy[i + 1, j + 1, 0]
    if x < min(min(a, b), min(c, d)) or x > max(max(a, b), max(c, d)):
        return True
    a, b, c, d = xy[i, j, 1], xy[i, j + 1, 1], xy[i + 1, j, 1], xy[i + 1, j + 1, 1]
    return y < min(min(a, b), min(c, d)) or y > max(max(a, b), max(c, d))


@_inner
def _search(xy, marks, along, across, box, contested, listed, first, last, x, y):
    """All quads over a point that a bucket knows of, ``listed[first:last]``: the good one with the nearest corner, the
    first of equals.

    Returns
    -------
    i, j : int
        (-1, -1) where no good quad is over the point.
    covered : bool
        Whether a bad one is.
    """
    n_tiles = box.shape[1]
    found_i, found_j, nearest, covered = -1, -1, np.inf, False
    for n in range(first, last):
        tile_i, tile_j = listed[n] // n_tiles, listed[n] % n_tiles
        if not (
            box[tile_i, tile_j, 0] <= x <= box[tile_i, tile_j, 1]
            and box[tile_i, tile_j, 2] <= y <= box[tile_i, tile_j, 3]
        ):
            continue
        for i in range(tile_i * TILE, min((tile_i + 1) * TILE, xy.shape[0] - 1)):
            for j in range(tile_j * TILE, min((tile_j + 1) * TILE, xy.shape[1] - 1)):
                if _is_beside(xy, i, j, x, y):
                    continue
                kind = _kind(xy, marks, along, across, i, j)
                if kind == _BAD:
                    covered = covered or _has_odd(xy, i, j, x, y)
                if kind != _GOOD:
                    continue
                di, dj = _way_out(xy, i, j, x, y)
                if di != 0 or dj != 0:
                    continue
                if not contested[tile_i, tile_j]:
                    return i, j, False
                d = min(
                    min(_distance_2(xy, i, j, x, y), _distance_2(xy, i, j + 1, x, y)),
                    min(_distance_2(xy, i + 1, j, x, y), _distance_2(xy, i + 1, j + 1, x, y)),
                )
                if d < nearest or (d == nearest and (i, j) < (found_i, found_j)):
                    found_i, found_j, nearest = i, j, d
    return found_i, found_j, covered


@_inner
def _nearest_pixel(quads, k, x, y, any_pixel):
    """The nearest pixel within reach of a point, the first of equals; not one that stands apart unless ``any_pixel``.

    Returns line and sample, (-1, -1) where there is none, and the distance squared.
    """
    xy, box, reach = quads.xy, quads.box, quads.reach
    n_tiles = box.shape[1]
    found_i, found_j, nearest = -1, -1, reach * reach
    for n in range(quads.start[k], quads.start[k + 1]):
        tile_i, tile_j = quads.listed[n] // n_tiles, quads.listed[n] % n_tiles
        if not (
            box[tile_i, tile_j, 0] - reach <= x <= box[tile_i, tile_j, 1] + reach
            and box[tile_i, tile_j, 2] - reach <= y <= box[tile_i, tile_j, 3] + reach
        ):
            continue
        for i in range(tile_i * TILE, min((tile_i + 1) * TILE + 1, xy.shape[0])):
            for j in range(tile_j * TILE, min((tile_j + 1) * TILE + 1, xy.shape[1])):
                if xy[i, j, 0] == NO_POSITION:
                    continue
                if not any_pixel and quads.marks.shape[0] > 0 and quads.marks[i, j] & APART:
                    continue
                d = _distance_2(xy, i, j, x, y)
                if d < nearest or (d == nearest and (i, j) < (found_i, found_j)):
                    found_i, found_j, nearest = i, j, d
    return found_i, found_j, nearest


@_inner
def _neighbour(quads, i, j, di, dj):
    """From a pixel to its neighbour, where it has one that is not too far; the third is False where it has none."""
    xy = quads.xy
    to_i, to_j = i + di, j + dj
    if not (0 <= to_i < xy.shape[0] and 0 <= to_j < xy.shape[1]) or xy[to_i, to_j, 0] == NO_POSITION:
        return 0.0, 0.0, False
    dx, dy = float(xy[to_i, to_j, 0]) - xy[i, j, 0], float(xy[to_i, to_j, 1]) - xy[i, j, 1]
    most = quads.most[0] if di == 0 else quads.most[1]
    return dx, dy, abs(dx) <= most and abs(dy) <= most


@_inner
def _side_of_pixel(quads, i, j, di, dj):
    """The vector of one line or sample at a pixel, from its neighbours; and whether it has one before and one after."""
    bx, by, before = _neighbour(quads, i, j, -di, -dj)
    ax, ay, after = _neighbour(quads, i, j, di, dj)
    has_before, has_after = before and (bx != 0.0 or by != 0.0), after and (ax != 0.0 or ay != 0.0)
    if has_before and has_after:
        return 0.5 * (ax - bx), 0.5 * (ay - by), before, after
    if has_after:
        return ax, ay, before, after
    if has_before:
        return -bx, -by, before, after
    return dj * quads.spacing[0], di * quads.spacing[1], before, after


@_inner
def _within_pixel(quads, i, j, x, y):
    """How far a point is from a pixel's centre in lines and samples, and whether it lies on the pixel.

    That is half a pixel at most towards where no pixel follows. Towards neighbours it may be a little more: quads
    begin there, and what is not in them was nearest to this pixel. Where pixels are out of place and their vectors say
    little, it is half the usual distance in any case.
    """
    fx, fy, above, below = _side_of_pixel(quads, i, j, 1, 0)
    ex, ey, left, right = _side_of_pixel(quads, i, j, 0, 1)
    area = _cross(ex, ey, fx, fy)
    if area <= 0.1 * quads.spacing[0] * quads.spacing[1]:
        ex, ey, fx, fy = quads.spacing[0], 0.0, 0.0, quads.spacing[1]
        area = ex * fy
    hx, hy = x - quads.xy[i, j, 0], y - quads.xy[i, j, 1]
    p, q = _cross(ex, ey, hx, hy) / area, _cross(hx, hy, fx, fy) / area
    most_p = _ALONG_EDGE if (below if p > 0.0 else above) else 0.5
    most_q = _ALONG_EDGE if (right if q > 0.0 else left) else 0.5
    on_it = abs(p) <= most_p and abs(q) <= most_q
    near = 0.5 * min(quads.spacing[0], quads.spacing[1])
    return min(max(p, -0.5), 0.5), min(max(q, -0.5), 0.5), on_it or hx * hx + hy * hy < near * near


@_fast
def _nearest_corner(flat, width, i, j, x, y):
    """The pixel of a quad that is nearest to a point, the first of equals, and its distance squared."""
    a = np.uint64(i * width + 2 * j)
    d = a + np.uint64(width)
    ax, ay, bx, by = flat[a] - x, flat[a + _1] - y, flat[a + _2] - x, flat[a + _3] - y
    dx, dy, cx, cy = flat[d] - x, flat[d + _1] - y, flat[d + _2] - x, flat[d + _3] - y
    at_a, at_b, at_c, at_d = ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy, dx * dx + dy * dy
    upper, lower = min(at_a, at_b), min(at_d, at_c)
    right = at_b < at_a if upper <= lower else at_c < at_d
    return i + (0 if upper <= lower else 1), j + (1 if right else 0), min(upper, lower)


@_inner
def _nearest_around(xy, marks, i, j, x, y):
    """From a pixel on to the neighbour nearest to a point, until none is nearer: among quads out of shape the nearest
    pixel need not be a corner of the one over the point."""
    nearest = _distance_2(xy, i, j, x, y)
    for _ in range(_MOST_STEPS):
        at_i, at_j = i, j
        for di in range(max(at_i - 1, 0), min(at_i + 2, xy.shape[0])):
            for dj in range(max(at_j - 1, 0), min(at_j + 2, xy.shape[1])):
                if xy[di, dj, 0] == NO_POSITION or (marks.shape[0] > 0 and marks[di, dj] & APART):
                    continue
                d = _distance_2(xy, di, dj, x, y)
                if d < nearest or (d == nearest and (di, dj) < (i, j)):
                    i, j, nearest = di, dj, d
        if i == at_i and j == at_j:
            break
    return i, j, nearest


@_inner
def _nearest_further(xy, start, x0, y0, side, n_rows, n_cols, x, y):
    """The nearest measurement without a pixel, not farther than a bucket of theirs is wide: its number, -1 where there
    is none, and its distance squared."""
    c, r = int(math.floor((x - x0) / side)), int(math.floor((y - y0) / side))
    found, nearest = -1, side * side
    for row in range(max(r - 1, 0), min(r + 2, n_rows)):
        for col in range(max(c - 1, 0), min(c + 2, n_cols)):
            k = row * n_cols + col
            for n in range(start[k], start[k + 1]):
                dx, dy = xy[n, 0] - x, xy[n, 1] - y
                d = dx * dx + dy * dy
                if d < nearest:
                    found, nearest = n, d
    return found, nearest


@_inner
def _stands_in(marks, pixel_area, i, j, nearest, d):
    """Whether a further measurement at a distance (squared) counts rather than the pixel (i, j) at another."""
    on_it = d <= _HALF_DIAGONAL_2 * pixel_area
    if i < 0:
        return on_it
    return d < nearest or (on_it and marks.shape[0] > 0 and marks[i, j] & REPLACEABLE != 0)


@_inner
def _off_quads(quads, k, covered, x, y, nearest):
    """Line and sample of a point in no good quad; NaN where it is on no pixel either.

    Where a bad quad is over the point it counts as the centre of the nearest pixel: nothing is known of what is between
    pixels there.
    """
    i, j, d_pixel = _nearest_pixel(quads, k, x, y, False)
    p, q = 0.0, 0.0
    if covered and i < 0:
        i, j, d_pixel = _nearest_pixel(quads, k, x, y, True)
    elif not covered and i >= 0:
        p, q, on_it = _within_pixel(quads, i, j, x, y)
        if not on_it:
            i, j = -1, -1
    if nearest and quads.further_xy.shape[0] > 0:
        n_rows, n_cols = quads.further_shape
        n, d = _nearest_further(
            quads.further_xy, quads.further_start, quads.x0, quads.y0, quads.further_side, n_rows, n_cols, x, y
        )
        if n >= 0 and _stands_in(quads.marks, quads.spacing[0] * quads.spacing[1], i, j, d_pixel, d):
            return float(quads.further_at[n, 0]), float(quads.further_at[n, 1])
    if i < 0:
        return np.nan, np.nan
    if nearest:
        return float(i), float(j)
    return i + p, j + q


@_inner
def _run(quads, x, y, guess, nearest, line, sample):
    """Line and sample of points (N,) float64, each looked for where the one before was found.

    ``guess`` (2,) int64 is the quad to begin with, -1 for none; it becomes the first that a point was found in.

    Arrays are taken from the tuple once for many points: numba counts references to each array of a tuple that it hands
    on, which took longer (200 ns) than everything else.
    """
    xy, marks, box, contested = quads.xy, quads.marks, quads.box, quads.contested
    start, listed, x0, y0, side = quads.start, quads.listed, quads.x0, quads.y0, quads.side
    n_rows, n_cols, along, across = quads.n_rows, quads.n_cols, quads.most[0], quads.most[1]
    f_xy, f_at, f_start, f_side = quads.further_xy, quads.further_at, quads.further_start, quads.further_side
    f_rows, f_cols = quads.further_shape
    area = quads.spacing[0] * quads.spacing[1]
    last_i, last_j = xy.shape[0] - 2, xy.shape[1] - 2
    flat, width = xy.reshape(-1), 2 * xy.shape[1]
    i, j = guess[0], guess[1]
    before_line, before_sample, is_known, is_first = 0.0, 0.0, False, True
    for n in range(x.shape[0]):
        u, v = x[n], y[n]
        p, q = 0.0, 0.0
        if i >= 0:
            i, j, p, q = _walk(flat, width, last_i, last_j, i, j, u, v)
            if i >= 0 and contested[i // TILE, j // TILE]:
                i = -1
        if i < 0:
            is_known = False
            line[n], sample[n] = np.nan, np.nan
            c, r = math.floor((u - x0) / side), math.floor((v - y0) / side)
            if not (0 <= c < n_cols and 0 <= r < n_rows):  # so for NaN
                continue
            k = int(r) * n_cols + int(c)
            if start[k] == start[k + 1]:
                continue
            i, j, covered = _search(
                xy, marks, along, across, box, contested, listed, start[k], start[k + 1], u, v
            )  # fmt: skip
            if i < 0:
                line[n], sample[n] = _off_quads(quads, k, covered, u, v, nearest)
                continue
        if is_first:
            guess[0], guess[1], is_first = i, j, False
        at_i, at_j = i, j
        if not nearest:
            p, q = _parts(xy, i, j, u, v)
            line[n], sample[n] = i + p, j + q
        at_line, at_sample = i + p, j + q
        if is_known:  # where the next will be, if it goes on like this
            i = min(max(int(2.0 * at_line - before_line), 0), last_i)
            j = min(max(int(2.0 * at_sample - before_sample), 0), last_j)
        before_line, before_sample, is_known = at_line, at_sample, True
        if not nearest:
            continue
        near_i, near_j, d_pixel = _nearest_corner(flat, width, at_i, at_j, u, v)
        # Told by the place alone, not by how one came there: pixels must not depend on where a map is cut.
        if f_xy.shape[0] > 0 or contested[at_i // TILE, at_j // TILE]:
            near_i, near_j, d_pixel = _nearest_around(xy, marks, near_i, near_j, u, v)
        line[n], sample[n] = near_i, near_j
        if f_xy.shape[0] > 0:
            m, d = _nearest_further(f_xy, f_start, x0, y0, f_side, f_rows, f_cols, u, v)
            if m >= 0 and _stands_in(marks, area, near_i, near_j, d_pixel, d):
                line[n], sample[n] = f_at[m, 0], f_at[m, 1]


@_outer
def locate_points(quads, x, y, nearest, line, sample):
    """Line and sample of points (N,) float64 on the plane; NaN where they lie on no pixel.

    ``nearest``: whole numbers, of the nearest measurement.
    """
    _run(quads, x, y, np.full(2, -1, np.int64), nearest, line, sample)


@_outer
def locate_rows(quads, nodes, step_px, node_row, node_col, first, last, nearest, line, sample):
    """Line and sample of the pixels of rows ``first`` to ``last`` of a window of a map.

    Parameters
    ----------
    nodes : (2, I, J) float64
        x and y on the plane at the window's pixels ``(node_row + (i - 1) * step_px, node_col + (j - 1) * step_px)``:
        one more on each side than the pixels lie between. Between them both are cubics along rows and columns.
    line, sample : (R, C) float64
        Written in rows ``first`` to before ``last``.

    Returns
    -------
    Least and greatest line, and least and greatest sample, that were written; infinities where none was but NaN.
    """
    n_cols = line.shape[1]
    weights = np.empty((step_px, 4))
    for k in range(step_px):
        weights[k, 0], weights[k, 1], weights[k, 2], weights[k, 3] = _cubic_weights(k / step_px)
    along = np.empty((2, nodes.shape[2]))
    place = np.empty((2, n_cols))
    guess = np.full(2, -1, np.int64)
    ends = np.empty((4, n_cols))  # of each column, which is vector code
    ends[0], ends[1], ends[2], ends[3] = np.inf, -np.inf, np.inf, -np.inf
    for r in range(first, last):
        at = (r - node_row) // step_px
        v0, v1, v2, v3 = _cubic_weights((r - node_row - at * step_px) / step_px)
        for q in range(2):
            for j in range(nodes.shape[2]):
                along[q, j] = (
                    v0 * nodes[q, at, j] + v1 * nodes[q, at + 1, j]
                    + v2 * nodes[q, at + 2, j] + v3 * nodes[q, at + 3, j]
                )  # fmt: skip
            for m in range(nodes.shape[2] - 3):
                start = node_col + m * step_px
                a0, a1, a2, a3 = along[q, m], along[q, m + 1], along[q, m + 2], along[q, m + 3]
                for c in range(max(start, 0), min(start + step_px, n_cols)):
                    k = c - start
                    place[q, c] = weights[k, 0] * a0 + weights[k, 1] * a1 + weights[k, 2] * a2 + weights[k, 3] * a3
        _run(quads, place[0], place[1], guess, nearest, line[r], sample[r])
        _reach(line[r], ends[0], ends[1])
        _reach(sample[r], ends[2], ends[3])
    return ends[0].min(), ends[1].max(), ends[2].min(), ends[3].max()


@_inner
def _reach(values, low, high):
    """The least and greatest of what each column had, and these; NaN is neither."""
    for c in range(values.size):
        low[c] = values[c] if values[c] < low[c] else low[c]
        high[c] = values[c] if values[c] > high[c] else high[c]


@_inner
def _cubic_weights(t):
    """Of the polynomial of third degree through four equidistant points, t of the way from the second to the third."""
    return (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )


@_outer
def box_tiles(quads, first, last):
    """Fill ``box`` and ``contested`` (1: has bad quads, 2: has gaps) of rows ``first`` to before ``last`` of tiles.

    Returns how many quads are none, good, bad and flat.
    """
    xy, marks, box, contested = quads.xy, quads.marks, quads.box, quads.contested
    along, across = quads.most[0], quads.most[1]
    counts = np.zeros(4, np.int64)
    n_quads = xy.shape[1] - 1
    kinds = np.empty(n_quads, np.uint8)
    bits = np.empty(n_quads, np.uint8)
    ends = np.empty((4, xy.shape[1]), np.int32)
    pixel, following = np.empty((2, xy.shape[1])), np.empty((2, xy.shape[1]))
    for tile_i in range(first, last):
        i0, i1 = tile_i * TILE, min((tile_i + 1) * TILE, xy.shape[0] - 1)
        bits[:] = 0
        ends[0], ends[1], ends[2], ends[3] = _FAR, -_FAR, _FAR, -_FAR
        _widen(xy[i0], pixel[0], pixel[1], ends[0], ends[1], ends[2], ends[3])
        for i in range(i0, i1):
            _widen(xy[i + 1], following[0], following[1], ends[0], ends[1], ends[2], ends[3])
            if max(along, across) < _EXACT:
                _kinds(pixel[0], pixel[1], following[0], following[1], along, across, kinds)
                if marks.shape[0] > 0:
                    _stand_apart(marks[i], marks[i + 1], kinds)
            else:
                for j in range(n_quads):
                    kinds[j] = _kind(xy, marks, along, across, i, j)
            for j in range(n_quads):
                bits[j] |= _BIT_OF_KIND >> (2 * kinds[j]) & 3
            for kind in range(4):
                counts[kind] += _count(kinds, kind)
            pixel, following = following, pixel
        for tile_j in range(box.shape[1]):
            j0, j1 = tile_j * TILE, min((tile_j + 1) * TILE, n_quads)
            found = 0
            for j in range(j0, j1):
                found |= bits[j]
            x0, x1, y0, y1 = _FAR, -_FAR, _FAR, -_FAR
            for j in range(j0, j1 + 1):
                x0, x1 = min(x0, ends[0, j]), max(x1, ends[1, j])
                y0, y1 = min(y0, ends[2, j]), max(y1, ends[3, j])
            # Pixels without a quad count too, unless they are somewhere else altogether.
            most = (TILE + 1) * max(along, across)
            if found & 2 and (x1 - x0 > most or y1 - y0 > most):
                x0, x1, y0, y1 = _FAR, -_FAR, _FAR, -_FAR
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        if _kind(xy, marks, along, across, i, j) == _NONE:
                            continue
                        for n in range(4):
                            x, y = xy[i + n // 2, j + n % 2, 0], xy[i + n // 2, j + n % 2, 1]
                            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
            box[tile_i, tile_j, 0] = x0
            box[tile_i, tile_j, 1] = x1
            box[tile_i, tile_j, 2] = y0
            box[tile_i, tile_j, 3] = y1
            contested[tile_i, tile_j] = found
    return counts


@_inner
def _widen(row, x, y, x0, x1, y0, y1):
    """A line of pixels as ``x`` and ``y``, and the ends of what each column has, wider by it."""
    for j in range(x.size):
        a, b = row[j, 0], row[j, 1]
        x[j], y[j] = a, b
        x0[j] = min(x0[j], a if a != NO_POSITION else _FAR)
        x1[j] = max(x1[j], a if a != NO_POSITION else -_FAR)
        y0[j] = min(y0[j], b if a != NO_POSITION else _FAR)
        y1[j] = max(y1[j], b if a != NO_POSITION else -_FAR)


@_inner
def _kinds(x, y, x_next, y_next, along, across, kinds):
    """As `_kind`, of all quads between two lines: vector code, as exact while sides are shorter than `_EXACT`."""
    none = float(NO_POSITION)
    for j in range(kinds.size):
        ax, ay, bx, by = x[j], y[j], x[j + 1], y[j + 1]
        dx, dy, cx, cy = x_next[j], y_next[j], x_next[j + 1], y_next[j + 1]
        apart = (abs(bx - ax) > along) | (abs(by - ay) > along) | (abs(cx - dx) > along) | (abs(cy - dy) > along)
        apart |= (abs(dx - ax) > across) | (abs(dy - ay) > across) | (abs(cx - bx) > across) | (abs(cy - by) > across)
        apart |= (ax == none) | (bx == none) | (cx == none) | (dx == none)
        at_a = (bx - ax) * (dy - ay) - (by - ay) * (dx - ax)
        at_b = (cx - bx) * (ay - by) - (cy - by) * (ax - bx)
        at_c = (dx - cx) * (by - cy) - (dy - cy) * (bx - cx)
        at_d = (ax - dx) * (cy - dy) - (ay - dy) * (cx - dx)
        least, most = min(min(at_a, at_b), min(at_c, at_d)), max(max(at_a, at_b), max(at_c, at_d))
        kind = _BAD if least < 0.0 else _GOOD if most > 0.0 else _FLAT
        kinds[j] = _NONE if apart else kind


@_inner
def _stand_apart(marks, marks_next, kinds):
    for j in range(kinds.size):
        if kinds[j] == _GOOD and (marks[j] | marks[j + 1] | marks_next[j] | marks_next[j + 1]) & APART:
            kinds[j] = _BAD


@_inner
def _count(kinds, kind):
    n = 0
    for j in range(kinds.size):
        n += kinds[j] == kind
    return n


@_inner
def _bucket_range(box, reach, x0, y0, side, n_rows, n_cols, i, j):
    """First and last column and first and last row of the buckets that a tile's box comes within reach of."""
    c0 = int(math.floor((box[i, j, 0] - reach - x0) / side))
    c1 = int(math.floor((box[i, j, 1] + reach - x0) / side))
    r0 = int(math.floor((box[i, j, 2] - reach - y0) / side))
    r1 = int(math.floor((box[i, j, 3] + reach - y0) / side))
    return max(c0, 0), min(c1, n_cols - 1), max(r0, 0), min(r1, n_rows - 1)


@_outer
def ends_of_tiles(box):
    """Least and greatest x, and least and greatest y, of all tiles that have any, of boxes (I, J, 4)."""
    x0, x1, y0, y1 = _FAR, -_FAR, _FAR, -_FAR
    for i in range(box.shape[0]):
        for j in range(box.shape[1]):
            if box[i, j, 0] <= box[i, j, 1]:
                x0, x1 = min(x0, box[i, j, 0]), max(x1, box[i, j, 1])
                y0, y1 = min(y0, box[i, j, 2]), max(y1, box[i, j, 3])
    return float(x0), float(x1), float(y0), float(y1)


@_outer
def count_tiles(quads, first, last, counts):
    """Into ``counts`` (n_rows * n_cols + 1): at k + 1 the number of tiles that bucket k lists, of the buckets in rows
    ``first`` to before ``last``."""
    box, reach, x0, y0, side = quads.box, quads.reach, quads.x0, quads.y0, quads.side
    n_rows, n_cols = quads.n_rows, quads.n_cols
    for tile_i in range(box.shape[0]):
        for tile_j in range(box.shape[1]):
            if box[tile_i, tile_j, 0] > box[tile_i, tile_j, 1]:
                continue
            c0, c1, r0, r1 = _bucket_range(box, reach, x0, y0, side, n_rows, n_cols, tile_i, tile_j)
            for r in range(max(r0, first), min(r1 + 1, last)):
                for c in range(c0, c1 + 1):
                    counts[r * n_cols + c + 1] += 1


@_outer
def list_tiles(quads, first, last, at):
    """Fill ``listed`` of the buckets in rows ``first`` to before ``last``; ``at`` (n_rows * n_cols,) is where each
    bucket begins, and where it ends afterwards."""
    box, listed, reach, x0, y0, side = quads.box, quads.listed, quads.reach, quads.x0, quads.y0, quads.side
    n_rows, n_cols, n_tiles = quads.n_rows, quads.n_cols, quads.box.shape[1]
    for tile_i in range(box.shape[0]):
        for tile_j in range(n_tiles):
            if box[tile_i, tile_j, 0] > box[tile_i, tile_j, 1]:
                continue
            c0, c1, r0, r1 = _bucket_range(box, reach, x0, y0, side, n_rows, n_cols, tile_i, tile_j)
            for r in range(max(r0, first), min(r1 + 1, last)):
                for c in range(c0, c1 + 1):
                    k = r * n_cols + c
                    listed[at[k]] = tile_i * n_tiles + tile_j
                    at[k] += 1


@_outer
def overlap_tiles(quads, first, last, overlaps):
    """Set ``overlaps`` (I, J) of tiles whose box meets that of a tile which is not beside them, pair by pair in the
    buckets of rows ``first`` to before ``last``: boxes that meet share one."""
    box, start, listed = quads.box, quads.start, quads.listed
    n_tiles = box.shape[1]
    most = 0
    for k in range(first * quads.n_cols, last * quads.n_cols):
        most = max(most, start[k + 1] - start[k])
    tile, ends = np.empty((most, 2), np.int64), np.empty((most, 4), np.int32)
    for r in range(first, last):
        low, high = quads.y0 + r * quads.side, quads.y0 + (r + 1) * quads.side
        for c in range(quads.n_cols):
            k = r * quads.n_cols + c
            left, right = quads.x0 + c * quads.side, quads.x0 + (c + 1) * quads.side
            n = 0
            for m in range(start[k], start[k + 1]):
                i, j = listed[m] // n_tiles, listed[m] % n_tiles
                # In the bucket itself, not only within reach of it.
                if box[i, j, 0] <= right and left <= box[i, j, 1] and box[i, j, 2] <= high and low <= box[i, j, 3]:
                    tile[n, 0], tile[n, 1] = i, j
                    ends[n, 0], ends[n, 1], ends[n, 2], ends[n, 3] = (
                        box[i, j, 0],
                        box[i, j, 1],
                        box[i, j, 2],
                        box[i, j, 3],
                    )
                    n += 1
            for a in range(n):
                for b in range(a + 1, n):
                    if (
                        ends[b, 0] > ends[a, 1]
                        or ends[a, 0] > ends[b, 1]
                        or ends[b, 2] > ends[a, 3]
                        or ends[a, 2] > ends[b, 3]
                    ):
                        continue
                    if abs(tile[b, 0] - tile[a, 0]) > 1 or abs(tile[b, 1] - tile[a, 1]) > 1:
                        overlaps[tile[a, 0], tile[a, 1]] = 1
                        overlaps[tile[b, 0], tile[b, 1]] = 1


@_outer
def contest_tiles(quads, overlaps, first, last, out):
    """Which tiles of the rows ``first`` to before ``last`` are contested, into ``out``.

    They, or tiles beside them, have bad quads or gaps; or their box meets that of a tile which is not beside them.
    Where none of this is so, quads tile the plane around them: the number of times a point is covered by quads of
    one orientation is how often the outline of the tiles around goes round it, which is once.
    """
    contested = quads.contested
    n_rows, n_cols = contested.shape
    for i in range(first, last):
        for j in range(n_cols):
            found = 0
            for to_i in range(max(i - 1, 0), min(i + 2, n_rows)):
                for to_j in range(max(j - 1, 0), min(j + 2, n_cols)):
                    found |= contested[to_i, to_j]
            out[i, j] = found if found else 4 * overlaps[i, j]
