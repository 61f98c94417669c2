"""Sentinel-3 OLCI L1B: radiances of 21 bands at full (EFR) or reduced resolution (ERR)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import AnnotationError, MissingMeasurementError, OptionError, UnknownBandError
from orthokernel.geolocation import APART, GeolocationModel, Positions
from orthokernel.measure import AS_THEY_ARE, Measure
from orthokernel.netcdf import Variable
from orthokernel.product import BandReader
from orthokernel.sensor import SensorModel
from orthokernel.sentinel3.files import Sentinel3Product
from orthokernel.sentinel3.flags import mark_apart, quality_of
from orthokernel.sentinel3.manifest import Manifest
from orthokernel.sentinel3.readers import ArrayReader, MaskedReader, PowerOfTenReader

Float64Array = NDArray[np.float64]

_GEO: Final = "geo_coordinates.nc"
_FLAGS: Final = "qualityFlags.nc"
_REMOVED: Final = "removed_pixels.nc"
_BANDS: Final = tuple(f"oa{k:02d}" for k in range(1, 22))
_BAND: Final = re.compile(r"oa(\d\d)(_unc)?")
_ANGLES: Final = {"sun_zenith": "SZA", "sun_azimuth": "SAA", "view_zenith": "OZA", "view_azimuth": "OAA"}
_QUALITY: Final = (
    "0: no data; bit 0 looked at, bit 1 invalid, bit 2 cosmetic, bit 3 duplicated, bit 4 saturated in any band, "
    "bit 5 sun glint risk, bit 6 bright, bit 7 land"
)
_INVALID, _DUPLICATED = 2, 8
_MASKS: Final = {
    "invalid": 1 << 25, "cosmetic": 1 << 24, "duplicated": 1 << 23, "saturated": 2**21 - 1, "sun_glint_risk": 1 << 22,
    "bright": 1 << 27, "land": 1 << 31,
}  # fmt: skip
"""Of ``quality_flags``, where the file does not name them. Source: PDS 004.1, quality flags file."""


class OlciProduct(Sentinel3Product):
    """See `orthokernel.product.Product`.

    Bands are ``oa01`` to ``oa21``, radiances; extra bands ``oa01_unc`` and so on their uncertainties, where the product
    has them (since baseline collection 003). Pixels flagged invalid are no data. Pixels that repeat another
    (duplicated) have its place, so that the quad between them is empty; one that has not is never interpolated from.
    Measurements that were removed from the image (`removed_pixels.nc`) are counted, and not used: another measurement
    has their pixel.

    Raises
    ------
    MissingAnnotationError, MissingMeasurementError, TruncatedRasterError
    """

    def __init__(self, container: ProductContainer, manifest: Manifest) -> None:
        super().__init__(container, manifest)
        self.bands = tuple(band for band in _BANDS if self._member(band) in container.members)
        self.extra_bands = tuple(
            f"{band}_unc" for band in _BANDS if self._member(f"{band}_unc") in container.members
        )  # fmt: skip
        if not self.bands:
            raise MissingMeasurementError(self.path, "no radiances", "Oa01_radiance.nc to Oa21_radiance.nc")
        geo = self._file(_GEO)
        shape = geo.variable("latitude").shape
        if len(shape) != 2:
            raise AnnotationError(geo.source, f"latitudes of {len(shape)} dimensions", "lines and samples")
        self._shape = shape[0], shape[1]
        self._quality_flags: NDArray[np.uint8] | None = None
        self._model: GeolocationModel | None = None

    @property
    def default_bands(self) -> tuple[str, ...]:
        """Those near red, green and blue, or where one is missing, all."""
        wanted = ("oa08", "oa06", "oa04")
        return wanted if set(wanted) <= set(self.bands) else self.bands

    @staticmethod
    def _member(band: str) -> str:
        return f"Oa{band[2:4]}_radiance{band[4:]}.nc"

    def _known(self, band: str) -> str:
        """A band of this product."""
        if band not in self.bands + self.extra_bands:
            if band in _BANDS or self._member(band) in self._manifest.files:
                raise MissingMeasurementError(self.path, f"no {self._member(band)}", f"the pixels of band {band}")
            names = ", ".join(self.bands + self.extra_bands)
            raise UnknownBandError(self.path, f"no band {band!r} in an OLCI product", f"one of {names}")
        return band

    def _of(self, band: str) -> Variable:
        member = self._member(self._known(band))
        return self._variable(member, member.removesuffix(".nc"), band)

    def frame(self, band: str) -> str:
        """One for all."""
        del band
        return "olci"

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> GeolocationModel:
        """The places of the pixels, the same for all bands. See `Product.sensor_model`.

        Raises
        ------
        GeolocationError
            No pixel has one.
        """
        del slant_to_ground
        if band is not None:
            self._known(band)
        with self._lock:
            if self._model is None:
                self._model = self._make_model()
            return self._model

    def _make_model(self) -> GeolocationModel:
        file = self._file(_GEO)
        lat, lon = file.variable("latitude"), file.variable("longitude")
        pixels = [file.read(name, self._threads) for name in ("latitude", "longitude")]
        positions = Positions(pixels[0], pixels[1], lat.scale, lon.scale, lat.fill)
        marks = np.zeros(self._shape, np.uint8)
        some = mark_apart(self._quality(), _DUPLICATED, pixels[0], pixels[1], APART, marks)
        return GeolocationModel(positions, file.source, marks if some else None, threads=self._threads)

    def _quality(self) -> NDArray[np.uint8]:
        """The bits of `quality`, of all pixels."""
        with self._lock:
            if self._quality_flags is None:
                with self._open_image(_FLAGS, "quality_flags", "quality", self._shape) as reader:
                    variable, flags = reader.variable, reader.read(0, self._shape[0], 0, self._shape[1])
                masks = [variable.flag(name, default) for name, default in _MASKS.items()]
                saturated = [variable.flag(f"saturated_Oa{k:02d}") for k in range(1, 22)]
                if any(saturated):
                    masks[3] = int(np.bitwise_or.reduce(saturated))
                self._quality_flags = quality_of(flags, masks, self._threads)
            return self._quality_flags

    def open_band(self, band: str) -> BandReader:
        """A reader of a band's pixels.

        Raises
        ------
        UnknownBandError, MissingMeasurementError, TruncatedRasterError, AnnotationError
        """
        member = self._member(self._known(band))
        reader: BandReader = self._open_image(member, member.removesuffix(".nc"), band, self._shape)
        variable = self._of(band)
        if _is_logarithm(variable):
            reader = PowerOfTenReader(reader, variable.scale, variable.shift)
        nodata = reader.nodata
        if nodata is None:
            nodata = float(np.iinfo(reader.dtype).max) if reader.dtype.kind == "u" else float("nan")
        if reader.dtype.kind in "iu" and not np.can_cast(np.min_scalar_type(int(nodata)), reader.dtype):
            return reader
        return MaskedReader(reader, self._quality(), _INVALID, nodata)

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Radiance, or the pixels as they are; uncertainties kept as logarithms are always made values."""
        return ("physical",) if band in self.extra_bands and _is_logarithm(self._of(band)) else ("physical", "dn")

    def measure(self, band: str, radiometry: str) -> Measure:
        """Radiance in mW / (m2 sr nm)."""
        if radiometry == "dn":
            return AS_THEY_ARE
        variable = self._of(band)
        unit = str(variable.attributes.get("units", "")) or None
        if _is_logarithm(variable):
            assert unit is not None
            return Measure(unit=unit[unit.index("(") + 1 :].removeprefix("re ").rstrip(")"))
        return Measure(variable.scale, variable.shift, unit)

    @property
    def extras(self) -> Mapping[str, str]:
        """Quality."""
        return {"quality": _QUALITY} if _FLAGS in self._container.members else {}

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """See `Product.open_extra`."""
        if name != "quality":
            raise OptionError(f"{self.path}: extra {name!r} of band {band}: an OLCI product has no such raster")
        return ArrayReader(self._quality()), self.sensor_model()

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item."""
        removed = 0
        if _REMOVED in self._container.members:
            file = self._file(_REMOVED)
            removed = int(np.prod(file.variable("latitude").shape)) if "latitude" in file.names else 0
        eo = self._manifest.eo_bands
        return {
            "mission": self.mission,
            "geometry": "a place for each pixel",
            **self._manifest.facts,
            **self._sun_and_view("tie_geometries.nc", _ANGLES),
            "n_lines": self._shape[0],
            "n_samples": self._shape[1],
            "removed_pixels": removed,
            "bands": list(self.bands),
            "extras": list(self.extras),
            "eo_bands": {band: dict(eo.get(band[:4], {})) for band in self.bands + self.extra_bands},
        }


def _is_logarithm(variable: Variable) -> bool:
    """Uncertainties may come as decimal logarithms, which their unit says: ``lg(re mW.m-2.sr-1.nm-1)``."""
    return str(variable.attributes.get("units", "")).startswith("lg(")
