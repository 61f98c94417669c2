"""The fused loop: terrain height, lattice, source samples, weights, write. No trigonometry, no Python per pixel.

The output is walked in blocks small enough that the source windows under a block, turned once into float32 (for a
calibrated radar band: into power), stay in the second-level cache. Along the rows of a block the work is split into
short passes over buffers, because that is what a compiler turns into vector code: DEM coordinates, heights, image
coordinates with their index and two fractions, and then the taps, which are loads pixel by pixel on purpose (hardware
gathers measured three times slower). A sample without data is NaN in the window, so the pass over the taps needs no
tests: only pixels that come out NaN are looked at again, with weights renormalised over the valid samples.

Blocks and nodes are anchored on the map (`orthokernel.blocks.anchor_of`), and whatever a block decides from its
terrain it decides from the whole block, even where the output ends in it: so two outputs that share pixels have the
same values there, to the last bit.

Everything is in one file because numba's disk cache notices a change only in the file of the compiled function.
"""

# numba infers the types of what it compiles, and its functions take arrays one by one
# ruff: noqa: PLR0124
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, call-overload"

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.options import DefaultOptions
from numba.extending import intrinsic
from numpy.typing import NDArray

NEAREST, BILINEAR, CUBIC, AVERAGE = 0, 1, 2, 3

PAD = 3
"""Samples by which a window goes beyond what the block needs: two for cubic's taps, one for rounding."""

_CHUNK_PX = 1024  # points per pass: seven row buffers of them fit the first-level cache
_LONG_RUN_SLOPE = 0.125
"""DEM cells a pixel below which heights are made cell by cell: runs of eight pixels and more, a vector register."""

_ROWS_AHEAD = 4
"""Rows by which memory is asked for before it is read: a block's rows lie far apart, and each would be waited for."""
_CACHE_LINE_BYTES = 64
_CUBES_FROM_PX = 0.001
"""Error of a parabola in height from which on a block's polynomials keep their cubes."""
_ON_A_CELL = 1e-6
"""Cells by which pixels may miss the cells of a DEM that is on the output's own grid: they are copied then."""

# `orthokernel.terrain.flags`, as plain numbers for numba.
_SEA: Final = 1
_NODATA: Final = 4
_UNUSABLE: Final = _SEA | _NODATA

# NaN marks what is not valid, so `nnan` and `ninf` must not be set.
_FAST = {"contract", "nsz", "arcp", "reassoc", "afn"}
# Functions that do not allocate need not count references to the arrays they are given: counting is atomic, was done
# some dozens of times a row, and threads share the counters. numba's option for that is not in its manual: without it
# the loop is right, and slower. Nor is anything called: a call puts every field of every array on the stack.
_UNCOUNTED = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}
_inner = njit(fastmath=_FAST, nogil=True, error_model="numpy", forceinline=True, **_UNCOUNTED)
_outer = njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


class LatticeArrays(NamedTuple):
    """The lattice as the loop reads it: node (i, j) is the centre of pixel (row0 + i * step_px, col0 + j * step_px).

    ``coefficients[q, p, i, j]`` (2, 4, I, J) float64 belong to the p-th power of ``height - height_mid_m``;
    q = 0 is the line, q = 1 the smooth sample.
    """

    coefficients: Float64Array
    step_px: int
    row0: int
    col0: int
    height_mid_m: float


class DemArrays(NamedTuple):
    """The DEM under the output as the loop reads it.

    ``cells`` (R, C) float32 in metres (NaN where SEA or NODATA) and ``classes`` (R, C) uint8 of `TerrainFlag` bits, all
    zero if ``plain``; ``cells[0, 0]`` is cell ``(cell_row0, cell_col0)`` of the DEM. ``nodes`` (3, I, J) float64: row
    and column in the DEM and geoid height in metres at pixels ``(row0 + i * step_px, col0 + j * step_px)``.
    """

    cells: Float32Array
    classes: NDArray[np.uint8]
    plain: bool
    cell_row0: int
    cell_col0: int
    nodes: Float64Array
    step_px: int
    row0: int
    col0: int


class BreakTable(NamedTuple):
    """A :class:`~orthokernel.sensor.BreakLines` made linear throughout: ``line`` (R,) float64, increasing, its first
    and last element beyond any image; ``correction_px`` (R, K) float64, and ``line_px`` as large, or (0, 0) where
    lines are right as they are. R = 0 where there is nothing to add."""

    line: Float64Array
    first_sample: float
    step_samples: float
    correction_px: Float64Array
    line_px: Float64Array = np.empty((0, 0))


class SourceArrays(NamedTuple):
    """Windows of the B bands of an image, held in a ring of lines.

    The image has ``n_lines`` x ``n_samples``; the ring ``pixels`` (B, R, C) holds its lines from ``line0`` to before
    ``line1``, line l in row ``l % R``, and column j is sample ``sample0 + j``. In row i of band b the columns
    ``first_valid[b, i]`` to ``last_valid[b, i]`` (inclusive) have data. ``no_data`` is the pixel without data (NaN:
    none). A sample is worth ``gain[b] * pixel + offset[b]``, both (B,) float32; or, with ``calibration`` (B, L, C)
    float32 of L > 0 rows at ``calibration_line``, ``(pixel / A) ** 2`` with A linear in line between the rows.

    With ``noise`` (B, M, C) float32 of M > 0 rows at ``noise_line``, it is worth ``(pixel ** 2 - f N) / A ** 2``,
    negative values kept: N linear in line between the rows, and f the factor of the block that holds the sample,
    1 outside them all. Row k of ``noise_block`` (B, K, 4) int64 is a block's first and last line and its first and
    last sample, inclusive; ``noise_factor`` (B, K, n_lines) float32 has its f by line. Blocks may not overlap.

    ``factor`` (R, C) float32, where it has rows, multiplies the value of every band; NaN makes it no data.

    Output pixels are given where the line is ``first_line`` to ``last_line`` (NaN: ``n_lines - 0.5``): the image is cut
    there, though not what its pixels are interpolated from. Beyond half a line off the image, its edge goes on by one
    line more. Likewise where the sample is ``first_sample`` to ``last_sample`` (NaN: ``n_samples - 0.5``), both within
    the image.
    """

    pixels: NDArray[Any]
    line0: int
    line1: int
    sample0: int
    n_lines: int
    n_samples: int
    first_valid: NDArray[np.int32]
    last_valid: NDArray[np.int32]
    no_data: float
    gain: Float32Array
    offset: Float32Array
    calibration_line: Float64Array
    calibration: Float32Array
    noise_line: Float64Array
    noise: Float32Array
    noise_block: Int64Array
    noise_factor: Float32Array
    factor: Float32Array
    first_line: float = -0.5
    last_line: float = np.nan
    first_sample: float = -0.5
    last_sample: float = np.nan


