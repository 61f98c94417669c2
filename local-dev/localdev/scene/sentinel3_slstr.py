"""Makes Sentinel-3 SLSTR L1B (RBT) products: two views, grids filled with the nearest measurements, and what that
leaves: cosmetic pixels where none was near, orphans where two were, duplicates, unfilled pixels."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.sentinel3_files import About, Variable, ring_of, write_manifest, write_netcdf, zipped
from localdev.scene.sentinel3_swath import LINES_AT_ONCE, Field, Relief, Swath, orbit_over, read_tie_points

FULL_SIZE_1KM = (1200, 1500)
CHANNELS_NM = {
    "S1": (554.27, 19.26), "S2": (659.47, 19.25), "S3": (868, 20.6), "S4": (1374.8, 20.8), "S5": (1613.4, 60.68),
    "S6": (2255.7, 50.15), "S7": (3742, 398), "S8": (10854, 776), "S9": (12022.5, 905), "F1": (3742, 398),
    "F2": (10854, 776),
}  # fmt: skip
FILL = -32768
MASKS = {
    "coastline": 0, "ocean": 1, "tidal": 2, "land": 3, "inland_water": 4, "unfilled": 5, "cosmetic": 8, "duplicate": 9,
    "day": 10, "twilight": 11, "sun_glint": 12, "snow": 13, "summary_cloud": 14, "summary_pointing": 15,
}  # fmt: skip
_OBLIQUE_BEHIND_M = 1_000_000.0
_JITTER = 0.3


@dataclass(frozen=True)
class SlstrSpec:
    """A product to make.

    Attributes
    ----------
    out_folder : Path
    centre_lonlat_deg : (float, float)
        Under the satellite, in the middle of the nadir view's time.
    size_1km : (int, int)
        Lines and samples of the nadir view at 1 km; a real frame has 1200 x 1500. The oblique view has 3/5 of the
        samples; at 500 m there are twice as many of both.
    images : tuple of (str, str)
        Channel and grid with view, for example ("S8", "in") or ("S4", "bo").
    tie_points : Path, optional
        A real ``geodetic_tx.nc`` that the nadir view follows in place of an orbit.
    """

    out_folder: Path
    centre_lonlat_deg: tuple[float, float] = (8.0, 46.0)
    size_1km: tuple[int, int] = (80, 100)
    images: tuple[tuple[str, str], ...] = (("S2", "an"), ("S8", "in"), ("S8", "io"), ("S2", "ao"))
    platform: str = "S3B"
    start: datetime = datetime(2024, 6, 21, 10, 0, 0)
    ascending: bool = False
    relief_m: float = 0.0
    relief_wave_m: float = 15_000.0
    orphans_per_line: int = 12
    tie_points: Path | None = None
    shortest_wave_m: float = 80_000.0
    zip_it: Literal["stored", "deflated"] | None = None
    seed: int = 1


@dataclass(frozen=True)
class SlstrGrid:
    """What was put into one grid.

    Attributes
    ----------
    lon_deg, lat_deg : (L, S) float64
        Of measurements where there are, else of the grid's own pixels.
    source_column : (L, S) int64
        Whose measurement a pixel has: another than its own where it is cosmetic.
    confidence : (L, S) uint16
    orphan_lon_deg, orphan_lat_deg : (L, K) float64
        NaN where a line has fewer.
    """

    lon_deg: Float64Array
    lat_deg: Float64Array
    source_column: NDArray[np.int64]
    confidence: NDArray[np.uint16]
    orphan_lon_deg: Float64Array
    orphan_lat_deg: Float64Array


@dataclass(frozen=True)
class SlstrScene:
    """A product made, and its truth: ``fields`` by channel, ``grids`` by grid and view."""

    path: Path
    spec: SlstrSpec
    grids: dict[str, SlstrGrid]
    fields: dict[str, Field]

    def value(self, channel: str, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """What a measurement at a place has: radiance in mW / (m2 sr nm), or brightness temperature in K."""
        return self.fields[channel].at(lon_deg, lat_deg)


def scale_of(channel: str) -> tuple[float, float, str]:
    """Scale and offset of a channel's numbers, and the unit of their values."""
    if channel in ("S1", "S2", "S3", "S4", "S5", "S6"):
        return 0.01, 0.0, "mW.m-2.sr-1.nm-1"
    return 0.01, 283.73, "K"


