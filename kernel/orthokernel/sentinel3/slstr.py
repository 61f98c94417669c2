"""Sentinel-3 SLSTR L1B (RBT): radiances and brightness temperatures of two views on grids of 500 m and 1 km."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import AnnotationError, MissingMeasurementError, OptionError, UnknownBandError
from orthokernel.geolocation import REPLACEABLE, Further, GeolocationModel, Positions
from orthokernel.measure import AS_THEY_ARE, Measure
from orthokernel.netcdf import NetcdfFile
from orthokernel.product import BandReader
from orthokernel.sensor import SensorModel
from orthokernel.sentinel3.files import Sentinel3Product
from orthokernel.sentinel3.flags import quality_of
from orthokernel.sentinel3.manifest import Manifest
from orthokernel.sentinel3.readers import ArrayReader, WithFurther

Float64Array = NDArray[np.float64]

_VIEWS: Final = {"": "n", "_oblique": "o"}
_GRIDS: Final = {
    **{f"s{k}": "a" for k in range(1, 7)}, "s7": "i", "s8": "i", "s9": "i", "f1": "f", "f2": "i",
}  # fmt: skip
"""By channel. S4 to S6 are measured twice, by stripes A and B."""
_MEMBER: Final = re.compile(r"([SF]\d)_(radiance|BT)_([abif])([no])\.nc")
_ANGLES: Final = {
    "sun_zenith": "solar_zenith_tn", "sun_azimuth": "solar_azimuth_tn", "view_zenith": "sat_zenith_tn",
    "view_azimuth": "sat_azimuth_tn",
}  # fmt: skip
_QUALITY: Final = (
    "0: no data; bit 0 looked at, bit 1 orphan (a measurement that lost its pixel to another), bit 2 cosmetic, "
    "bit 3 duplicated, bit 4 saturated (first band), bit 5 sun glint, bit 6 cloud, bit 7 land"
)
_ORPHAN, _SATURATED = 2, 16
_CONFIDENCE: Final = {
    "cosmetic": 1 << 8, "duplicate": 1 << 9, "sun_glint": 1 << 12, "summary_cloud": 1 << 14, "land": 1 << 3,
    "unfilled": 1 << 5,
}  # fmt: skip
"""Of ``confidence``, where the file does not name them. Source: PDS 005, flags files."""
_EXCEPTION_SATURATION: Final = 16


@dataclass(frozen=True)
class _Band:
    member: str
    variable: str
    grid: str
    """Grid and view: ``an``."""


@dataclass(frozen=True)
class _Frame:
    """What the bands of one grid and view share; ``quality`` (L, S + K) has the orphans beside the pixels."""

    model: GeolocationModel
    quality: NDArray[np.uint8]
    grid_samples: int
    has_orphans: bool


class SlstrProduct(Sentinel3Product):
    """See `orthokernel.product.Product`.

    Bands are ``s1`` to ``s9``, ``f1`` and ``f2`` of the nadir view, and the same with ``_oblique``; radiances of s1 to
    s6 (stripe A, 500 m), brightness temperatures of the others (1 km). Extra bands are those of stripe B: ``s4_b``,
    ``s4_b_oblique`` and so on.

    Default resampling is nearest, with which a pixel of the map gets the measurement nearest to it: one of the grid, or
    an orphan (a measurement that found its pixel taken) where that is nearer. Where the grid's is cosmetic (filled in
    from a neighbour) or unfilled, an orphan within half a pixel's diagonal is taken whatever the distances. Other
    methods interpolate in the grid alone.

    Raises
    ------
    MissingMeasurementError, MissingAnnotationError, TruncatedRasterError
    """

    def __init__(self, container: ProductContainer, manifest: Manifest) -> None:
        super().__init__(container, manifest)
        self._images = _find_images(container.members)
        self.bands = tuple(name for name in _all_names(stripe_b=False) if name in self._images)
        self.extra_bands = tuple(name for name in _all_names(stripe_b=True) if name in self._images)
        if not self.bands:
            raise MissingMeasurementError(self.path, "no image of any channel", "S1_radiance_an.nc and others")
        self._frames: dict[str, _Frame] = {}

    @property
    def default_bands(self) -> tuple[str, ...]:
        """The 500 m channels of the nadir view, or where there are none, all."""
        return tuple(band for band in self.bands if self._images[band].grid == "an") or self.bands

    def _image(self, band: str) -> _Band:
        if band in self._images:
            return self._images[band]
        if band in (*_all_names(stripe_b=False), *_all_names(stripe_b=True)):
            raise MissingMeasurementError(self.path, f"no image of band {band}", "the one that it has pixels in")
        names = ", ".join(self.bands + self.extra_bands)
        raise UnknownBandError(self.path, f"no band {band!r} in an SLSTR product", f"one of {names}")

    def frame(self, band: str) -> str:
        """Grid and view, as files are named: ``an``, ``ao``, ``bn``, ``bo``, ``in``, ``io``, ``fn``, ``fo``."""
        return self._image(band).grid

    def preferred_resampling(self, band: str) -> Literal["nearest"] | None:
        """Nearest: the grid has been filled with the nearest measurements."""
        self._image(band)
        return "nearest"

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> GeolocationModel:
        """The places of a grid's pixels and orphans. See `Product.sensor_model`.

        Raises
        ------
        GeolocationError
            No pixel has one.
        """
        del slant_to_ground
        return self._frame(self._image(self.bands[0] if band is None else band).grid).model

    def _frame(self, grid: str) -> _Frame:
        with self._lock:
            if grid not in self._frames:
                self._frames[grid] = self._make_frame(grid)
            return self._frames[grid]

    def _make_frame(self, grid: str) -> _Frame:
        geo = self._file(f"geodetic_{grid}.nc")
        lat, lon = geo.variable(f"latitude_{grid}"), geo.variable(f"longitude_{grid}")
        positions = Positions(
            geo.read(lat.name, self._threads), geo.read(lon.name, self._threads), lat.scale, lon.scale, lat.fill
        )
        n_lines, n_samples = positions.lat.shape
        quality, unfilled = self._confidence(grid, "", (n_lines, n_samples))
        marks = np.where(unfilled | ((quality & 4) != 0), np.uint8(REPLACEABLE), np.uint8(0))
        further = None
        if f"latitude_orphan_{grid}" in geo.names:
            further, n_orphans = self._orphans(geo, grid, n_lines, n_samples)
            beside, _ = self._confidence(grid, "_orphan", (n_lines, n_orphans))
            quality = np.concatenate([quality, beside | np.uint8(_ORPHAN)], axis=1)
        model = GeolocationModel(
            positions, geo.source, marks if marks.any() else None, further, quality.shape[1], self._threads
        )
        return _Frame(model, quality, n_samples, further is not None)

    def _orphans(self, geo: NetcdfFile, grid: str, n_lines: int, n_samples: int) -> tuple[Further, int]:
        lat, lon = (geo.variable(f"{name}_orphan_{grid}") for name in ("latitude", "longitude"))
        if len(lat.shape) != 2 or lat.shape[0] != n_lines or lat.shape != lon.shape:
            raise AnnotationError(geo.source, f"orphans of {lat.shape} and {lon.shape}", f"some for {n_lines} lines")
        orphans = Positions(geo.read(lat.name), geo.read(lon.name), lat.scale, lon.scale, lat.fill)
        lon_deg, lat_deg = orphans.some(slice(None), slice(None))
        line, k = np.nonzero(np.isfinite(lon_deg))
        further = Further(lon_deg[line, k], lat_deg[line, k], line.astype(np.int32), (n_samples + k).astype(np.int32))
        return further, lat.shape[1]

    def _confidence(self, grid: str, kind: str, shape: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The bits of `quality` that all bands of a grid share, and which pixels are unfilled."""
        member, name = f"flags_{grid}.nc", f"confidence{kind}_{grid}"
        if kind and (member not in self._container.members or name not in self._file(member).names):
            return np.ones(shape, np.uint8), np.zeros(shape, np.bool_)
        file = self._file(member)
        variable, flags = file.variable(name), file.read(name, self._threads)
        if flags.shape != shape:
            raise AnnotationError(file.source, f"{name} of {flags.shape}", f"{shape[0]} x {shape[1]}")
        mask = {key: variable.flag(key, default) for key, default in _CONFIDENCE.items()}
        order = (0, mask["cosmetic"], mask["duplicate"], 0, mask["sun_glint"], mask["summary_cloud"], mask["land"])
        return quality_of(flags, order, self._threads), (flags.astype(np.int64) & mask["unfilled"]) != 0

    def open_band(self, band: str) -> BandReader:
        """A reader of a band's pixels, the line's orphans to their right.

        Raises
        ------
        UnknownBandError, MissingMeasurementError, TruncatedRasterError, AnnotationError
        """
        image = self._image(band)
        frame = self._frame(image.grid)
        n_lines = frame.model.n_lines
        reader = self._open_image(image.member, image.variable, band, (n_lines, frame.grid_samples))
        if not frame.has_orphans:
            return reader
        return WithFurther(reader, self._orphan_pixels(image, band, reader))

    def _orphan_pixels(self, image: _Band, band: str, like: BandReader) -> BandReader:
        frame = self._frame(image.grid)
        shape = frame.model.n_lines, frame.model.n_samples - frame.grid_samples
        name = image.variable[:-3] + f"_orphan_{image.grid}"
        if name in self._file(image.member, of=band).names:
            return self._open_image(image.member, name, band, shape)
        nothing = 0.0 if like.nodata is None else like.nodata
        return ArrayReader(np.full(shape, nothing, like.dtype), nothing)

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Radiance or brightness temperature, or the pixels as they are."""
        del band
        return ("physical", "dn")

    def measure(self, band: str, radiometry: str) -> Measure:
        """Radiance in mW / (m2 sr nm), brightness temperature in K."""
        if radiometry == "dn":
            return AS_THEY_ARE
        image = self._image(band)
        variable = self._variable(image.member, image.variable, band)
        return Measure(variable.scale, variable.shift, str(variable.attributes.get("units", "")) or None)

    @property
    def extras(self) -> Mapping[str, str]:
        """Quality."""
        return {"quality": _QUALITY}

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """See `Product.open_extra`."""
        if name != "quality":
            raise OptionError(f"{self.path}: extra {name!r} of band {band}: an SLSTR product has no such raster")
        image = self._image(band)
        frame = self._frame(image.grid)
        quality = frame.quality.copy()
        exception = re.sub("radiance|BT", "exception", image.variable)
        file = self._file(image.member, of=band)
        parts = (
            (exception, slice(0, frame.grid_samples)),
            (f"{exception[:-3]}_orphan_{image.grid}", slice(frame.grid_samples, None)),
        )
        for variable, samples in parts:
            if variable in file.names and file.variable(variable).shape == quality[:, samples].shape:
                mask = file.variable(variable).flag("saturation", _EXCEPTION_SATURATION)
                quality[:, samples][(file.read(variable).astype(np.int64) & mask) != 0] |= _SATURATED
        return ArrayReader(quality), frame.model

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item."""
        eo = self._manifest.eo_bands
        shapes = {}
        for grid in sorted({image.grid for image in self._images.values()}):
            member = f"geodetic_{grid}.nc"
            if member in self._container.members:
                shapes[grid] = list(self._file(member).variable(f"latitude_{grid}").shape)
        return {
            "mission": self.mission,
            "geometry": "a place for each pixel",
            **self._manifest.facts,
            **self._sun_and_view("geometry_tn.nc", _ANGLES),
            "grids": shapes,
            "bands": list(self.bands),
            "extra_bands": list(self.extra_bands),
            "extras": list(self.extras),
            "eo_bands": {band: dict(eo.get(band[:2], {})) for band in self.bands + self.extra_bands},
        }


def _all_names(stripe_b: bool) -> list[str]:
    if stripe_b:
        return [f"s{k}_b{view}" for view in _VIEWS for k in (4, 5, 6)]
    return [f"{channel}{view}" for view in _VIEWS for channel in _GRIDS]


def _find_images(members: frozenset[str]) -> dict[str, _Band]:
    views = {letter: view for view, letter in _VIEWS.items()}
    found = {}
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None:
            continue
        channel, grid, view = match[1].lower(), match[3], match[4]
        stripe = "_b" if grid == "b" else ""
        if _GRIDS.get(channel) not in (grid, "a" if grid == "b" else grid):
            continue
        found[f"{channel}{stripe}{views[view]}"] = _Band(member, member.removesuffix(".nc"), f"{grid}{view}")
    return found
