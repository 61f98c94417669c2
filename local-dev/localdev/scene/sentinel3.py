"""Makes Sentinel-3 OLCI L1B products: a swath whose every pixel has a place, and a value that is known there.

What is wrong with real ones is put in: cameras that do not meet, pixels that are there twice, relief that folds, pixels
that are invalid, flagged, or were removed.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.sentinel3_files import About, Variable, ring_of, write_manifest, write_netcdf, zipped
from localdev.scene.sentinel3_swath import (
    LINES_AT_ONCE,
    RADIUS_M,
    Field,
    Relief,
    Swath,
    orbit_over,
    read_tie_points,
)

FULL_SIZE = (4091, 4865)
WAVELENGTHS_NM = (
    (400, 15), (412.5, 10), (442.5, 10), (490, 10), (510, 10), (560, 10), (620, 10), (665, 10), (673.75, 7.5),
    (681.25, 7.5), (708.75, 10), (753.75, 7.5), (761.25, 2.5), (764.375, 3.75), (767.5, 2.5), (778.75, 15), (865, 20),
    (885, 10), (900, 10), (940, 20), (1020, 40),
)  # fmt: skip
SCALE, OFFSET = 0.004, 0.5  # radiance of a pixel's number
FILL = 65535
CAMERA_ENDS = (1586 / 4865, 2532 / 4865, 3297 / 4865, 4019 / 4865)
CAMERA_OFF_PX = ((0.0, 0.0), (0.6, -1.4), (-0.5, 0.6), (0.3, -0.3), (0.0, 0.8))
"""Of each camera, lines and samples by which its pixels lie off the others' grid: a seam where it overlaps by more than
a pixel, one with a gap, two with shifts."""
FLAGS = {
    "invalid": 25, "cosmetic": 24, "duplicated": 23, "sun_glint_risk": 22, "dubious": 21, "bright": 27, "land": 31,
}  # fmt: skip
DUPLICATES_FROM = 0.82  # of the line: far from nadir pixels are wider than the grid


@dataclass(frozen=True)
class OlciSpec:
    """A product to make.

    Attributes
    ----------
    out_folder : Path
    centre_lonlat_deg : (float, float)
        Under the satellite, in the middle of the time.
    size_lines_samples : (int, int)
        A real full-resolution frame is 4091 x 4865.
    bands : tuple of int
        1 to 21.
    relief_m, relief_wave_m : float
        Height of the mountains and their shortest wave: 3000 m and 8000 m fold at the edges of the swath.
    cameras, duplicates : bool
        Whether these defects are put in.
    tie_points : Path, optional
        A real ``geodetic_tx.nc`` that the swath follows in place of an orbit (without relief).
    shortest_wave_m : float
        Of the field of values.
    zip_it : {None, "stored", "deflated"}
    """

    out_folder: Path
    centre_lonlat_deg: tuple[float, float] = (8.0, 46.0)
    size_lines_samples: tuple[int, int] = (240, 320)
    bands: tuple[int, ...] = (4, 6, 8)
    platform: str = "S3A"
    start: datetime = datetime(2024, 6, 21, 10, 0, 0)
    ascending: bool = False
    reduced: bool = False
    first_sample_m: float | None = None
    relief_m: float = 0.0
    relief_wave_m: float = 8000.0
    cameras: bool = True
    duplicates: bool = True
    uncertainties: bool = False
    tie_points: Path | None = None
    shortest_wave_m: float = 40_000.0
    zip_it: Literal["stored", "deflated"] | None = None
    seed: int = 1

    @property
    def pixel_m(self) -> tuple[float, float]:
        """Distance of lines and of samples."""
        return (1176.0, 1080.0) if self.reduced else (294.0, 270.0)

    @property
    def first_m(self) -> float:
        """Where the first sample is to the right of the track: a whole swath goes from -300 km to 1014 km."""
        if self.first_sample_m is not None:
            return self.first_sample_m
        whole = self.size_lines_samples[1] * self.pixel_m[1]
        return 357_000.0 - whole / 2.0


@dataclass(frozen=True)
class OlciScene:
    """A product made, and its truth.

    Attributes
    ----------
    lon_deg, lat_deg : (L, S) float64
        As written, with all that is wrong with them.
    flags : (L, S) uint32
    fields : dict
        By number of a band, radiance in mW / (m2 sr nm).
    """

    path: Path
    spec: OlciSpec
    lon_deg: Float64Array
    lat_deg: Float64Array
    flags: NDArray[np.uint32]
    fields: dict[int, Field]

    def radiance(self, band: int, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """What a pixel at a place measures."""
        return self.fields[band].at(lon_deg, lat_deg)


def make_olci(spec: OlciSpec) -> OlciScene:
    """Make the product that a specification describes.

    Raises
    ------
    ValueError
        For bands that there are not, or a size without quads.
    """
    if not set(spec.bands) <= set(range(1, 22)) or min(spec.size_lines_samples) < 8:
        raise ValueError(f"bands {spec.bands}, size {spec.size_lines_samples}: expected 1 to 21, at least 8 x 8")
    swath = _swath(spec)
    lon, lat, duplicated = _places(spec, swath)
    # As files have them: whole millionths of a degree.
    lon_n, lat_n = np.rint(lon * 1e6).astype(np.int32), np.rint(lat * 1e6).astype(np.int32)
    lon, lat = lon_n.astype(np.float64) * 1e-6, lat_n.astype(np.float64) * 1e-6
    flags = _flags(spec, duplicated, lon, lat)
    stop = spec.start + timedelta(seconds=spec.size_lines_samples[0] * 0.044)
    kind = "ERR" if spec.reduced else "EFR"
    name = (
        f"{spec.platform}_OL_1_{kind}____{spec.start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_"
        f"{stop + timedelta(hours=2):%Y%m%dT%H%M%S}_{int((stop - spec.start).total_seconds()):04d}_077_334_4320_"
        "MAR_O_NT_003"
    )
    folder = spec.out_folder / f"{name}.SEN3"
    folder.mkdir(parents=True)
    fields = {band: Field.made(spec.seed * 100 + band, 60.0, 12.0, spec.shortest_wave_m, 1.2e6) for band in spec.bands}
    for band, field in fields.items():
        _write_band(spec, folder, band, field.image(lon, lat), flags)
    _write_geometry(folder, lon_n, lat_n)
    _write_flags(folder, flags)
    removed = {
        key: Variable(part[::50, ::50].reshape(-1).copy()) for key, part in (("latitude", lat_n), ("longitude", lon_n))
    }
    write_netcdf(folder / "removed_pixels.nc", removed)
    bands = tuple((f"Oa{k + 1:02d}", float(c), float(w)) for k, (c, w) in enumerate(WAVELENGTHS_NM))
    about = About(
        name,
        f"OL_1_{kind}",
        spec.platform,
        "OLCI",
        spec.start,
        stop,
        29567,
        334,
        spec.ascending,
        bands,
        ring_of(lon, lat),
    )
    write_manifest(folder, about)
    path = folder
    if spec.zip_it is not None:
        path = zipped(folder, zipfile.ZIP_STORED if spec.zip_it == "stored" else zipfile.ZIP_DEFLATED)
    return OlciScene(path, spec, lon, lat, flags, fields)


def _swath(spec: OlciSpec) -> Swath:
    line_m, sample_m = spec.pixel_m
    if spec.tie_points is not None:
        first_m = -0.5 * spec.size_lines_samples[1] * sample_m
        return Swath(None, read_tie_points(spec.tie_points), line_m, sample_m, first_m, 0.0)
    orbit = orbit_over(*spec.centre_lonlat_deg, ascending=spec.ascending)
    relief = Relief.made(spec.seed + 7, spec.relief_m, spec.relief_wave_m) if spec.relief_m else None
    return Swath(orbit, None, line_m, sample_m, spec.first_m, spec.size_lines_samples[0] / 2.0, relief)


def _places(spec: OlciSpec, swath: Swath) -> tuple[Float64Array, Float64Array, NDArray[np.bool_]]:
    """Places of all pixels, and which are there twice."""
    n_lines, n_samples = spec.size_lines_samples
    lon, lat = np.empty((n_lines, n_samples)), np.empty((n_lines, n_samples))
    duplicated = np.zeros((n_lines, n_samples), bool)
    column = np.arange(n_samples)
    camera = np.searchsorted(np.array(CAMERA_ENDS) * n_samples, column, side="right")
    off = np.array(CAMERA_OFF_PX)[camera] if spec.cameras else np.zeros((n_samples, 2))
    for start in range(0, n_lines, LINES_AT_ONCE):
        line = np.arange(start, min(start + LINES_AT_ONCE, n_lines))[:, None]
        from_column = np.broadcast_to(column, (len(line), n_samples)).copy()
        if spec.duplicates:
            again = (column > DUPLICATES_FROM * n_samples) & ((column + line // 7) % 5 == 0)
            duplicated[start : start + len(line)] = again
            from_column -= again
        where = swath.places(line + off[from_column, 0], from_column + off[from_column, 1])
        lon[start : start + len(line)], lat[start : start + len(line)] = where
    return lon, lat, duplicated


def _flags(spec: OlciSpec, duplicated: NDArray[np.bool_], lon: Float64Array, lat: Float64Array) -> NDArray[np.uint32]:
    """Flags: some of each, and invalid where real products have nothing: beyond the last camera, in lost lines."""
    n_lines, n_samples = duplicated.shape
    line, column = np.arange(n_lines)[:, None], np.arange(n_samples)[None, :]
    where = {
        "duplicated": duplicated,
        "invalid": (column >= n_samples - 3) & (line % 40 < 20) | ((line == n_lines // 3) & (column < n_samples // 2)),
        "cosmetic": (line == n_lines // 4) & (column % 2 == 0),
        "sun_glint_risk": (column > 0.3 * n_samples) & (column < 0.4 * n_samples),
        "bright": (line // 16 + column // 16) % 7 == 0,
        "land": np.floor(lon * 2) % 2 == 0,
    }
    flags = np.zeros(duplicated.shape, np.uint32)
    for name, here in where.items():
        flags |= np.where(here, np.uint32(1 << FLAGS[name]), np.uint32(0))
    flags |= np.where((line // 32 + column // 32) % 11 == 0, np.uint32(1 << 13), np.uint32(0))  # saturated in Oa08
    del spec, lat
    return flags


def _write_band(
    spec: OlciSpec, folder: Path, band: int, radiance: NDArray[np.float32], flags: NDArray[np.uint32]
) -> None:
    name = f"Oa{band:02d}_radiance"
    numbers = np.clip(np.rint((radiance - OFFSET) / SCALE), 0, FILL - 1).astype(np.uint16)
    invalid = (flags >> FLAGS["invalid"] & 1).astype(bool)
    numbers[invalid] = FILL
    numbers[len(numbers) // 3] = np.where(invalid[len(numbers) // 3], 7, numbers[len(numbers) // 3])  # flagged only
    unit = "mW.m-2.sr-1.nm-1"
    about = {
        "_FillValue": np.uint16(FILL), "scale_factor": np.float32(SCALE), "add_offset": np.float32(OFFSET),
        "units": unit,
        "long_name": f"TOA radiance for OLCI acquisition band Oa{band:02d}",
    }  # fmt: skip
    write_netcdf(folder / f"{name}.nc", {name: Variable(numbers, about)})
    if spec.uncertainties:
        logs = np.clip(np.rint((np.log10(0.01 * radiance) + 2.0) / 0.02), 0, 254).astype(np.uint8)
        about = {
            "_FillValue": np.uint8(255), "scale_factor": np.float32(0.02), "add_offset": np.float32(-2.0),
            "units": f"lg(re {unit})",
        }  # fmt: skip
        write_netcdf(folder / f"{name}_unc.nc", {f"{name}_unc": Variable(logs, about)})


def _write_geometry(folder: Path, lon: NDArray[np.int32], lat: NDArray[np.int32]) -> None:
    fill = np.int32(-(2**31))

    def degrees(values: NDArray[np.int32]) -> Variable:
        return Variable(values, {"_FillValue": fill, "scale_factor": np.float64(1e-6), "units": "degrees"})

    write_netcdf(folder / "geo_coordinates.nc", {"latitude": degrees(lat), "longitude": degrees(lon)})
    tie = np.s_[:, ::64]
    write_netcdf(
        folder / "tie_geo_coordinates.nc",
        {"latitude": degrees(lat[tie].copy()), "longitude": degrees(lon[tie].copy())},
    )
    shape = lat[tie].shape
    angle = {"scale_factor": np.float64(1e-6), "units": "degrees"}
    angles = {"SZA": 30_000_000, "SAA": 150_000_000, "OZA": 15_000_000, "OAA": -80_000_000}
    made = {name: Variable(np.full(shape, value, np.int32), angle) for name, value in angles.items()}
    write_netcdf(folder / "tie_geometries.nc", made)


def _write_flags(folder: Path, flags: NDArray[np.uint32]) -> None:
    names = {**{f"saturated_Oa{k:02d}": 21 - k for k in range(1, 22)}, **FLAGS}
    about = {
        "flag_masks": np.array([1 << bit for bit in names.values()], np.uint32),
        "flag_meanings": " ".join(names),
    }
    write_netcdf(folder / "qualityFlags.nc", {"quality_flags": Variable(flags, about)})


__all__ = ["FULL_SIZE", "RADIUS_M", "OlciScene", "OlciSpec", "make_olci"]