def make_slstr(spec: SlstrSpec) -> SlstrScene:
    """Make the product that a specification describes.

    Raises
    ------
    ValueError
        For an image that there is not, or a size without quads.
    """
    unknown = [image for image in spec.images if image[0] not in CHANNELS_NM or image[1][0] not in "abif"]
    if unknown or min(spec.size_1km) < 8:
        raise ValueError(f"images {unknown}, size {spec.size_1km}: expected such as ('S8', 'in'), at least 8 x 8")
    stop = spec.start + timedelta(seconds=spec.size_1km[0] * 0.15)
    name = (
        f"{spec.platform}_SL_1_RBT____{spec.start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_"
        f"{stop + timedelta(hours=2):%Y%m%dT%H%M%S}_{int((stop - spec.start).total_seconds()):04d}_077_043_5400_"
        "MAR_O_NT_004"
    )
    folder = spec.out_folder / f"{name}.SEN3"
    folder.mkdir(parents=True)
    fields = {}
    for channel, _ in spec.images:
        mean, amplitude = (40.0, 8.0) if scale_of(channel)[2] != "K" else (285.0, 6.0)
        seed = spec.seed * 100 + list(CHANNELS_NM).index(channel)
        fields[channel] = Field.made(seed, mean, amplitude, spec.shortest_wave_m, 1.5e6)
    grids = {grid: _make_grid(spec, grid) for grid in sorted({grid for _, grid in spec.images})}
    for grid, made in grids.items():
        _write_grid(folder, grid, made)
    for channel, grid in spec.images:
        _write_image(folder, channel, grid, grids[grid], fields[channel])
    first = grids[spec.images[0][1]]
    angles = {"solar_zenith_tn": 40.0, "solar_azimuth_tn": 140.0, "sat_zenith_tn": 5.0, "sat_azimuth_tn": 100.0}
    write_netcdf(folder / "geometry_tn.nc", {key: Variable(np.full((9, 9), value)) for key, value in angles.items()})
    bands = tuple((key, float(c), float(w)) for key, (c, w) in CHANNELS_NM.items())
    ring = ring_of(first.lon_deg, first.lat_deg)
    about = About(
        name, "SL_1_RBT", spec.platform, "SLSTR", spec.start, stop, 29276, 43, spec.ascending, bands, ring
    )  # fmt: skip
    write_manifest(folder, about)
    path = folder
    if spec.zip_it is not None:
        path = zipped(folder, zipfile.ZIP_STORED if spec.zip_it == "stored" else zipfile.ZIP_DEFLATED)
    return SlstrScene(path, spec, grids, fields)


