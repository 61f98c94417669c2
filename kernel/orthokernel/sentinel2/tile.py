"""A Sentinel-2 L1C or L2A product: one tile, orthorectified by ESA."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import (
    AnnotationError,
    MissingAnnotationError,
    MissingMeasurementError,
    OptionError,
    UnknownBandError,
)
from orthokernel.jp2 import Jp2Reader
from orthokernel.mapmodel import MapModel
from orthokernel.measure import AS_THEY_ARE, Measure, as_reflectance
from orthokernel.product import BandReader, PlainProduct
from orthokernel.rasterreader import RasterBandReader
from orthokernel.sensor import SensorModel
from orthokernel.sentinel2.bands import BANDS
from orthokernel.sentinel2.masks import MASK_NAMES, QUALITY, MaskFiles, on_map
from orthokernel.sentinel2.metadata import Tile, UserProduct, parse_tile, parse_user_product

Float64Array = NDArray[np.float64]

USER_METADATA: Final = re.compile(r"(MTD_MSIL(1C|2A)|product_metadata)\.xml")
_TILE_METADATA: Final = re.compile(r"(.*/)?(MTD_TL|granule_metadata)\.xml")
_RESOLUTION_M: Final = {band.name.lower(): band.resolution_m for band in BANDS}
_QUANTITIES: Final = {"aot": ("aerosol optical thickness", None), "wvp": ("water vapour", "cm")}
_RESOLUTION_OF_QUANTITIES_M: Final = 10
_ENDINGS: Final = (".jp2", ".tif", ".tiff")
_DETECTORS: Final = "0: no data; number of the detector, of the first band"
_SCENE_CLASSES: Final = (
    "0: no data; 1 saturated or defective, 2 dark area, 3 cloud shadow, 4 vegetation, 5 not vegetated, 6 water, "
    "7 unclassified, 8 cloud (medium probability), 9 cloud (high probability), 10 thin cirrus, 11 snow or ice"
)


class TileProduct(PlainProduct):
    """See `orthokernel.product.Product`. Images are JPEG 2000 as ESA writes them, or GeoTIFF (``B02.tif``).

    Raises
    ------
    MissingAnnotationError, AnnotationError, UnsafeXmlError, MalformedXmlError
    MissingMeasurementError
        There is no image at all.
    """

    mission: Literal["sentinel-2"] = "sentinel-2"
    needs_terrain = False

    def __init__(self, container: ProductContainer) -> None:
        self._container = container
        self.path, self.id = container.path, container.name
        self._user, self._tile = self._read_metadata()
        self._images = self._find_images()
        self._masks = MaskFiles(container, f"{self.path}:{self._tile.id}", self._tile.masks)
        known = [band for band in _RESOLUTION_M if not (band == "b10" and self._user.level == "L2A")]
        self.bands = tuple(band for band in known if band in self._images)
        self.extra_bands = tuple(name for name in _QUANTITIES if name in self._images)
        if not self.bands:
            raise MissingMeasurementError(self.path, "no image of any band", "JPEG 2000 or TIFF files under IMG_DATA/")
        self._offset_applied = _offset_applied(container)
        self._models: dict[int, MapModel] = {}

    @property
    def default_bands(self) -> tuple[str, ...]:
        """Those of 10 m, or where there are none, all."""
        return tuple(band for band in self.bands if _RESOLUTION_M[band] == 10) or self.bands

    def _read_metadata(self) -> tuple[UserProduct, Tile]:
        members = sorted(self._container.members)
        user = next((member for member in members if USER_METADATA.fullmatch(member)), None)
        tiles = [member for member in members if _TILE_METADATA.fullmatch(member)]
        if user is None:
            raise MissingAnnotationError(self.path, "no MTD_MSIL1C.xml or MTD_MSIL2A.xml", "the product's metadata")
        if len(tiles) != 1:
            raise MissingAnnotationError(self.path, f"{len(tiles)} files MTD_TL.xml", "one, of the product's one tile")
        product = parse_user_product(self._container.read_bytes(user), f"{self.path}:{user}")
        tile = parse_tile(self._container.read_bytes(tiles[0]), f"{self.path}:{tiles[0]}")
        square, here = re.search(r"_T(\d{2}[A-Z]{3})_", tile.id), {_tile_of(image) for image in product.images} - {None}
        if square is not None and here and here != {square[1]}:
            raise AnnotationError(
                f"{self.path}:{tiles[0]}", f"tile {square[1]}", f"{', '.join(sorted(map(str, here)))}, as {user} has it"
            )
        return product, tile

    def _find_images(self) -> dict[str, tuple[str, int]]:
        """Member and resolution in metres by band: at its own resolution, or else at the finest there is."""
        found: dict[str, dict[int, str]] = {}
        for member in sorted(self._container.members):
            if not member.lower().endswith(_ENDINGS) or "QI_DATA/" in member:
                continue
            match = re.fullmatch(
                r"(?:.*_)?(?P<band>B\d\d|B8A|AOT|WVP|SCL)(?:_(?P<resolution>[126]0)m)?", PurePosixPath(member).stem
            )
            if match is None:
                continue
            band = match["band"].lower()
            found.setdefault(band, {})[int(match["resolution"] or _own_resolution_m(band))] = member
        images = {}
        for band, members in found.items():
            own_m = _own_resolution_m(band)
            chosen_m = own_m if own_m in members else min(members)
            images[band] = members[chosen_m], chosen_m
        return images

    def _image(self, band: str) -> tuple[str, int]:
        if band in self._images and band != "scl":
            return self._images[band]
        if band in _RESOLUTION_M and any(f"_{band.upper()}" in image for image in self._user.images):
            raise MissingMeasurementError(self.path, f"no image of {band}", "the one that its metadata list")
        names = ", ".join(self.bands + self.extra_bands)
        raise UnknownBandError(self.path, f"no band {band!r} in a Sentinel-2 {self._user.level}", f"one of {names}")

    @property
    def start_time(self) -> datetime | None:
        """When the tile was sensed."""
        return datetime.fromisoformat(self._tile.sensing_time.replace("Z", "+00:00")).astimezone(UTC)

    @property
    def stop_time(self) -> datetime | None:
        """As `start_time`: the metadata have one moment a tile."""
        return self.start_time

    @property
    def footprint(self) -> Float64Array:
        """``(K, 2)`` closed lon/lat ring around what was imaged of the tile, or the tile where that is not said."""
        if self._user.ring is not None:
            return self._user.ring
        return next(iter(self._tile.grids.values())).footprint_lonlat()

    def frame(self, band: str) -> str:
        """``"10m"``, ``"20m"`` or ``"60m"``."""
        return f"{self._image(band)[1]}m"

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> MapModel:
        """The tile's grid at a band's resolution. See `Product.sensor_model`."""
        del slant_to_ground
        return self._model(self._image(self.bands[0] if band is None else band)[1])

    def _model(self, resolution_m: int) -> MapModel:
        if resolution_m not in self._models:
            grid = self._tile.grids.get(resolution_m)
            if grid is None:
                raise AnnotationError(self.path, f"no place of {resolution_m} m pixels", "one in MTD_TL.xml")
            self._models[resolution_m] = MapModel(grid)
        return self._models[resolution_m]

    def open_band(self, band: str) -> BandReader:
        """A reader of a band's pixels.

        Raises
        ------
        UnknownBandError, MissingMeasurementError, TruncatedRasterError, CorruptArchiveError, AnnotationError
        """
        member, resolution_m = self._image(band)
        return self._open(member, resolution_m, self._user.no_data)

    def _open(self, member: str, resolution_m: int, nodata: float | None) -> BandReader:
        where, source = self._container.locate(member), f"{self.path}:{member}"
        reader: BandReader
        if member.lower().endswith(".jp2"):
            reader = Jp2Reader(where, source, nodata)
        else:
            reader = RasterBandReader(where.gdal_path, 1, source, nodata)
        return self._checked(reader, source, self._model(resolution_m))

    def _checked(self, reader: BandReader, source: str, model: MapModel) -> BandReader:
        if (reader.n_lines, reader.n_samples) != (model.n_lines, model.n_samples):
            size = f"{reader.n_lines} x {reader.n_samples} pixels"
            reader.close()
            raise AnnotationError(source, size, f"{model.n_lines} x {model.n_samples} as in the tile's metadata")
        return reader

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Reflectance of the bands, at the top of the atmosphere (L1C) or the ground (L2A)."""
        return ("physical", "dn") if band in _QUANTITIES else ("reflectance", "dn")

    def measure(self, band: str, radiometry: str) -> Measure:
        """Reflectance is written in ten thousandths, from -0.1 on: as baseline 04.00 has it, whatever this one is."""
        if radiometry == "dn":
            return AS_THEY_ARE
        if band in _QUANTITIES:
            gain = 1.0 / (self._user.aerosol_quantification if band == "aot" else self._user.vapour_quantification)
            return Measure(gain, 0.0, _QUANTITIES[band][1], "uint16", 0.0, gain)
        gain, offset = 1.0 / self._user.quantification, 0.0
        if not self._offset_applied:
            offset = self._user.offsets[band] * gain
        return as_reflectance(gain, offset)

    @property
    def extras(self) -> Mapping[str, str]:
        """Scene classification (L2A), detector and quality."""
        return {
            **({"scene_classification": _SCENE_CLASSES} if "scl" in self._images else {}),
            **({"detector": _DETECTORS} if self._masks.has("detector") else {}),
            **({"quality": QUALITY} if self._masks.has("quality") else {}),
        }

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """See `Product.open_extra`."""
        if name == "scene_classification" and "scl" in self._images:
            member, resolution_m = self._images["scl"]
            return self._open(member, resolution_m, None), self._model(resolution_m)
        if name not in MASK_NAMES or not self._masks.has(name):
            raise OptionError(f"{self.path}: extra {name!r} of band {band}: this product has no such image")
        resolution_m = _RESOLUTION_M[band]
        model = self._model(resolution_m)
        left, _, _, top = model.grid.bounds
        to_pixels = on_map(model.grid.epsg, left, top, float(resolution_m))
        reader = self._masks.open(name, band, (model.n_lines, model.n_samples), to_pixels)
        return self._checked(reader, f"{self.path}: {name} of {band}", model), model

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item."""
        grid = next(iter(self._tile.grids.values()))
        time = self.start_time
        assert time is not None
        square = re.search(r"_T(\d{2}[A-Z]{3})_", self._tile.id)
        return {
            "mission": self.mission,
            "geometry": f"on the map ({grid.crs.to_string()})",
            **self._user.facts,
            **self._tile.facts,
            **({"tile": square[1]} if square else {}),
            "start_time": time.isoformat().replace("+00:00", "Z"),
            "stop_time": time.isoformat().replace("+00:00", "Z"),
            "resolutions_m": sorted({resolution_m for _, resolution_m in self._images.values()}),
            "reflectance": f"(pixel {self._user.offsets[self.bands[0]]:+g}) / {self._user.quantification:g}",
            "eo_bands": {band: dict(self._user.eo_bands.get(band, {})) for band in self.bands + self.extra_bands},
        }

    def close(self) -> None:
        """Remove scratch files."""
        self._container.close()


def _own_resolution_m(band: str) -> int:
    return _RESOLUTION_M.get(band, 20 if band == "scl" else _RESOLUTION_OF_QUANTITIES_M)


def _tile_of(image: str) -> str | None:
    match = re.search(r"(?:^|/|_)T(\d{2}[A-Z]{3})_", image)
    return match[1] if match else None


def _offset_applied(container: ProductContainer) -> bool:
    """Whether pixels come without the offset that the metadata tell of: some archives of GeoTIFF take it off.

    Source: Earth Search's STAC Items, property ``earthsearch:boa_offset_applied``.
    """
    for member in container.members:
        if "/" in member or not member.endswith(".json"):
            continue
        try:
            item = json.loads(container.read_bytes(member))
        except ValueError:
            continue
        if isinstance(item, dict) and item.get("properties", {}).get("earthsearch:boa_offset_applied") is True:
            return True
    return False
