"""One endless raster out of one file or many: the cells of a DEM (or geoid) on a common lattice of rows and columns."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from orthokernel.errors import TerrainError
from orthokernel.grid import from_lonlat, metres_per_unit
from orthokernel.terrain.flags import NODATA, OK, SEA
from orthokernel.terrain.raster import Header, OpenFiles, read_interpolated
from orthokernel.terrain.voids import FILL_REACH, average_cells, fill_voids

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]

CHUNK = 512
"""Cells are read, filled and kept in squares of this many."""
SQUARE = 32
_CACHE_BYTES = 192 * 2**20
_STRIP_CELLS = 2**24
_ALIGNED_CELLS = 0.01
_ALL_OK = np.full((CHUNK, CHUNK), OK, np.uint8)
_ALL_OK.setflags(write=False)


@dataclass(frozen=True)
class Tile:
    """A file of the mosaic, placed on its lattice.

    ``row, col`` are where the centre of the file's first cell lies, in lattice cells; ``aligned`` says that its cells
    are the lattice's, so that they can be copied; others are interpolated.
    """

    path: str
    row: float
    col: float
    n_rows: float
    n_cols: float
    aligned: bool


class Mosaic:
    """Cells of one or many rasters. Row and column 0 are the first cell of the finest raster.

    Cells beyond all rasters are SEA; voids (the declared no-data, NaN, -32768) are NODATA, or filled if ``fill``. Both
    have the value NaN. Values are metres. Rasters of other spacing or phase than the finest are interpolated onto
    its lattice, so that a bilinear surface over the lattice is continuous across seams. Where rasters overlap the first
    with a value wins.

    Thread-safe; chunks read are kept up to about 200 MB.

    Raises
    ------
    TerrainError
        A raster cannot be read or is not georeferenced, or two differ in their coordinate system.
    """

    def __init__(self, paths: list[str], *, fill: bool) -> None:
        self.paths = paths
        self.fill = fill
        headers = [Header.read(path) for path in paths]
        first = headers[0]
        for other in headers[1:]:
            theirs, ours = other.datum, first.datum
            if theirs.horizontal != ours.horizontal or theirs.vertical_name != ours.vertical_name:
                raise TerrainError(
                    other.path,
                    f"coordinate system {theirs.horizontal.name} ({theirs.vertical_name})",
                    f"that of {Path(first.path).name}, {ours.horizontal.name} ({ours.vertical_name}): "
                    "warp the tiles to one system, or make a VRT",
                )
        self.datum = first.datum
        finest = min(headers, key=lambda h: abs(h.transform.determinant))
        t = finest.transform
        self._dx, self._dy = abs(t.a) or abs(t.b), abs(t.e) or abs(t.d)
        self._x0 = (t.c if t.a > 0 else t.c + t.a * finest.n_cols) + self._dx / 2
        self._y0 = (t.f if t.e < 0 else t.f + t.e * finest.n_rows) - self._dy / 2
        turn_cells = 360.0 / self._dx
        geographic = self.datum.horizontal.is_geographic
        self.period: int | None = (
            round(turn_cells) if geographic and abs(turn_cells - round(turn_cells)) < _ALIGNED_CELLS else None
        )
        self.tiles = [self._place(header) for header in headers]
        self.spacing_m = self._dy * metres_per_unit(self.datum.horizontal)
        self._to_map = from_lonlat(self.datum.horizontal)
        self._chunks: OrderedDict[tuple[int, int, int], tuple[Float32Array, UInt8Array]] = OrderedDict()
        self._bounds: dict[tuple[int, int], tuple[Float32Array, Float32Array]] = {}
        self._lock = threading.Lock()
        self._files = OpenFiles()

    def rowcol(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, near_col: float | None
    ) -> tuple[Float64Array, Float64Array]:
        """Fractional lattice ``row, col`` of WGS 84 points; columns are those nearest ``near_col`` round the globe."""
        x, y = self._to_map.transform(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
        row = (self._y0 - np.asarray(y, np.float64)) / self._dy
        col = (np.asarray(x, np.float64) - self._x0) / self._dx
        if self.period is not None and near_col is not None:
            col = col - self.period * np.round((col - near_col) / self.period)
        return row, col

    def touches(self, row: Float64Array, col: Float64Array) -> bool:
        """Whether any point lies on a raster."""
        row, col = row[np.isfinite(row)], col[np.isfinite(row)]
        for tile in self.tiles:
            down, right = row - tile.row + 0.5, col - tile.col + 0.5
            if self.period is not None:
                right = right % self.period
            if np.any((down >= 0) & (down <= tile.n_rows) & (right >= 0) & (right <= tile.n_cols)):
                return True
        return False

    def region(self, level: int, row0: int, row1: int, col0: int, col1: int) -> tuple[Float32Array, UInt8Array]:
        """Cells of a rectangle.

        Parameters
        ----------
        level : int
            1, or how many cells on a side are averaged into one. Row ``r`` then covers ``r * level`` up to before
            ``(r + 1) * level``.
        row0, row1, col0, col1 : int
            Half-open, in cells of that level; may reach anywhere.

        Returns
        -------
        values : (row1 - row0, col1 - col0) float32
            Metres; NaN where SEA or NODATA.
        classes : the same shape, uint8
            One of OK, SEA, FILLED, NODATA.
        """
        values = np.empty((row1 - row0, col1 - col0), np.float32)
        classes = np.full(values.shape, OK, np.uint8)
        for i in range(row0 // CHUNK, (row1 - 1) // CHUNK + 1):
            for j in range(col0 // CHUNK, (col1 - 1) // CHUNK + 1):
                chunk_values, chunk_classes = self._chunk(level, i, j)
                r0, r1 = max(row0, i * CHUNK), min(row1, (i + 1) * CHUNK)
                c0, c1 = max(col0, j * CHUNK), min(col1, (j + 1) * CHUNK)
                here = np.s_[r0 - row0 : r1 - row0, c0 - col0 : c1 - col0]
                there = np.s_[r0 - i * CHUNK : r1 - i * CHUNK, c0 - j * CHUNK : c1 - j * CHUNK]
                values[here] = chunk_values[there]
                if chunk_classes is not _ALL_OK:
                    classes[here] = chunk_classes[there]
        return values, classes

    def tile_bounds(self) -> list[tuple[float, float, float, float]]:
        """``(left, bottom, right, top)`` of each raster on the map."""
        boxes = []
        for tile in self.tiles:
            left, top = self._x0 + (tile.col - 0.5) * self._dx, self._y0 - (tile.row - 0.5) * self._dy
            boxes.append((left, top - tile.n_rows * self._dy, left + tile.n_cols * self._dx, top))
        return boxes

    def value_range(self, row0: int, row1: int, col0: int, col1: int) -> tuple[float, float]:
        """Bounds of the finest cells over a rectangle, SEA as 0; NaN where all is NODATA.

        Looked up in squares of 32 cells, so that they are those of the squares that the rectangle touches.
        """
        low, high = np.inf, -np.inf
        for i in range(row0 // CHUNK, (row1 - 1) // CHUNK + 1):
            for j in range(col0 // CHUNK, (col1 - 1) // CHUNK + 1):
                lows, highs = self._bounds_of(i, j)
                r0, r1 = max(row0 - i * CHUNK, 0) // SQUARE, -(-min(row1 - i * CHUNK, CHUNK) // SQUARE)
                c0, c1 = max(col0 - j * CHUNK, 0) // SQUARE, -(-min(col1 - j * CHUNK, CHUNK) // SQUARE)
                low, high = min(low, float(lows[r0:r1, c0:c1].min())), max(high, float(highs[r0:r1, c0:c1].max()))
        return (low, high) if low <= high else (np.nan, np.nan)

    def _bounds_of(self, i: int, j: int) -> tuple[Float32Array, Float32Array]:
        """Lowest and highest of every square of a chunk; ``inf, -inf`` where there is none."""
        with self._lock:
            found = self._bounds.get((i, j))
        if found is not None:
            return found
        values, classes = self._chunk(1, i, j)
        known = np.where(classes == SEA, np.float32(0), values)
        made = _of_squares(np.fmin, known, np.inf), _of_squares(np.fmax, known, -np.inf)
        with self._lock:
            self._bounds[i, j] = made
        return made

    def __getstate__(self) -> dict[str, object]:
        return {"paths": self.paths, "fill": self.fill}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(state["paths"], fill=state["fill"])  # type: ignore[misc]

    def _place(self, header: Header) -> Tile:
        t = header.transform
        north_up = t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0
        left, top = min(c[0] for c in header.corners()), max(c[1] for c in header.corners())
        right, bottom = max(c[0] for c in header.corners()), min(c[1] for c in header.corners())
        n_rows, n_cols = (top - bottom) / self._dy, (right - left) / self._dx
        row, col = (self._y0 - top) / self._dy + 0.5, (left - self._x0) / self._dx + 0.5
        aligned = (
            north_up
            and abs(n_rows - header.n_rows) < _ALIGNED_CELLS
            and abs(n_cols - header.n_cols) < _ALIGNED_CELLS
            and abs(row - round(row)) < _ALIGNED_CELLS
            and abs(col - round(col)) < _ALIGNED_CELLS
        )
        if aligned:
            return Tile(header.path, round(row), round(col), header.n_rows, header.n_cols, True)
        return Tile(header.path, row, col, n_rows, n_cols, False)

    def _chunk(self, level: int, i: int, j: int) -> tuple[Float32Array, UInt8Array]:
        key = (level, i, j)
        with self._lock:
            found = self._chunks.get(key)
            if found is not None:
                self._chunks.move_to_end(key)
                return found
        made = self._make_chunk(level, i * CHUNK, j * CHUNK)
        with self._lock:
            self._chunks[key] = made
            while len(self._chunks) * CHUNK * CHUNK * 5 > _CACHE_BYTES:
                self._chunks.popitem(last=False)
        return made

    def _make_chunk(self, level: int, row0: int, col0: int) -> tuple[Float32Array, UInt8Array]:
        values, classes = self._cells(level, row0, row0 + CHUNK, col0, col0 + CHUNK)
        if self.fill and np.any(classes == NODATA):
            # With a margin as wide as the reach, a filled cell does not depend on the chunk it lies in.
            m = FILL_REACH
            values, classes = self._cells(level, row0 - m, row0 + CHUNK + m, col0 - m, col0 + CHUNK + m)
            values, classes = fill_voids(values, classes, m)
        return values, classes

    def _cells(self, level: int, row0: int, row1: int, col0: int, col1: int) -> tuple[Float32Array, UInt8Array]:
        """Unfilled cells at a level; the finest ones are read in strips so that averaging needs little memory."""
        if level == 1:
            fine = self._read(row0, row1, col0, col1)
            if np.isfinite(fine.min() + fine.max()):  # NaN and infinity come through
                classes = _all_ok(fine.shape)
            else:
                sea = np.isposinf(fine)
                classes = np.full(fine.shape, OK, np.uint8)
                classes[np.isnan(fine)] = NODATA
                classes[sea] = SEA
                fine[sea] = np.nan
            return fine, classes
        values = np.empty((row1 - row0, col1 - col0), np.float32)
        classes = np.empty(values.shape, np.uint8)
        step = max(1, _STRIP_CELLS // (level * level * (col1 - col0)))
        for r in range(row0, row1, step):
            end = min(r + step, row1)
            fine = self._read(r * level, end * level, col0 * level, col1 * level)
            average_cells(fine, level, values[r - row0 : end - row0], classes[r - row0 : end - row0])
        return values, classes

    def _read(self, row0: int, row1: int, col0: int, col1: int) -> Float32Array:
        """Finest cells: metres, NaN for a void, +inf where there is no raster."""
        parts = []
        for tile, turn in self._tiles_over(row0, row1, col0, col1):
            r0, r1 = max(row0, _ceil(tile.row - 0.5)), min(row1, _ceil(tile.row + tile.n_rows - 0.5))
            c0, c1 = max(col0, _ceil(tile.col + turn - 0.5)), min(col1, _ceil(tile.col + turn + tile.n_cols - 0.5))
            if r0 < r1 and c0 < c1:
                parts.append((tile, turn, (r0, r1, c0, c1)))
        if len(parts) == 1 and parts[0][2] == (row0, row1, col0, col1):
            tile, turn, _ = parts[0]
            return self._read_tile(tile, row0, row1, col0 - turn, col1 - turn)
        out = np.full((row1 - row0, col1 - col0), np.inf, np.float32)
        for tile, turn, (r0, r1, c0, c1) in parts:
            part = out[r0 - row0 : r1 - row0, c0 - col0 : c1 - col0]
            missing = ~np.isfinite(part)
            if missing.any():
                np.copyto(part, self._read_tile(tile, r0, r1, c0 - turn, c1 - turn), where=missing)
        return out

    def _tiles_over(self, row0: int, row1: int, col0: int, col1: int) -> Iterator[tuple[Tile, int]]:
        turns = (0,) if self.period is None else (0, -self.period, self.period)
        for tile in self.tiles:
            if tile.row - 0.5 >= row1 or tile.row + tile.n_rows < row0:
                continue
            for turn in turns:
                if tile.col + turn - 0.5 < col1 and tile.col + turn + tile.n_cols >= col0:
                    yield tile, turn

    def _read_tile(self, tile: Tile, row0: int, row1: int, col0: int, col1: int) -> Float32Array:
        n_rows, n_cols = row1 - row0, col1 - col0
        if tile.aligned:
            window = Window(col0 - int(tile.col), row0 - int(tile.row), n_cols, n_rows)
            return self._files.read_cells(tile.path, window, self.datum.metres_per_unit)
        left, top = self._x0 + (col0 - 0.5) * self._dx, self._y0 - (row0 - 0.5) * self._dy
        lattice = Affine(self._dx, 0.0, left, 0.0, -self._dy, top)
        return read_interpolated(tile.path, lattice, n_rows, n_cols, self.datum.metres_per_unit)


def _all_ok(shape: tuple[int, ...]) -> UInt8Array:
    """Most chunks of most DEMs: they share their classes."""
    return _ALL_OK if shape == _ALL_OK.shape else np.full(shape, OK, np.uint8)


def _of_squares(extreme: np.ufunc, cells: Float32Array, of_none: float) -> Float32Array:
    """The extreme of every square of a chunk, NaN ignored. Down the columns first: that is vector code."""
    n = CHUNK // SQUARE
    columns = extreme.reduce(cells.reshape(n, SQUARE, CHUNK), axis=1)
    squares = extreme.reduce(columns.reshape(n, n, SQUARE), axis=2)
    return np.where(np.isnan(squares), np.float32(of_none), squares)


def _ceil(value: float) -> int:
    # A cell belongs to a raster that holds its centre; the slack is for rounded transforms.
    return int(np.ceil(value - 1e-6))