def _make_grid(spec: SlstrSpec, grid: str) -> SlstrGrid:
    fine = 2 if grid[0] in "ab" else 1
    n_lines, n_samples = spec.size_1km[0] * fine, spec.size_1km[1] * fine
    spacing_m = 1000.0 / fine
    behind_lines = 0.0
    if grid[1] == "o":
        n_samples = n_samples * 3 // 5
        behind_lines = 2.0 / fine if spec.tie_points else 0.02 * _OBLIQUE_BEHIND_M / spacing_m
    first_m = -0.5 * n_samples * spacing_m - 100_000.0
    relief = Relief.made(spec.seed + 7, spec.relief_m, spec.relief_wave_m) if spec.relief_m else None
    if spec.tie_points is not None:
        swath = Swath(None, read_tie_points(spec.tie_points), spacing_m, spacing_m, first_m, 0.0)
    else:
        orbit = orbit_over(*spec.centre_lonlat_deg, ascending=spec.ascending)
        swath = Swath(orbit, None, spacing_m, spacing_m, first_m, n_lines / 2.0, relief)
    random = np.random.default_rng([spec.seed, *grid.encode()])
    line, column = np.arange(n_lines)[:, None] + 0.0, np.arange(n_samples)[None, :] + 0.0
    shape = (n_lines, n_samples)
    cosmetic = random.random(shape) < 0.12
    cosmetic[:, 0] = False
    unfilled = np.zeros(shape, bool)
    unfilled[:, -2:] = True
    unfilled[n_lines // 2, : n_samples // 4] = True
    cosmetic &= ~unfilled
    duplicate = ~cosmetic & ~unfilled & (random.random(shape) < 0.04)
    duplicate[:, 0] = False
    source = np.broadcast_to(np.arange(n_samples), shape).copy()
    for j in range(1, n_samples):  # from the neighbour before, whatever that has
        source[:, j] = np.where(cosmetic[:, j] | duplicate[:, j], source[:, j - 1], source[:, j])
    off = random.uniform(-_JITTER, _JITTER, (2, *shape))
    off[:, cosmetic | unfilled] = 0.0
    at_line, at_column = line + off[0], column + off[1]
    rows = np.broadcast_to(np.arange(n_lines)[:, None], shape)
    # A duplicate has the place of what it repeats, a cosmetic pixel its own.
    at_line = np.where(duplicate, at_line[rows, source], at_line)
    at_column = np.where(duplicate, at_column[rows, source], at_column)
    lon, lat = _places(swath, at_line + behind_lines, at_column)
    k = spec.orphans_per_line
    host = random.integers(2, n_samples - 3, (n_lines, k))
    orphan = _places(
        swath,
        line + behind_lines + random.uniform(-0.45, 0.45, (n_lines, k)),
        host + random.uniform(-0.45, 0.45, (n_lines, k)),
    )
    missing = np.arange(k)[None, :] >= random.integers(k // 2, k + 1, n_lines)[:, None]
    for part in orphan:
        part[missing] = np.nan
    confidence = np.full(shape, 1 << MASKS["day"], np.uint16)
    where = {
        "cosmetic": cosmetic, "duplicate": duplicate, "unfilled": unfilled, "land": np.floor(lon) % 2 == 0,
        "summary_cloud": (rows // 16) % 3 == 0, "sun_glint": source > 0.7 * n_samples,
    }  # fmt: skip
    for name, here in where.items():
        confidence |= np.where(here, np.uint16(1 << MASKS[name]), np.uint16(0))
    return SlstrGrid(lon, lat, source, confidence, *orphan)


def _places(swath: Swath, line: Float64Array, column: Float64Array) -> tuple[Float64Array, Float64Array]:
    line, column = np.broadcast_arrays(line, column)
    parts = [
        swath.places(line[a : a + LINES_AT_ONCE], column[a : a + LINES_AT_ONCE])
        for a in range(0, len(line), LINES_AT_ONCE)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def measured_places(grid: SlstrGrid) -> tuple[Float64Array, Float64Array]:
    """Where what each pixel has was measured: its own place, or that of the pixel it was filled from."""
    rows = np.arange(grid.lon_deg.shape[0])[:, None]
    return grid.lon_deg[rows, grid.source_column], grid.lat_deg[rows, grid.source_column]


def _write_grid(folder: Path, grid: str, made: SlstrGrid) -> None:
    about = {"_FillValue": np.float64(-999.0), "units": "degrees"}
    values = {
        f"latitude_{grid}": made.lat_deg, f"longitude_{grid}": made.lon_deg,
        f"latitude_orphan_{grid}": np.nan_to_num(made.orphan_lat_deg, nan=-999.0),
        f"longitude_orphan_{grid}": np.nan_to_num(made.orphan_lon_deg, nan=-999.0),
    }  # fmt: skip
    write_netcdf(folder / f"geodetic_{grid}.nc", {name: Variable(array, about) for name, array in values.items()})
    flags = {
        "flag_masks": np.array([1 << bit for bit in MASKS.values()], np.uint16), "flag_meanings": " ".join(MASKS),
    }  # fmt: skip
    beside = np.full(made.orphan_lon_deg.shape, 1 << MASKS["day"], np.uint16)
    write_netcdf(
        folder / f"flags_{grid}.nc",
        {f"confidence_{grid}": Variable(made.confidence, flags), f"confidence_orphan_{grid}": Variable(beside, flags)},
    )


def _write_image(folder: Path, channel: str, grid: str, made: SlstrGrid, field: Field) -> None:
    scale, offset, unit = scale_of(channel)
    kind = "BT" if unit == "K" else "radiance"
    about: dict[str, Any] = {
        "_FillValue": np.int16(FILL), "scale_factor": np.float64(scale), "add_offset": np.float64(offset),
        "units": unit,
    }  # fmt: skip

    def numbers(lon: Float64Array, lat: Float64Array, missing: NDArray[np.bool_]) -> Variable:
        values = field.image(np.nan_to_num(lon), np.nan_to_num(lat))
        found = np.rint((values - offset) / scale).astype(np.int16)
        found[missing] = FILL
        return Variable(found, about)

    unfilled = (made.confidence >> MASKS["unfilled"] & 1).astype(bool)
    exception = np.zeros(made.lon_deg.shape, np.uint8)
    exception[: len(exception) // 8] = 16
    write_netcdf(
        folder / f"{channel}_{kind}_{grid}.nc",
        {
            f"{channel}_{kind}_{grid}": numbers(*measured_places(made), unfilled),
            f"{channel}_{kind}_orphan_{grid}": numbers(
                made.orphan_lon_deg, made.orphan_lat_deg, np.isnan(made.orphan_lon_deg)
            ),
            f"{channel}_exception_{grid}": Variable(exception),
        },
    )