@intrinsic
def _prefetch(_, array, index):
    """Ask for the memory of an element before it is wanted. It is no error if it lies beyond the array."""

    def generate(context, builder, signature, arguments):
        kind, index_kind = signature.args
        array = context.make_array(kind)(context, builder, arguments[0])
        at = [
            context.cast(builder, part, part_kind, types.intp)
            for part, part_kind in zip(cgutils.unpack_tuple(builder, arguments[1]), index_kind, strict=True)
        ]
        element = cgutils.get_item_pointer(context, builder, kind, array, at, wraparound=False)
        address, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [address, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(builder.module, call, "llvm.prefetch.p0")
        to_read, into_all_levels, data = flag(0), flag(3), flag(1)
        builder.call(prefetch, [builder.bitcast(element, address), to_read, into_all_levels, data])
        return context.get_dummy_value()

    return types.none(array, index), generate


@intrinsic
def _bilinear_at(_, values, upper, lower, line_part, sample_part):
    """Bilinear value among four elements of a flat float32 array: ``upper``, ``lower`` and the one after each.

    Neighbours are loaded as a pair, and both columns interpolated at once: loads are what takes the time here.
    """

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        pair, position = ir.VectorType(ir.FloatType(), 2), ir.IntType(32)

        def load(at):
            element = cgutils.get_item_pointer(context, builder, kind, array, [at], wraparound=False)
            return builder.load(builder.bitcast(element, pair.as_pointer()), align=4)

        above, below = load(arguments[1]), load(arguments[2])
        down = ir.Constant(pair, ir.Undefined)
        for n in range(2):
            down = builder.insert_element(down, arguments[3], position(n))
        between = builder.fadd(above, builder.fmul(down, builder.fsub(below, above)))
        left, right = (builder.extract_element(between, position(n)) for n in range(2))
        return builder.fadd(left, builder.fmul(arguments[4], builder.fsub(right, left)))

    return types.float32(values, upper, lower, line_part, sample_part), generate


@_inner
def _rows_around(table_line, line):
    """The rows of a table before and after a line, and how far the line is on the way; held beyond the ends."""
    n = table_line.shape[0]
    k = 0
    while k < n - 2 and table_line[k + 1] <= line:
        k += 1
    after = min(k + 1, n - 1)
    span = table_line[after] - table_line[k]
    part = (line - table_line[k]) / span if span > 0 else 0.0
    return k, after, np.float32(min(max(part, 0.0), 1.0))


@_inner
def _scaled(source, band, row, low, n, window, at):
    """Values of ``n`` columns from ``low`` on, into the window from ``at`` on: gain and offset."""
    gain, offset, no_data = source.gain[band], source.offset[band], np.float32(source.no_data)
    plane, ring_row, first, to = np.uint64(band), np.uint64(row), np.uint64(low), np.uint64(at)
    for j in range(n):
        pixel = np.float32(source.pixels[plane, ring_row, first + np.uint64(j)])
        window[to + np.uint64(j)] = np.float32(np.nan) if pixel == no_data else gain * pixel + offset


@_inner
def _calibrated(source, band, line, row, low, n, window, at):
    """Likewise: power over A squared."""
    k, after, t = _rows_around(source.calibration_line, line)
    no_data = np.float32(source.no_data)
    plane, ring_row, first, to = np.uint64(band), np.uint64(row), np.uint64(low), np.uint64(at)
    k, after = np.uint64(k), np.uint64(after)
    for j in range(n):
        c = first + np.uint64(j)
        pixel = np.float32(source.pixels[plane, ring_row, c])
        before = source.calibration[plane, k, c]
        amplitude = pixel / (before + t * (source.calibration[plane, after, c] - before))
        window[to + np.uint64(j)] = np.float32(np.nan) if pixel == no_data else amplitude * amplitude


@_inner
def _denoised(source, band, line, row, low, n, window, at):
    """Likewise: power less noise, over A squared.

    Blocks are a few wide stretches of samples: each stretch is one loop with one factor, nothing is looked up by
    sample.
    """
    k, after, t = _rows_around(source.calibration_line, line)
    n_k, n_after, n_t = _rows_around(source.noise_line, line)
    no_data = np.float32(source.no_data)
    plane, ring_row = np.uint64(band), np.uint64(row)
    k, after, n_k, n_after = np.uint64(k), np.uint64(after), np.uint64(n_k), np.uint64(n_after)
    start = 0
    while start < n:
        sample = source.sample0 + low + start
        stop = n
        factor = np.float32(1.0)
        for b in range(source.noise_block.shape[1]):
            first, last = source.noise_block[band, b, 2], source.noise_block[band, b, 3]
            if source.noise_block[band, b, 0] <= line <= source.noise_block[band, b, 1] and last >= sample:
                if first <= sample:
                    factor = source.noise_factor[band, b, line]
                    stop = min(stop, start + last + 1 - sample)
                else:
                    stop = min(stop, start + first - sample)
        column, to = np.uint64(low + start), np.uint64(at + start)
        for j in range(stop - start):
            c = column + np.uint64(j)
            pixel = np.float32(source.pixels[plane, ring_row, c])
            a_before = source.calibration[plane, k, c]
            a = a_before + t * (source.calibration[plane, after, c] - a_before)
            n_before = source.noise[plane, n_k, c]
            noise = factor * (n_before + n_t * (source.noise[plane, n_after, c] - n_before))
            value = (pixel * pixel - noise) / (a * a)
            window[to + np.uint64(j)] = np.float32(np.nan) if pixel == no_data else value
        start = stop


@_inner
def _fill_window(source, band, line0, sample0, n_lines, n_samples, window):
    """Turn source pixels into float32 values; NaN outside the image and where there is no data."""
    shift = sample0 - source.sample0
    for i in range(n_lines):
        line = line0 + i
        if line == -1 and source.first_line < -0.5:
            line = 0
        elif line == source.n_lines and source.last_line > source.n_lines - 0.5:
            line -= 1
        row = line % source.pixels.shape[1]
        low, high = shift, shift + n_samples  # columns of the ring
        first, stop = low, low
        if source.line0 <= line < source.line1:
            first = min(max(source.first_valid[band, row], low), high)
            stop = max(min(source.last_valid[band, row] + 1, high), first)
        n = stop - first
        at = i * n_samples + first - low
        for k in range(i * n_samples, at):
            window[k] = np.nan
        for k in range(at + n, (i + 1) * n_samples):
            window[k] = np.nan
        if n == 0:
            continue
        ahead = (row + _ROWS_AHEAD) % source.pixels.shape[1]
        for j in range(first, stop, _CACHE_LINE_BYTES // source.pixels.itemsize):
            _prefetch(source.pixels, (band, ahead, j))
        if source.calibration_line.shape[0] == 0:
            _scaled(source, band, row, first, n, window, at)
        elif source.noise_line.shape[0] == 0:
            _calibrated(source, band, line, row, first, n, window, at)
        else:
            _denoised(source, band, line, row, first, n, window, at)
        if source.factor.shape[0] > 0:
            for j in range(n):
                window[np.uint64(at) + np.uint64(j)] *= source.factor[np.uint64(row), np.uint64(first) + np.uint64(j)]


@_inner
def _pixels_left(position, slope):
    """How many further pixels a coordinate stays within its cell."""
    if slope > 0.0:
        return np.ceil((np.floor(position) + 1.0 - position) / slope)
    if slope < 0.0:
        return np.floor((position - np.floor(position)) / -slope) + 1.0
    return np.inf


_BY_PIXEL, _BY_CELL, _STRAIGHT = 0, 1, 2


@_inner
def _row_pieces(dem, r, first, last, pieces):
    """Cut a row at the nodes; returns the number of pieces and the way heights along them are best made.

    ``pieces[k]``: first column, column after the last, DEM row, its slope, DEM column, its slope, geoid height in
    metres, its slope; NaN off the map projection or the geoid.
    """
    step = dem.step_px
    nodes = dem.nodes
    i = (r - dem.row0) // step
    t = (r - dem.row0 - i * step) / step
    by_cell, straight = True, True
    c = first
    k = 0
    while c < last:
        j = (c - dem.col0) // step
        node = dem.col0 + j * step
        stop = min(last, node + step)
        pieces[k, 0] = c
        pieces[k, 1] = stop
        for q in range(3):
            left = nodes[q, i, j] * (1.0 - t) + nodes[q, i + 1, j] * t
            right = nodes[q, i, j + 1] * (1.0 - t) + nodes[q, i + 1, j + 1] * t
            slope = (right - left) / step
            pieces[k, 2 + 2 * q] = left + slope * (c - node)
            pieces[k, 3 + 2 * q] = slope
        row, row_slope, col, col_slope = pieces[k, 2], pieces[k, 3], pieces[k, 4], pieces[k, 5]
        by_cell &= max(abs(row_slope), abs(col_slope)) < _LONG_RUN_SLOPE  # False for NaN
        straight &= (
            (abs(row - np.floor(row + 0.5)) < _ON_A_CELL)
            & (abs(col - np.floor(col + 0.5)) < _ON_A_CELL)
            & (abs(row_slope) * step < _ON_A_CELL)
            & (abs(col_slope - 1.0) * step < _ON_A_CELL)
        )
        c = stop
        k += 1
    return k, _STRAIGHT if straight else _BY_CELL if by_cell else _BY_PIXEL


@_inner
def _heights_by_cell(dem, pieces, n_pieces, first, at, heights):
    """Bilinear heights along a row that is much finer than the DEM.

    Its pixels come in runs within one DEM cell, where the height is a polynomial of second degree in the pixel: no
    loads and no indices in the inner loop, so that it becomes vector code. A pixel that rounding counts to the cell
    before belongs to both: the surface is continuous.
    """
    for k in range(n_pieces):
        to = at + int(pieces[k, 0]) - first
        count = int(pieces[k, 1] - pieces[k, 0])
        row0, row_slope, col0, col_slope = pieces[k, 2], pieces[k, 3], pieces[k, 4], pieces[k, 5]
        geoid, geoid_slope = pieces[k, 6], pieces[k, 7]
        done = 0
        while done < count:
            row = row0 + row_slope * done
            col = col0 + col_slope * done
            i_dem, j_dem = int(np.floor(row)), int(np.floor(col))
            i, j = i_dem - dem.cell_row0, j_dem - dem.cell_col0
            left = max(1.0, min(_pixels_left(row, row_slope), _pixels_left(col, col_slope)))
            run = int(min(left, float(count - done)))
            base = dem.cells[i, j]
            by_col = dem.cells[i, j + 1] - base
            by_row = dem.cells[i + 1, j] - base
            by_both = dem.cells[i + 1, j + 1] - dem.cells[i + 1, j] - by_col
            u, du = np.float32(col - j_dem), np.float32(col_slope)
            v, dv = np.float32(row - i_dem), np.float32(row_slope)
            start = base + by_col * u + by_row * v + by_both * u * v + np.float32(geoid + geoid_slope * done)
            linear = by_col * du + by_row * dv + by_both * (u * dv + v * du) + np.float32(geoid_slope)
            square = by_both * du * dv
            here = np.uint64(to + done)
            for n in range(run):
                x = np.float32(n)
                heights[here + np.uint64(n)] = start + x * (linear + x * square)
            done += run


@_inner
def _copied_heights(dem, pieces, n_pieces, first, at, ramp, heights):
    """Heights along a row whose pixels are cells."""
    for k in range(n_pieces):
        i = np.uint64(int(np.floor(pieces[k, 2] + 0.5)) - dem.cell_row0)
        j = np.uint64(int(np.floor(pieces[k, 4] + 0.5)) - dem.cell_col0)
        g0, dg = np.float32(pieces[k, 6]), np.float32(pieces[k, 7])
        to = np.uint64(at + int(pieces[k, 0]) - first)
        for n in range(int(pieces[k, 1] - pieces[k, 0])):
            heights[to + np.uint64(n)] = dem.cells[i, j + np.uint64(n)] + (g0 + ramp[np.uint64(n)] * dg)


@_inner
def _heights_by_pixel(dem, cells_flat, pieces, n_pieces, first, last, at, ramp, heights, index, row_part, col_part):
    """Bilinear heights along any row: index and fractions in the DEM, with the geoid's height, and then the cells."""
    for k in range(n_pieces):
        to = at + int(pieces[k, 0]) - first
        count = int(pieces[k, 1] - pieces[k, 0])
        if _is_known(pieces, k):
            _dem_taps(dem, pieces, k, count, to, ramp, heights, index, row_part, col_part)
        else:
            for n in range(to, to + count):
                heights[n] = np.nan
                index[n] = 0
                row_part[n] = 0
                col_part[n] = 0
    _add_bilinear(cells_flat, dem.cells.shape[1], at, last - first, index, row_part, col_part, heights)


@_inner
def _is_known(pieces, k):
    """Whether a piece of a row is on the map projection and on the geoid."""
    total = 0.0
    for q in range(2, 8):
        total += pieces[k, q]
    return np.isfinite(total)


@_inner
def _dem_taps(dem, pieces, k, count, at, ramp, heights, index, row_part, col_part):
    """Index and fractions in the DEM along a piece of a row; ``heights`` gets the geoid's."""
    end = count - 1
    i = int(np.floor(min(pieces[k, 2], pieces[k, 2] + pieces[k, 3] * end)))
    j = int(np.floor(min(pieces[k, 4], pieces[k, 4] + pieces[k, 5] * end)))
    base = np.int32((i - dem.cell_row0) * dem.cells.shape[1] + j - dem.cell_col0)
    zero = np.float32(0)
    width = np.int32(dem.cells.shape[1])
    r0, dr = np.float32(pieces[k, 2] - i), np.float32(pieces[k, 3])
    c0, dc = np.float32(pieces[k, 4] - j), np.float32(pieces[k, 5])
    g0, dg = np.float32(pieces[k, 6]), np.float32(pieces[k, 7])
    to = np.uint64(at)
    for n in range(count):
        m = to + np.uint64(n)
        x = ramp[np.uint64(n)]
        row = max(r0 + x * dr, zero)
        col = max(c0 + x * dc, zero)
        row_floor = np.floor(row)
        col_floor = np.floor(col)
        row_part[m] = row - row_floor
        col_part[m] = col - col_floor
        index[m] = base + np.int32(np.int32(row_floor) * width) + np.int32(col_floor)
        heights[m] = g0 + x * dg


@_inner
def _add_bilinear(window, stride, at, count, index, line_part, sample_part, out):
    """Add bilinear values to ``out``, from ``at`` on."""
    to = np.uint64(at)
    down = np.uint64(stride)
    for n in range(count):
        k = to + np.uint64(n)
        upper = np.uint64(index[k])
        out[k] += _bilinear_at(window, upper, upper + down, line_part[k], sample_part[k])


@_inner
def _height_of_some(dem, row, col):
    """Bilinear value, in float64, of the cells that have one, their weights renormalised.

    So half a cell inside the edge of a DEM, or beside a void, its surface goes on at the last cells' height instead of
    falling to sea level.
    """
    i_dem, j_dem = int(np.floor(row)), int(np.floor(col))
    i, j = i_dem - dem.cell_row0, j_dem - dem.cell_col0
    v = row - i_dem
    u = col - j_dem
    total = 0.0
    weights = 0.0
    for di in range(2):
        for dj in range(2):
            if dem.classes[i + di, j + dj] & _UNUSABLE == 0:
                weight = (v if di else 1.0 - v) * (u if dj else 1.0 - u)
                total += weight * dem.cells[i + di, j + dj]
                weights += weight
    return total / weights


@_inner
def _row_heights(dem, cells_flat, r, first, last, at, ramp, pieces, heights, kinds, index, row_part, col_part):
    """Heights of the columns first to last of a row, from ``heights[at]`` on; likewise `TerrainFlag` bits in ``kinds``,
    where the DEM is not plain.

    Heights are rounded along pieces that start at a node or at ``first``: if that is where a block begins, the result
    is the same whatever the output. So no float here is counted from where the cells in memory begin.
    """
    n_pieces, way = _row_pieces(dem, r, first, last, pieces)
    if way == _STRAIGHT:
        _copied_heights(dem, pieces, n_pieces, first, at, ramp, heights)
    elif way == _BY_CELL:
        _heights_by_cell(dem, pieces, n_pieces, first, at, heights)
    else:
        _heights_by_pixel(
            dem, cells_flat, pieces, n_pieces, first, last, at, ramp, heights, index, row_part, col_part
        )  # fmt: skip
    if not dem.plain:
        _look_at_classes(dem, pieces, n_pieces, first, at, heights, kinds)


@_inner
def _look_at_classes(dem, pieces, n_pieces, first, at, heights, kinds):
    """Where the DEM is not plain: flags, the sea's height, and cells without a height."""
    for k in range(n_pieces):
        to = at + int(pieces[k, 0]) - first
        count = int(pieces[k, 1] - pieces[k, 0])
        if not _is_known(pieces, k):
            for n in range(to, to + count):
                kinds[n] = _NODATA
            continue
        for n in range(count):
            row = pieces[k, 2] + pieces[k, 3] * n
            col = pieces[k, 4] + pieces[k, 5] * n
            geoid = pieces[k, 6] + pieces[k, 7] * n
            kind = dem.classes[int(np.floor(row + 0.5)) - dem.cell_row0, int(np.floor(col + 0.5)) - dem.cell_col0]
            kinds[to + n] = kind
            if kind & _UNUSABLE == 0:
                if np.isnan(heights[to + n]):
                    heights[to + n] = _height_of_some(dem, row, col) + geoid
            elif kind == _SEA:
                heights[to + n] = geoid
            else:
                heights[to + n] = np.nan


@_inner
def _node_line(dem, q, i, t, j):
    """A DEM coordinate at the left node of a lattice cell, on a row the part t below its upper nodes, and its slope."""
    left = dem.nodes[q, i, j] * (1.0 - t) + dem.nodes[q, i + 1, j] * t
    right = dem.nodes[q, i, j + 1] * (1.0 - t) + dem.nodes[q, i + 1, j + 1] * t
    return left, (right - left) / dem.step_px


@_inner
def _at_nodes_and_ends(first, stop, node0, step, k):
    """The k-th of: first, the nodes between, stop - 1. Past the last it stays there."""
    if k == 0:
        return first
    at = node0 + ((first - node0) // step + k) * step
    return min(at, stop - 1)


@_inner
def _dem_range(dem, row0, row1, col0, col1, lows, highs):
    """Bounds of the terrain of a whole block, from the DEM's cells; ``(inf, -inf)`` where it has none.

    Column by column first, some columns at a time (``lows`` and ``highs`` have room for them): that is vector code,
    and NaN loses every comparison.
    """
    step = dem.step_px
    r_low, r_high, c_low, c_high = np.inf, -np.inf, np.inf, -np.inf
    g_low, g_high = np.inf, -np.inf
    for m in range((row1 - 1 - row0) // step + 3):
        r = _at_nodes_and_ends(row0, row1, dem.row0, step, m)
        i = (r - dem.row0) // step
        t = (r - dem.row0 - i * step) / step
        for n in range((col1 - 1 - col0) // step + 3):
            c = _at_nodes_and_ends(col0, col1, dem.col0, step, n)
            j = (c - dem.col0) // step
            k = c - (dem.col0 + j * step)
            row, row_slope = _node_line(dem, 0, i, t, j)
            col, col_slope = _node_line(dem, 1, i, t, j)
            geoid, geoid_slope = _node_line(dem, 2, i, t, j)
            row, col, geoid = row + row_slope * k, col + col_slope * k, geoid + geoid_slope * k
            if np.isfinite(row) and np.isfinite(col) and np.isfinite(geoid):
                r_low, r_high = min(r_low, row), max(r_high, row)
                c_low, c_high = min(c_low, col), max(c_high, col)
                g_low, g_high = min(g_low, geoid), max(g_high, geoid)
    if not r_low <= r_high:
        return np.inf, -np.inf
    i0 = max(int(np.floor(r_low)) - dem.cell_row0, 0)
    i1 = min(int(np.floor(r_high)) - dem.cell_row0 + 1, dem.cells.shape[0] - 1)
    j0 = max(int(np.floor(c_low)) - dem.cell_col0, 0)
    j1 = min(int(np.floor(c_high)) - dem.cell_col0 + 1, dem.cells.shape[1] - 1)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    at_once = lows.size
    for j in range(j0, j1 + 1, at_once):
        n = min(at_once, j1 + 1 - j)
        lows[:n] = np.inf
        highs[:n] = -np.inf
        some_lows, some_highs = lows[:n], highs[:n]
        for i in range(i0, i1 + 1):
            for k in range(0, n, _CACHE_LINE_BYTES // dem.cells.itemsize):
                _prefetch(dem.cells, (i + _ROWS_AHEAD, j + k))
            row_cells = dem.cells[i, j : j + n]
            for k in range(n):
                h = row_cells[k]
                some_lows[k] = h if h < some_lows[k] else some_lows[k]
                some_highs[k] = h if h > some_highs[k] else some_highs[k]
        for k in range(n):
            low, high = min(low, lows[k]), max(high, highs[k])
    if not dem.plain:
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                if dem.classes[i, j] == _SEA:
                    low, high = min(low, np.float32(0)), max(high, np.float32(0))
    return low + g_low, high + g_high


@_inner
def _block_lattice(lattice, mid_m, half_m, row0, row1, col0, col1, local):
    """The lattice's cells over a block, as polynomials in ``height - mid_m``; returns their count, and whether their
    cubes count.

    The cubic term is small within the heights of a block, and most of it is taken up by the linear one (``x ** 3`` is
    ``3 / 4 * x`` within a quarter, for x in [-1, 1]: Chebyshev). It stays only where what is left is too much: on
    thousands of metres of relief in one block, seen steeply.
    """
    c = lattice.coefficients
    n = lattice.step_px
    i0, j0 = (row0 - lattice.row0) // n, (col0 - lattice.col0) // n
    i1, j1 = (row1 - 1 - lattice.row0) // n + 1, (col1 - 1 - lattice.col0) // n + 1
    d = mid_m - lattice.height_mid_m
    most = 0.0
    for q in range(2):
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                c0, c1, c2, c3 = c[q, 0, i, j], c[q, 1, i, j], c[q, 2, i, j], c[q, 3, i, j]
                local[q, 0, i - i0, j - j0] = c0 + d * (c1 + d * (c2 + d * c3))
                local[q, 1, i - i0, j - j0] = c1 + d * (2.0 * c2 + d * 3.0 * c3)
                local[q, 2, i - i0, j - j0] = c2 + 3.0 * d * c3
                local[q, 3, i - i0, j - j0] = c3
                if c3 == c3:
                    most = max(most, 0.25 * abs(c3) * half_m**3)
    cubes = most > _CUBES_FROM_PX
    if not cubes:
        for q in range(2):
            for i in range(local.shape[2]):
                for j in range(local.shape[3]):
                    local[q, 1, i, j] += 0.75 * half_m * half_m * local[q, 3, i, j]
    return i1 - i0 + 1, j1 - j0 + 1, cubes


@_inner
def _cell_line(local, q, i, u, j, step_px, origin):
    """Coefficients of one image coordinate along a row in one lattice cell: in the column x of the cell and the height
    h, ``a0 + b0 x + h (a1 + b1 x + h (a2 + b2 x))``; a cubic term is left to `_add_cubes`."""
    k0 = (1.0 - u) * local[q, 0, i, j] + u * local[q, 0, i + 1, j]
    k1 = ((1.0 - u) * local[q, 0, i, j + 1] + u * local[q, 0, i + 1, j + 1] - k0) / step_px
    k2 = (1.0 - u) * local[q, 1, i, j] + u * local[q, 1, i + 1, j]
    k3 = ((1.0 - u) * local[q, 1, i, j + 1] + u * local[q, 1, i + 1, j + 1] - k2) / step_px
    k4 = (1.0 - u) * local[q, 2, i, j] + u * local[q, 2, i + 1, j]
    k5 = ((1.0 - u) * local[q, 2, i, j + 1] + u * local[q, 2, i + 1, j + 1] - k4) / step_px
    return (
        np.float32(k0 - origin), np.float32(k1), np.float32(k2), np.float32(k3), np.float32(k4), np.float32(k5)
    )  # fmt: skip


@_inner
def _cell_coordinates(local, i, u, j, step_px, line0, sample0, x0, h_at, at, count, mid, ramp, heights, lines, samples):
    """Image coordinates of points within one lattice cell, from its column x0 on: heights from ``h_at``, into ``at``.

    Offsets are unsigned: an index that might be negative keeps the compiler from making vector code (5 ns a pixel,
    not 1), and slices instead of offsets cost a counted reference each, 0.2 ns a pixel in cells of 128.
    """
    a0, b0, a1, b1, a2, b2 = _cell_line(local, 0, i, u, j, step_px, line0)
    d0, e0, d1, e1, d2, e2 = _cell_line(local, 1, i, u, j, step_px, sample0)
    first = np.float32(x0)
    from_here, to = np.uint64(h_at), np.uint64(at)
    for n in range(count):
        h = heights[from_here + np.uint64(n)] - mid
        x = first + ramp[np.uint64(n)]
        lines[to + np.uint64(n)] = (a0 + b0 * x) + h * ((a1 + b1 * x) + h * (a2 + b2 * x))
        samples[to + np.uint64(n)] = (d0 + e0 * x) + h * ((d1 + e1 * x) + h * (d2 + e2 * x))


@_inner
def _add_cubes(local, i, u, j, step_px, x0, h_at, at, count, mid, heights, lines, samples):
    """The terms of third degree in the height, where they count."""
    for q in range(2):
        k0 = (1.0 - u) * local[q, 3, i, j] + u * local[q, 3, i + 1, j]
        k1 = ((1.0 - u) * local[q, 3, i, j + 1] + u * local[q, 3, i + 1, j + 1] - k0) / step_px
        out = lines if q == 0 else samples
        for n in range(count):
            h = heights[h_at + n] - mid
            out[at + n] += np.float32(k0 + k1 * (x0 + n)) * h * h * h


@_inner
def _cell_taps(
    local, i, u, j, step_px, line0, sample0, x0, h_at, at, count, mid, ramp, heights, correction, bounds, stride,
    index, line_part, sample_part,
):  # fmt: skip
    """As `_cell_coordinates`, with the correction in closed form, and split into index and fractions at once.

    As three passes this took a third more, most of it loads and stores.
    """
    a0, b0, a1, b1, a2, b2 = _cell_line(local, 0, i, u, j, step_px, line0)
    d0, e0, d1, e1, d2, e2 = _cell_line(local, 1, i, u, j, step_px, sample0)
    first = np.float32(x0)
    zero = np.float32(0)
    width = np.float32(stride)
    record = correction[0]
    q0, q1, q2 = correction[1], correction[2], correction[3]
    f0, f1, f2 = correction[4], correction[5], correction[6]
    g0, g1, g2 = correction[7], correction[8], correction[9]
    l_least, l_most, s_least, s_most = bounds[0], bounds[1], bounds[2], bounds[3]
    from_here, to = np.uint64(h_at), np.uint64(at)
    for n in range(count):
        k = to + np.uint64(n)
        h = heights[from_here + np.uint64(n)] - mid
        x = first + ramp[np.uint64(n)]
        line = (a0 + b0 * x) + h * ((a1 + b1 * x) + h * (a2 + b2 * x))
        s = (d0 + e0 * x) + h * ((d1 + e1 * x) + h * (d2 + e2 * x))
        off = line - record
        after = max(off, zero)
        before = min(off, zero)
        sample = (
            s + (q0 + s * (q1 + s * q2)) + before * (f0 + s * (f1 + s * f2)) + after * (g0 + s * (g1 + s * g2))
        )  # fmt: skip
        inside = (line >= l_least) & (line <= l_most) & (sample >= s_least) & (sample <= s_most)
        line = line if inside else zero
        sample = sample if inside else zero
        line_floor = np.floor(line)
        sample_floor = np.floor(sample)
        line_part[k] = line - line_floor
        sample_part[k] = sample - sample_floor
        index[k] = np.int32(line_floor * width + sample_floor)


@_inner
def _table_at(table, line, sample):
    """Correction of the sample at one point."""
    values = table.correction_px
    r = min(max(np.searchsorted(table.line, line) - 1, 0), table.line.shape[0] - 2)
    last = values.shape[1] - 1
    x = min(max((sample - table.first_sample) / table.step_samples, 0.0), float(last))
    k = min(int(x), last - 1)
    fx = x - k
    t = (line - table.line[r]) / (table.line[r + 1] - table.line[r])
    before = values[r, k] + fx * (values[r, k + 1] - values[r, k])
    after = values[r + 1, k] + fx * (values[r + 1, k + 1] - values[r + 1, k])
    return before + t * (after - before)


@_inner
def _local_correction(table, ranges, line0, sample0, local):
    """The correction over one block in closed form, in window coordinates; False where it has none.

    A block lies within two neighbouring record intervals, or has none of this. With the record line r between
    them, the correction is ``q(s) + min(l - r, 0) * before(s) + max(l - r, 0) * after(s)``, q, before and after
    being quadratics through the table at the block's first, middle and last sample. They are checked against the
    table at seven other samples. ``local`` gets r and the nine coefficients.
    """
    r = min(max(np.searchsorted(table.line, ranges[0]), 1), table.line.shape[0] - 2)
    if ranges[1] > table.line[r + 1]:
        return False
    first, last = ranges[2] - 1.0, ranges[3] + 1.0
    half = 0.5 * (last - first)
    mid = first + half
    local[0] = table.line[r] - line0
    for n in range(3):
        at = table.line[r]
        span = 0.0
        if n > 0:
            span = table.line[r - 3 + 2 * n] - at  # to the record before, then to the one after
        low = _rate(table, at, span, first)
        middle = _rate(table, at, span, mid)
        high = _rate(table, at, span, last)
        c2 = 0.5 * (low - 2.0 * middle + high) / (half * half)
        c1 = 0.5 * (high - low) / half
        for m in range(1, 8):
            x = (m / 4.0 - 1.0) * half
            error = middle + x * (c1 + x * c2) - _rate(table, at, span, mid + x)
            if abs(error * (span if n > 0 else 1.0)) > 0.002:
                return False
        x = sample0 - mid
        local[1 + 3 * n] = middle + x * (c1 + x * c2)
        local[2 + 3 * n] = c1 + 2.0 * x * c2
        local[3 + 3 * n] = c2
    return True


@_inner
def _rate(table, at, span, sample):
    """Correction on a record's line, or its change per line from there over ``span`` lines."""
    here = _table_at(table, at, sample)
    if span == 0.0:
        return here
    return (_table_at(table, at + span, sample) - here) / span


@_inner
def _add_local_correction(local, n_points, lines, samples):
    """Add the closed form of :func:`_local_correction` to the samples of a row."""
    zero = np.float32(0)
    r = local[0]
    q0, q1, q2 = local[1], local[2], local[3]
    b0, b1, b2 = local[4], local[5], local[6]
    a0, a1, a2 = local[7], local[8], local[9]
    for n in range(n_points):
        s = samples[n]
        before = lines[n] - r
        after = before if before > zero else zero
        before = before if before < zero else zero
        here = q0 + s * (q1 + s * q2)
        samples[n] = s + here + before * (b0 + s * (b1 + s * b2)) + after * (a0 + s * (a1 + s * a2))


@_inner
def _add_both_corrections(table, n_points, lines, samples, line0, sample0):
    """Of lines and samples. The next point's record is the last one's or beside it: a search for each took as long as
    all the rest of the loop."""
    records, last = table.line, table.correction_px.shape[1] - 1
    r, last_r = 0, records.shape[0] - 2
    for n in range(n_points):
        line, sample = lines[n] + line0, samples[n] + sample0
        if not (line == line and sample == sample):  # NaN has no record
            continue
        if line < records[max(r - 2, 0)] or line > records[min(r + 3, last_r + 1)]:
            r = np.searchsorted(records, line) - 1
        r = min(max(r, 0), last_r)
        while r > 0 and records[r] > line:
            r -= 1
        while r < last_r and records[r + 1] < line:
            r += 1
        x = min(max((sample - table.first_sample) / table.step_samples, 0.0), float(last))
        k = min(int(x), last - 1)
        fx = x - k
        t = (line - records[r]) / (records[r + 1] - records[r])
        for values, out in ((table.correction_px, samples), (table.line_px, lines)):
            before = values[r, k] + fx * (values[r, k + 1] - values[r, k])
            after = values[r + 1, k] + fx * (values[r + 1, k + 1] - values[r + 1, k])
            out[n] += np.float32(before + t * (after - before))


@_inner
def _add_table_correction(table, n_points, lines, samples, line0, sample0):
    """Add the corrections to the samples of a row, and to its lines, looked up point by point."""
    if table.line_px.shape[0] > 0:
        _add_both_corrections(table, n_points, lines, samples, line0, sample0)
        return
    for n in range(n_points):
        if samples[n] == samples[n] and lines[n] == lines[n]:  # NaN has no record
            samples[n] += np.float32(_table_at(table, lines[n] + line0, samples[n] + sample0))


@_inner
def _split(n_points, lines, samples, bounds, stride, index, line_part, sample_part):
    """Index of the upper left tap and fractions; index 0, which holds NaN, where the point is off the image."""
    width = np.float32(stride)
    for c in range(n_points):
        line = lines[c]
        sample = samples[c]
        inside = (line >= bounds[0]) & (line <= bounds[1]) & (sample >= bounds[2]) & (sample <= bounds[3])
        line = line if inside else np.float32(0)
        sample = sample if inside else np.float32(0)
        line_floor = np.floor(line)
        sample_floor = np.floor(sample)
        line_part[c] = line - line_floor
        sample_part[c] = sample - sample_floor
        index[c] = np.int32(line_floor * width + sample_floor)


@_inner
def _bilinear(window, offset, stride, n_points, index, line_part, sample_part, out):
    start, down = np.uint64(offset), np.uint64(stride)
    for c in range(n_points):
        upper = start + np.uint64(index[c])
        out[c] = _bilinear_at(window, upper, upper + down, line_part[c], sample_part[c])


@_inner
def _nearest(window, offset, stride, n_points, index, line_part, sample_part, out):
    for c in range(n_points):
        down = stride if line_part[c] >= np.float32(0.5) else 0
        right = 1 if sample_part[c] >= np.float32(0.5) else 0
        out[c] = window[np.uint64(offset + index[c] + down + right)]


@_inner
def _cubic_weights(x):
    """Keys' kernel with a = -0.5 at the four taps around x in [0, 1). Source: Keys 1981, equation 15."""
    x2 = x * x
    x3 = x2 * x
    half = np.float32(0.5)
    w0 = half * (-x3 + np.float32(2) * x2 - x)
    w1 = half * (np.float32(3) * x3 - np.float32(5) * x2 + np.float32(2))
    w2 = half * (np.float32(-3) * x3 + np.float32(4) * x2 + x)
    w3 = half * (x3 - x2)
    return w0, w1, w2, w3


@_inner
def _cubic(window, offset, stride, n_points, index, line_part, sample_part, out):
    step = np.uint64(stride)
    one = np.uint64(1)
    for c in range(n_points):
        if index[c] == 0:  # off the image: the taps before would lie before the window
            out[c] = np.nan
            continue
        a0, a1, a2, a3 = _cubic_weights(sample_part[c])
        b0, b1, b2, b3 = _cubic_weights(line_part[c])
        p = np.uint64(offset) + np.uint64(index[c]) - step - one
        r0 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r1 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r2 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r3 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        out[c] = b0 * r0 + b1 * r1 + b2 * r2 + b3 * r3


@_inner
def _average(window, offset, n_window_lines, stride, line, sample, footprint):
    """Mean of the valid samples under one output pixel, by the part of it that each covers; NaN under half.

    ``footprint`` is dline/drow, dline/dcol, dsample/drow, dsample/dcol. A sample at (dl, ds) lies at (u, v) pixels
    from the output pixel's centre; it counts by the overlap, along u and along v, of two boxes: the output pixel
    (width 1) and the sample seen from the map. Exact where rows and lines are parallel.
    """
    l_r, l_c, s_r, s_c = footprint[0], footprint[1], footprint[2], footprint[3]
    det = l_r * s_c - l_c * s_r
    if abs(det) < 1e-9:
        return np.float32(np.nan)
    u_l, u_s, v_l, v_s = s_c / det, -l_c / det, -s_r / det, l_r / det
    e_u = 0.5 * min(1.0, abs(u_l) + abs(u_s))
    e_v = 0.5 * min(1.0, abs(v_l) + abs(v_s))
    reach_u = 0.5 + e_u
    reach_v = 0.5 + e_v
    reach_l = abs(l_r) * reach_u + abs(l_c) * reach_v
    reach_s = abs(s_r) * reach_u + abs(s_c) * reach_v
    total = 0.0
    valid = 0.0
    value = 0.0
    for i in range(max(0, int(np.ceil(line - reach_l))), min(n_window_lines - 1, int(line + reach_l)) + 1):
        dl = i - line
        for j in range(max(0, int(np.ceil(sample - reach_s))), min(stride - 1, int(sample + reach_s)) + 1):
            ds = j - sample
            w_u = min((reach_u - abs(u_l * dl + u_s * ds)) / (2 * e_u), 1.0)
            w_v = min((reach_v - abs(v_l * dl + v_s * ds)) / (2 * e_v), 1.0)
            if w_u <= 0.0 or w_v <= 0.0:
                continue
            weight = w_u * w_v
            total += weight
            sample_value = window[offset + i * stride + j]
            if sample_value == sample_value:
                valid += weight
                value += weight * sample_value
    if valid <= 0.0 or valid < 0.5 * total:
        return np.float32(np.nan)
    return np.float32(value / valid)


@_inner
def _renormalised(window, stride, method, at, line_part, sample_part):
    """One pixel again, over its valid samples only; NaN where they carry less than half of the weight."""
    if method == CUBIC:
        ws = _cubic_weights(sample_part)
        wl = _cubic_weights(line_part)
        start, n = at - stride - 1, 4
    else:
        one = np.float32(1)
        zero = np.float32(0)
        ws = (one - sample_part, sample_part, zero, zero)
        wl = (one - line_part, line_part, zero, zero)
        start, n = at, 2
    valid = np.float32(0)
    value = np.float32(0)
    for i in range(n):
        for j in range(n):
            sample_value = window[start + i * stride + j]
            if sample_value == sample_value:
                weight = wl[i] * ws[j]
                valid += weight
                value += weight * sample_value
    # the hair under a half: at the very edge of an image the weight is 0.5 less rounding
    return value / valid if valid >= np.float32(0.49999) else np.float32(np.nan)


@_inner
def _sample_points(
    window, offset, n_window_lines, stride, method, n_points, lines, samples, footprint, index, fl, fs, out
):  # fmt: skip
    """Values of points given by index and fractions (and, for AVERAGE, in window coordinates).

    The window begins at ``offset``.
    """
    if method == AVERAGE:
        for c in range(n_points):
            out[c] = np.nan
            if index[c] != 0:
                out[c] = _average(window, offset, n_window_lines, stride, lines[c], samples[c], footprint)
        return
    if method == BILINEAR:
        _bilinear(window, offset, stride, n_points, index, fl, fs, out)
    elif method == NEAREST:
        _nearest(window, offset, stride, n_points, index, fl, fs, out)
        return
    else:
        _cubic(window, offset, stride, n_points, index, fl, fs, out)
    n_bad = 0
    for c in range(n_points):
        n_bad += int(out[c] != out[c])
    if n_bad > 0:
        for c in range(n_points):
            if out[c] != out[c] and index[c] != 0:
                out[c] = _renormalised(window, stride, method, offset + index[c], fl[c], fs[c])


@_inner
def _cell_footprint(local, i, j, step_px, footprint):
    """dline/drow, dline/dcol, dsample/drow, dsample/dcol at the centre of a lattice cell, at mid height."""
    for q in range(2):
        c = local
        c00, c01, c10, c11 = c[q, 0, i, j], c[q, 0, i, j + 1], c[q, 0, i + 1, j], c[q, 0, i + 1, j + 1]
        footprint[2 * q] = 0.5 * (c10 - c00 + c11 - c01) / step_px
        footprint[2 * q + 1] = 0.5 * (c01 - c00 + c11 - c10) / step_px


@_inner
def _block_range(local, n_i, n_j, half_m, table, ranges, smooth):
    """Lines and samples that a block can reach, corrected and ``smooth``: min, max, min, max; False where none.

    Between nodes the lattice is bilinear, so nodes bound it; in height it is quadratic, and a quadratic leaves the
    range of its values at two ends by at most its second coefficient times the square of half their distance.
    """
    ranges[0], ranges[1], ranges[2], ranges[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(n_i):
        for j in range(n_j):
            for q in range(2):
                c0 = local[q, 0, i, j]
                c1 = local[q, 1, i, j]
                c2 = local[q, 2, i, j]
                if c0 != c0:
                    continue
                bend = c2 * half_m * half_m
                twist = abs(local[q, 3, i, j]) * half_m**3
                a = c0 - half_m * c1 + bend
                b = c0 + half_m * c1 + bend
                ranges[2 * q] = min(ranges[2 * q], min(a, b) - abs(bend) - twist)
                ranges[2 * q + 1] = max(ranges[2 * q + 1], max(a, b) + abs(bend) + twist)
    if not ranges[0] <= ranges[1]:
        return False
    for q in range(4):
        smooth[q] = ranges[q]
    if table.line.shape[0] > 0:
        least, most = np.inf, -np.inf
        least_line, most_line = 0.0, 0.0
        last = table.correction_px.shape[1] - 1
        k0 = min(max(int(np.floor((ranges[2] - table.first_sample) / table.step_samples)), 0), last)
        k1 = min(max(int(np.floor((ranges[3] - table.first_sample) / table.step_samples)) + 1, 0), last)
        for r in range(table.line.shape[0]):
            if table.line[min(r + 1, table.line.shape[0] - 1)] < ranges[0] or table.line[max(r - 1, 0)] > ranges[1]:
                continue
            for k in range(k0, k1 + 1):
                least = min(least, table.correction_px[r, k])
                most = max(most, table.correction_px[r, k])
                if table.line_px.shape[0] > 0:
                    least_line = min(least_line, table.line_px[r, k])
                    most_line = max(most_line, table.line_px[r, k])
        ranges[0] += least_line
        ranges[1] += most_line
        ranges[2] += least
        ranges[3] += most
    return True


@_inner
def _place_window(ranges, source, method, footprint, shape, bounds):
    """Where the windows under a block lie: ``shape`` gets line0, sample0, lines, samples. False: off the image."""
    reach_l, reach_s = 0.0, 0.0
    if method == AVERAGE:
        reach_l = abs(footprint[0]) + abs(footprint[1]) + 1.0
        reach_s = abs(footprint[2]) + abs(footprint[3]) + 1.0
    first = source.first_line
    last = source.last_line if source.last_line == source.last_line else source.n_lines - 0.5
    first_s = source.first_sample
    last_s = source.last_sample if source.last_sample == source.last_sample else source.n_samples - 0.5
    least_l, most_l = max(ranges[0], first), min(ranges[1], last)
    least_s, most_s = max(ranges[2], first_s), min(ranges[3], last_s)
    if not (least_l <= most_l and least_s <= most_s):
        return False
    line0 = int(np.floor(least_l - reach_l)) - PAD
    sample0 = int(np.floor(least_s - reach_s)) - PAD
    n_lines = int(np.ceil(most_l + reach_l)) + PAD + 1 - line0
    n_samples = int(np.ceil(most_s + reach_s)) + PAD + 1 - sample0
    shape[0], shape[1], shape[2], shape[3] = line0, sample0, n_lines, n_samples
    bounds[0] = max(first - line0, 1.0)
    bounds[1] = min(last - line0, n_lines - 3.0)
    bounds[2] = max(first_s - sample0, 1.0)
    bounds[3] = min(last_s - sample0, n_samples - 3.0)
    return True


@_inner
def _fill_windows(source, shape, scratch):
    """The windows of all bands, one after the other."""
    size = shape[2] * shape[3]
    for band in range(source.pixels.shape[0]):
        window = scratch[band * size : (band + 1) * size]
        _fill_window(source, band, shape[0], shape[1], shape[2], shape[3], window)
        window[0] = np.nan  # what points off the image read


@_inner
def _write_rows(values, width, power, out, band, row0, row1, col0):
    """Rows of a block into the output. Indices are unsigned for the reason given at `_cell_coordinates`."""
    zero = np.float32(0)
    plane, first_col = np.uint64(band), np.uint64(col0)
    for r in range(row0, row1):
        row, at = np.uint64(r), np.uint64((r - row0) * width)
        for c in range(width):
            value = values[at + np.uint64(c)]
            below = power & (value < zero)  # False for NaN
            out[plane, row, first_col + np.uint64(c)] = zero if below else value


@_inner
def _is_closed(table, smooth_ranges, shape, local):
    """Whether the correction has a closed form over a block, which ``local`` then holds; nothing to add is one."""
    if table.line_px.shape[0] > 0:
        return False
    if table.line.shape[0] > 0:
        return _local_correction(table, smooth_ranges, shape[0], shape[1], local)
    local[:] = 0
    return True


@_outer
def warp_part(dem, part, anchor, lattice, table, source, method, power, block_px, scratch, out, flags):
    """Orthorectify a part of the output through a lattice.

    Parameters
    ----------
    dem : DemArrays
    part : (int, int, int, int)
        First row, row after the last, first column, column after the last.
    anchor : (int, int)
        Blocks begin at the rows r and columns c where ``r + anchor[0]`` and ``c + anchor[1]`` are multiples of
        ``block_px``.
    lattice : LatticeArrays
        Lattice and DEM must reach over the whole of every block that the part touches.
    table : BreakTable
    source : SourceArrays
        Must hold every sample of the image that these blocks need.
    method : int
        NEAREST, BILINEAR, CUBIC or AVERAGE.
    power : bool
        The values are powers: below zero (less noise than was taken off, or cubic) they become zero, after resampling.
    block_px : int
        Edge of the blocks.
    scratch : (n,) float32
        Room for a block's source windows; a larger one is allocated where it does not suffice.
    out : (B, R, W) float32
        Written throughout the part; NaN where there is no data.
    flags : (R, W) uint8
        `TerrainFlag` bits: zero before; written in blocks that the image may reach, unless the DEM is plain.

    Returns
    -------
    from_dem, seen : int
        Pixels in such blocks whose height comes from the DEM, and all of those.
    """
    part_row0, part_row1, part_col0, part_col1 = part
    n_bands = out.shape[0]
    at_once = max(1, _CHUNK_PX // block_px)
    width = at_once * block_px
    heights = np.empty(width, np.float32)
    kinds = np.empty(width, np.uint8)
    values = np.empty(width, np.float32)
    lines = np.empty(width, np.float32)
    samples = np.empty(width, np.float32)
    line_part = np.empty(width, np.float32)
    sample_part = np.empty(width, np.float32)
    index = np.empty(width, np.int32)
    ramp = np.arange(block_px).astype(np.float32)
    pieces = np.empty((block_px // dem.step_px + 2, 8))
    cells_flat = dem.cells.reshape(-1)
    n = lattice.step_px
    n_local = (block_px - 1) // n + 3
    local = np.zeros((2, 4, n_local, n_local))
    ranges = np.empty(4)
    shape = np.empty(4, np.int64)
    bounds = np.empty(4, np.float32)
    correction = np.zeros(10, np.float32)
    smooth_ranges = np.empty(4)
    footprint = np.zeros(4)
    from_dem, seen = 0, 0
    first_row = part_row0 - (part_row0 + anchor[0]) % block_px
    first_col = part_col0 - (part_col0 + anchor[1]) % block_px
    for b_row in range(first_row, part_row1, block_px):
        r0, r1 = max(b_row, part_row0), min(b_row + block_px, part_row1)
        for b_col in range(first_col, part_col1, block_px):
            c0, c1 = max(b_col, part_col0), min(b_col + block_px, part_col1)
            low, high = _dem_range(dem, b_row, b_row + block_px, b_col, b_col + block_px, lines, samples)
            found = low <= high
            if found:
                mid, half = 0.5 * (low + high), 0.5 * (high - low)
                n_i, n_j, cubes = _block_lattice(
                    lattice, mid, half, b_row, b_row + block_px, b_col, b_col + block_px, local
                )  # fmt: skip
                i0, j0 = (b_row - lattice.row0) // n, (b_col - lattice.col0) // n
                found = _block_range(local, n_i, n_j, half, table, ranges, smooth_ranges)
                middle = block_px // 2
                _cell_footprint(
                    local, (b_row + middle - lattice.row0) // n - i0, (b_col + middle - lattice.col0) // n - j0, n,
                    footprint,
                )  # fmt: skip
            if found:
                found = _place_window(ranges, source, method, footprint, shape, bounds)
            if not found:
                for band in range(n_bands):
                    out[band, r0:r1, c0:c1] = np.nan
                continue
            seen += (r1 - r0) * (c1 - c0)
            size = shape[2] * shape[3]
            if size * n_bands > scratch.shape[0]:
                scratch = np.empty(size * n_bands, np.float32)
            _fill_windows(source, shape, scratch)
            closed = _is_closed(table, smooth_ranges, shape, correction)
            fused = closed and method != AVERAGE and not cubes
            mid32 = np.float32(mid)
            m = c1 - c0
            for q0 in range(r0, r1, at_once):
                q1 = min(q0 + at_once, r1)
                many = (q1 - q0) * m
                for r in range(q0, q1):
                    # The whole row of the block, so that it is rounded alike wherever the output ends.
                    at = (r - q0) * block_px
                    _row_heights(
                        dem, cells_flat, r, b_col, b_col + block_px, at, ramp, pieces,
                        heights, kinds, index, line_part, sample_part,
                    )  # fmt: skip
                    if dem.plain:
                        from_dem += m
                        continue
                    for c in range(c0, c1):
                        kind = kinds[at + c - b_col]
                        flags[r, c] = kind
                        from_dem += kind & _UNUSABLE == 0
                for r in range(q0, q1):
                    i = (r - lattice.row0) // n
                    u = (r - lattice.row0 - i * n) / n
                    i -= i0
                    for j in range((c0 - lattice.col0) // n, (c1 - 1 - lattice.col0) // n + 1):
                        node = lattice.col0 + j * n
                        a, b = max(c0, node), min(c1, node + n)
                        h_at, at = (r - q0) * block_px + a - b_col, (r - q0) * m + a - c0
                        if fused:
                            _cell_taps(
                                local, i, u, j - j0, n, shape[0], shape[1], a - node, h_at, at, b - a, mid32, ramp,
                                heights, correction, bounds, shape[3], index, line_part, sample_part,
                            )  # fmt: skip
                        else:
                            _cell_coordinates(
                                local, i, u, j - j0, n, shape[0], shape[1], a - node, h_at, at, b - a, mid32, ramp,
                                heights, lines, samples,
                            )  # fmt: skip
                            if cubes:
                                _add_cubes(
                                    local, i, u, j - j0, n, a - node, h_at, at, b - a, mid32, heights, lines, samples
                                )  # fmt: skip
                if not fused:
                    if closed:
                        _add_local_correction(correction, many, lines, samples)
                    else:
                        _add_table_correction(table, many, lines, samples, shape[0], shape[1])
                    _split(many, lines, samples, bounds, shape[3], index, line_part, sample_part)
                for band in range(n_bands):
                    _sample_points(
                        scratch, band * size, shape[2], shape[3], method, many, lines, samples, footprint,
                        index, line_part, sample_part, values,
                    )  # fmt: skip
                    _write_rows(values, m, power, out, band, q0, q1, c0)
    return from_dem, seen


@_outer
def fill_heights(dem, part, anchor, block_px, heights, flags):
    """Heights under a part of the output, the same as :func:`warp_part` has; for the exact path and for slopes.

    Parameters
    ----------
    dem, part, anchor, block_px
        As in :func:`warp_part`.
    heights, flags : (R, W) float32, uint8
        Written throughout the part: metres above the ellipsoid, NaN where there is none; `TerrainFlag` bits.

    Returns
    -------
    int
        How many pixels have a height from the DEM.
    """
    row0, row1, col0, col1 = part
    row_heights = np.empty(block_px, np.float32)
    kinds = np.zeros(block_px, np.uint8)
    pieces = np.empty((block_px // dem.step_px + 2, 8))
    cells_flat = dem.cells.reshape(-1)
    index = np.empty(block_px, np.int32)
    ramp = np.arange(block_px).astype(np.float32)
    row_part = np.empty(block_px, np.float32)
    col_part = np.empty(block_px, np.float32)
    from_dem = 0
    for b_col in range(col0 - (col0 + anchor[1]) % block_px, col1, block_px):
        c0, c1 = max(b_col, col0), min(b_col + block_px, col1)
        for r in range(row0, row1):
            _row_heights(
                dem, cells_flat, r, b_col, b_col + block_px, 0, ramp, pieces,
                row_heights, kinds, index, row_part, col_part,
            )  # fmt: skip
            heights[r, c0:c1] = row_heights[c0 - b_col : c1 - b_col]
            for c in range(c0, c1):
                kind = kinds[c - b_col]
                flags[r, c] = kind
                from_dem += kind & _UNUSABLE == 0
    return from_dem


@_outer
def warp_points(line, sample, part, anchor, source, method, power, block_px, footprints, scratch, out):
    """Orthorectify points whose image coordinates are given: of models that no lattice follows, and for proofs.

    Parameters
    ----------
    line, sample : (R, W) float64
        0-based image coordinates of every output pixel; NaN gives no data.
    footprints : (R / block_px, W / block_px, 4) float64
        Per block, from that of the part's corner: dline/drow, dline/dcol, dsample/drow, dsample/dcol. For AVERAGE only.
    part, anchor, source, method, power, block_px, scratch, out
        As in :func:`warp_part`.
    """
    row0, row1, col0, col1 = part
    width = min(block_px, col1 - col0)
    first_row, first_col = row0 - (row0 + anchor[0]) % block_px, col0 - (col0 + anchor[1]) % block_px
    values = np.empty(width, np.float32)
    # Not float32, which would round by where the window begins, and that depends on where the output ends.
    lines = np.empty(width)
    samples = np.empty(width)
    line_part = np.empty(width, np.float32)
    sample_part = np.empty(width, np.float32)
    index = np.empty(width, np.int32)
    ranges = np.empty(4)
    shape = np.empty(4, np.int64)
    bounds = np.empty(4, np.float32)
    for b_row in range(first_row, row1, block_px):
        r0, r1 = max(b_row, row0), min(b_row + block_px, row1)
        for b_col in range(first_col, col1, block_px):
            c0, c1 = max(b_col, col0), min(b_col + block_px, col1)
            ranges[0], ranges[1], ranges[2], ranges[3] = np.inf, -np.inf, np.inf, -np.inf
            for r in range(r0, r1):
                for c in range(c0, c1):
                    if line[r, c] == line[r, c] and sample[r, c] == sample[r, c]:
                        ranges[0] = min(ranges[0], line[r, c])
                        ranges[1] = max(ranges[1], line[r, c])
                        ranges[2] = min(ranges[2], sample[r, c])
                        ranges[3] = max(ranges[3], sample[r, c])
            footprint = footprints[(b_row - first_row) // block_px, (b_col - first_col) // block_px]
            if not _place_window(ranges, source, method, footprint, shape, bounds):
                for band in range(out.shape[0]):
                    out[band, r0:r1, c0:c1] = np.nan
                continue
            size = shape[2] * shape[3]
            if size * out.shape[0] > scratch.shape[0]:
                scratch = np.empty(size * out.shape[0], np.float32)
            _fill_windows(source, shape, scratch)
            m = c1 - c0
            for r in range(r0, r1):
                for c in range(m):
                    lines[c] = line[r, c0 + c] - shape[0]
                    samples[c] = sample[r, c0 + c] - shape[1]
                _split(m, lines, samples, bounds, shape[3], index, line_part, sample_part)
                for band in range(out.shape[0]):
                    _sample_points(
                        scratch, band * size, shape[2], shape[3], method, m, lines, samples, footprint,
                        index, line_part, sample_part, values,
                    )  # fmt: skip
                    _write_rows(values, m, power, out, band, r, r + 1, c0)


@_outer
def locate_part(dem, part, anchor, lattice, table, block_px, line, sample, flat_sample):
    """Where the pixels of a part of the output lie in the image, as :func:`warp_part` has it.

    Parameters
    ----------
    dem, part, anchor, lattice, table, block_px
        As in :func:`warp_part`.
    line, sample, flat_sample : (R, C) float64
        Of the part's size; written: line and sample of the ground at its height, and the smooth sample it would have
        at height 0; NaN where it has no height.
    """
    row0, row1, col0, col1 = part
    heights = np.empty(block_px, np.float32)
    kinds = np.zeros(block_px, np.uint8)
    index = np.empty(block_px, np.int32)
    row_part = np.empty(block_px, np.float32)
    col_part = np.empty(block_px, np.float32)
    lines = np.empty(block_px, np.float32)
    samples = np.empty(block_px, np.float32)
    flats = np.empty(block_px, np.float32)
    ground = np.empty(block_px, np.float32)
    ramp = np.arange(block_px).astype(np.float32)
    pieces = np.empty((block_px // dem.step_px + 2, 8))
    cells_flat = dem.cells.reshape(-1)
    n = lattice.step_px
    n_local = (block_px - 1) // n + 3
    local, local_flat = np.zeros((2, 4, n_local, n_local)), np.zeros((2, 4, n_local, n_local))
    lows, highs = np.empty(1024, np.float32), np.empty(1024, np.float32)
    ranges, smooth_ranges = np.empty(4), np.empty(4)
    shape = np.empty(4, np.int64)
    correction = np.zeros(10, np.float32)
    line[:], sample[:], flat_sample[:] = np.nan, np.nan, np.nan
    for b_row in range(row0 - (row0 + anchor[0]) % block_px, row1, block_px):
        r0, r1 = max(b_row, row0), min(b_row + block_px, row1)
        for b_col in range(col0 - (col0 + anchor[1]) % block_px, col1, block_px):
            c0, c1 = max(b_col, col0), min(b_col + block_px, col1)
            low, high = _dem_range(dem, b_row, b_row + block_px, b_col, b_col + block_px, lows, highs)
            if not low <= high:
                continue
            mid, half = 0.5 * (low + high), 0.5 * (high - low)
            b_row1, b_col1 = b_row + block_px, b_col + block_px
            n_i, n_j, cubes = _block_lattice(lattice, mid, half, b_row, b_row1, b_col, b_col1, local)
            if not _block_range(local, n_i, n_j, half, table, ranges, smooth_ranges):
                continue
            _block_lattice(lattice, 0.0, 0.0, b_row, b_row1, b_col, b_col1, local_flat)
            i0, j0 = (b_row - lattice.row0) // n, (b_col - lattice.col0) // n
            # Counted from whole numbers near the block, so that float32 suffices.
            line0, sample0 = int(np.floor(ranges[0])), int(np.floor(ranges[2]))
            shape[0], shape[1] = line0, sample0
            closed = _is_closed(table, smooth_ranges, shape, correction)
            for r in range(r0, r1):
                _row_heights(
                    dem, cells_flat, r, b_col, b_col1, 0, ramp, pieces,
                    heights, kinds, index, row_part, col_part,
                )  # fmt: skip
                i = (r - lattice.row0) // n
                u = (r - lattice.row0 - i * n) / n
                i -= i0
                for j in range((b_col - lattice.col0) // n, (b_col1 - 1 - lattice.col0) // n + 1):
                    node = lattice.col0 + j * n
                    a, b = max(b_col, node), min(b_col1, node + n)
                    at = a - b_col
                    _cell_coordinates(
                        local, i, u, j - j0, n, line0, sample0, a - node, at, at, b - a, np.float32(mid), ramp,
                        heights, lines, samples,
                    )  # fmt: skip
                    if cubes:
                        _add_cubes(
                            local, i, u, j - j0, n, a - node, at, at, b - a, np.float32(mid), heights, lines, samples
                        )  # fmt: skip
                    ground[:] = 0
                    _cell_coordinates(
                        local_flat, i, u, j - j0, n, 0, sample0, a - node, at, at, b - a, np.float32(0), ramp,
                        ground, index.view(np.float32), flats,
                    )  # fmt: skip
                if closed:
                    _add_local_correction(correction, block_px, lines, samples)
                else:
                    _add_table_correction(table, block_px, lines, samples, line0, sample0)
                for c in range(c0, c1):
                    k = c - b_col
                    line[r - row0, c - col0] = np.float64(lines[k]) + line0
                    sample[r - row0, c - col0] = np.float64(samples[k]) + sample0
                    if heights[k] == heights[k]:
                        flat_sample[r - row0, c - col0] = np.float64(flats[k]) + sample0
