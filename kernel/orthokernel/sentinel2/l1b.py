"""A Sentinel-2 L1B product: the detectors' images of a datastrip, in sensor geometry."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer, open_container
from orthokernel.errors import (
    AnnotationError,
    MissingAnnotationError,
    MissingGippError,
    MissingMeasurementError,
    OptionError,
    UnknownBandError,
)
from orthokernel.jp2 import Jp2Reader
from orthokernel.measure import AS_THEY_ARE, Measure, as_reflectance
from orthokernel.product import BandReader, PlainProduct, ProductPart
from orthokernel.result import convex_hull
from orthokernel.sentinel2.bands import BANDS, Band, band_of
from orthokernel.sentinel2.bulletin import orientation_from
from orthokernel.sentinel2.calibration import RADIANCE_UNIT
from orthokernel.sentinel2.datastrip import Datastrip, read_datastrip
from orthokernel.sentinel2.detector import DetectorPart
from orthokernel.sentinel2.gipp import Gipp
from orthokernel.sentinel2.granules import Granule, read_granules
from orthokernel.sentinel2.masks import QUALITY, in_image
from orthokernel.sentinel2.metadata import COMMON_NAMES
from orthokernel.sentinel2.pushbroom import PushbroomModel
from orthokernel.sentinel2.strip import Piece, StripReader
from orthokernel.sentinel2.sun import Sun
from orthokernel.sentinel2.table import known_lines, line_table

Float64Array = NDArray[np.float64]

METADATA: Final = re.compile(r"DATASTRIP/[^/]+/[^/]*_MTD_L1B_DS_[^/]*\.xml")
_MARGIN_M: Final = 12_000
"""By which a table goes on beyond its lines, so that a lattice's cells across the edge stay exact."""
_FINEST_M: Final = 10
_BESIDE_S: Final = 15.0
"""By which bands and detectors see a place before or after others, and more."""


def open_l1b(
    path: Path, gipp: str | os.PathLike[str] | None = None, iers: str | os.PathLike[str] | None = None
) -> L1BProduct:
    """Open a product: a folder or zip with ``DATASTRIP`` and ``GRANULE``.

    Parameters
    ----------
    path : Path
    gipp, iers : path, optional
        See `orthokernel.product.open_product`.

    Raises
    ------
    ProductError
        See `L1BProduct`.
    """
    container = open_container(path)
    try:
        return L1BProduct(container, gipp, iers)
    except BaseException:
        container.close()
        raise


class L1BProduct(PlainProduct):
    """See `orthokernel.product.Product`. Each band is a frame of its own: no two look the same way.

    Parameters
    ----------
    container : ProductContainer
    gipp : path, optional
        Folder of the instrument's parameters. Default: a folder whose name begins with GIPP, in the product or beside
        it.
    iers : path, optional
        A Bulletin A, for the Earth's orientation instead of the datastrip's own.

    Raises
    ------
    MissingAnnotationError, AnnotationError, MismatchedGranulesError, MissingDetectorError
    MissingGippError, GippValidityError, BulletinError
    """

    mission: Literal["sentinel-2"] = "sentinel-2"

    def __init__(
        self,
        container: ProductContainer,
        gipp: str | os.PathLike[str] | None = None,
        iers: str | os.PathLike[str] | None = None,
    ) -> None:
        self._container, self.path = container, container.path
        self.datastrip = _read_datastrip(container, None if iers is None else Path(iers))
        self._iers = None if iers is None else Path(iers).name
        self.granules = read_granules(container, self.datastrip)
        self._gipp = Gipp(_gipp_folder(container.path, gipp, self.datastrip), self.datastrip)
        self.id = container.name if container.name.startswith("S2") else self.datastrip.id
        self.detectors = tuple(dict.fromkeys(granule.detector for granule in self.granules))
        with_images = {band for granule in self.granules for band in granule.images}
        every = [band.name.lower() for band in BANDS]
        # Without any image it is good for its geometry all the same.
        self.bands = tuple(band for band in every if band in with_images or not with_images)
        self._models: dict[tuple[str, str, tuple[int, int]], PushbroomModel] = {}
        self._parts = [DetectorPart(self, detector) for detector in self.detectors]

    @property
    def default_bands(self) -> tuple[str, ...]:
        """Those of 10 m, or where there are none, all."""
        return tuple(b for b in self.bands if band_of(b, self.path).resolution_m == _FINEST_M) or self.bands

    @property
    def parts(self) -> Sequence[ProductPart]:
        """The detectors."""
        return self._parts

    @property
    def start_time(self) -> datetime:
        """Of the datastrip."""
        return self.datastrip.start_utc.astype(datetime).replace(tzinfo=UTC)  # type: ignore[no-any-return]

    @property
    def stop_time(self) -> datetime:
        """Of the datastrip."""
        return self.datastrip.stop_utc.astype(datetime).replace(tzinfo=UTC)  # type: ignore[no-any-return]

    @property
    def footprint(self) -> Float64Array:
        """``(K, 2)`` closed lon/lat ring: the hull of the granules' footprints."""
        places = np.concatenate([granule.ring for granule in self.granules])
        first = places[0, 0]
        lon = first + np.mod(places[:, 0] - first + 180.0, 360.0) - 180.0
        hull = np.array(convex_hull(sorted(zip(lon.tolist(), places[:, 1].tolist(), strict=True))))
        ring = np.concatenate([hull, hull[:1]])
        ring[:, 0] = np.mod(ring[:, 0] + 180.0, 360.0) - 180.0
        return ring

    def frame(self, band: str) -> str:
        """The band itself."""
        return self._band(band).name.lower()

    def sensor_model(
        self,
        band: str | None = None,
        *,
        slant_to_ground: Literal["linear", "nearest"] = "linear",
        detector: str | int | None = None,
        granule: str | None = None,
    ) -> PushbroomModel:
        """The rigorous model of one detector's image of a band; ``line`` is 0-based in that of the whole datastrip.

        Parameters
        ----------
        band : str, optional
            The first where None.
        detector : str or int, optional
            Such as "07". Default: the granule's, or the one in the middle of those there are.
        granule : str, optional
            A granule's name, with or without its ending of the baseline: the model is that of its lines. Default: of
            all lines from the detector's first granule to its last.

        Raises
        ------
        UnknownBandError, MissingGippError, GippValidityError, AnnotationError
        OptionError
            There is no such detector or granule here.
        """
        del slant_to_ground
        own = self._band(self.bands[0] if band is None else band)
        if granule is not None:
            one = self._granule(granule, detector)
            return self._model(own, one.detector, one.lines(own))
        chosen = self.detectors[len(self.detectors) // 2] if detector is None else self._detector(detector)
        return self._model(own, chosen, self.lines_of(own, chosen))

    def _model(self, band: Band, detector: str, lines: tuple[int, int]) -> PushbroomModel:
        key = band.name, detector, lines
        if key not in self._models:
            margin = _MARGIN_M // band.resolution_m
            reach = known_lines(self.datastrip, band, detector)
            wide = max(lines[0] - margin, min(lines[0], reach[0])), min(lines[1] + margin, max(lines[1], reach[1]))
            model = PushbroomModel(line_table(self.datastrip, self._gipp, band, detector, wide), lines)
            for granule in self.granules:
                if granule.detector == detector and granule.size(band)[1] != model.n_samples:
                    raise AnnotationError(
                        granule.id,
                        f"{granule.size(band)[1]} samples of {band.name}",
                        f"{model.n_samples}, as detector {detector} has viewing directions",
                    )
            self._models[key] = model
        return self._models[key]

    def lines_of(self, band: Band, detector: str) -> tuple[int, int]:
        """First line, and that after the last, that granules of a detector are there for."""
        lines = [granule.lines(band) for granule in self.granules if granule.detector == detector]
        return min(first for first, _ in lines), max(stop for _, stop in lines)

    def _band(self, band: str) -> Band:
        found = band_of(band, self.path)
        if found.name.lower() not in self.bands:
            raise UnknownBandError(self.path, f"no image of {found.name}", f"one of {', '.join(self.bands)}")
        return found

    def _detector(self, detector: str | int) -> str:
        name = f"{int(detector):02d}" if str(detector).isdecimal() else str(detector)
        if name not in self.detectors:
            raise OptionError(f"{self.path}: detector {detector!r}: expected one of {', '.join(self.detectors)}")
        return name

    def _granule(self, name: str, detector: str | int | None) -> Granule:
        found = [one for one in self.granules if name in (one.id, re.sub(r"_N\d\d\.\d\d$", "", one.id))]
        if not found:
            raise OptionError(f"{self.path}: granule {name!r}: expected the name of one that is there")
        if detector is not None and self._detector(detector) != found[0].detector:
            raise OptionError(f"{self.path}: granule {name} with detector {detector}: it is of {found[0].detector}")
        return found[0]

    def open_band(self, band: str) -> BandReader:
        """A band's pixels of the detector that `sensor_model` takes by itself, from its first line there is on.

        Raises
        ------
        UnknownBandError, MissingMeasurementError
        """
        return self._parts[len(self._parts) // 2].open_band(band)

    def open_detector(self, band: str, detector: str) -> StripReader:
        """A band's pixels of a detector, from its first line there is on. Raises as `open_band`."""
        own = self._band(band)
        granules = [granule for granule in self.granules if granule.detector == detector]
        first, stop = self.lines_of(own, detector)
        pieces = []
        for granule in granules:
            member = granule.images.get(own.name.lower())
            if member is None:
                raise MissingMeasurementError(
                    self.path, f"no image of {own.name} in granule {granule.id}", "its JPEG 2000 under IMG_DATA/"
                )
            lines, source = granule.lines(own), f"{self.path}:{member}"
            opener = partial(Jp2Reader, self._container.locate(member), source, 0.0)
            pieces.append(Piece(lines[0] - first, lines[1] - first, source, opener))
        return StripReader(pieces, stop - first, self._model(own, detector, (first, stop)).n_samples)

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Reflectance at the top of the atmosphere, radiance, counts: what the datastrip has figures for."""
        name, calibration = self._band(band).name.lower(), self.datastrip.calibration
        if name not in calibration.gains:
            return ("dn",)
        return ("reflectance", "physical", "dn") if name in calibration.irradiance else ("physical", "dn")

    def measure(self, band: str, radiometry: str) -> Measure:
        """Reflectance is written as that of L1C is; its pixels are still to be divided (`DetectorPart.sun`)."""
        name, calibration = self._band(band).name.lower(), self.datastrip.calibration
        if radiometry == "reflectance":
            return as_reflectance(*calibration.reflectance_at_zenith(name))
        if radiometry == "physical":
            return Measure(*calibration.radiance(name), RADIANCE_UNIT)
        return Measure(AS_THEY_ARE.gain, AS_THEY_ARE.offset, None, "uint16", 0.0)

    @cached_property
    def sun(self) -> Sun:
        """The sun's place while the datastrip was sensed."""
        strip = self.datastrip
        half_s = 0.5 * float((strip.stop_utc - strip.start_utc) / np.timedelta64(1, "us")) * 1e-6 + _BESIDE_S
        return Sun(strip.orientation, strip.jd_day, (strip.middle_s - half_s, strip.middle_s + half_s))

    def open_mask(self, name: str, band: str, detector: str) -> StripReader:
        """A mask of a band of a detector, as `open_detector`.

        Raises
        ------
        UnknownBandError, MissingMeasurementError, MissingAnnotationError, AnnotationError
        """
        own = self._band(band)
        first, stop = self.lines_of(own, detector)
        pieces = []
        for granule in self.granules:
            if granule.detector == detector:
                lines = granule.lines(own)
                to_pixels = in_image(lines[1] - lines[0], lines[0])
                opener = partial(granule.masks.open, name, own.name.lower(), granule.size(own), to_pixels)
                pieces.append(Piece(lines[0] - first, lines[1] - first, f"{granule.id}: {name} of {own.name}", opener))
        return StripReader(
            pieces, stop - first, self._model(own, detector, (first, stop)).n_samples, np.dtype(np.uint8)
        )

    @property
    def extras(self) -> Mapping[str, str]:
        """Which detector has given a pixel, and where there are masks, what is wrong with it."""
        masked = any(granule.masks.has("quality") for granule in self.granules)
        return {
            "detector": "0: no data; number of the detector that all bands of the pixel are from",
            **({"quality": QUALITY} if masked else {}),
        }

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item."""
        sun = _mean_direction([granule.sun for granule in self.granules if granule.sun is not None])
        view = [granule.view[0] for granule in self.granules if granule.view is not None]
        orientation = self.datastrip.orientation
        return {
            "mission": self.mission,
            "geometry": "pushbroom",
            **self.datastrip.facts,
            "start_time": _written(self.start_time),
            "stop_time": _written(self.stop_time),
            **({} if sun is None else {"sun_elevation_deg": 90.0 - sun[0], "sun_azimuth_deg": sun[1]}),
            **({"view_incidence_deg": float(np.mean(view))} if view else {}),
            "datastrip": self.datastrip.id,
            "detectors": [int(detector) for detector in self.detectors],
            "granules": [granule.id for granule in self.granules],
            "gipp": dict(self._gipp.used),
            "earth_orientation": {
                "source": self._iers or "datastrip",
                "ut1_minus_utc_s": orientation.ut1_minus_utc_s,
                "pole_x_arcsec": orientation.pole_x_arcsec,
                "pole_y_arcsec": orientation.pole_y_arcsec,
            },
            "eo_bands": {band: {"common_name": COMMON_NAMES[band]} for band in self.bands},
        }

    def close(self) -> None:
        """Remove scratch files."""
        self._container.close()


def _read_datastrip(container: ProductContainer, iers: Path | None) -> Datastrip:
    found = sorted(member for member in container.members if METADATA.fullmatch(member))
    if len(found) != 1:
        raise MissingAnnotationError(
            container.path, f"{len(found)} files of datastrip metadata", "one, DATASTRIP/*/*_MTD_L1B_DS_*.xml"
        )
    datastrip = read_datastrip(container.read_bytes(found[0]), f"{container.path}:{found[0]}")
    if iers is None:
        return datastrip
    middle = datastrip.start_utc + (datastrip.stop_utc - datastrip.start_utc) / 2
    return replace(datastrip, orientation=orientation_from(iers, middle, datastrip.orientation))


def _gipp_folder(path: Path, given: str | os.PathLike[str] | None, datastrip: Datastrip) -> Path:
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise MissingGippError(folder, "no such folder", "one of GIPP files")
        return folder
    for where in (path, path.resolve().parent):
        if not where.is_dir():
            continue
        for folder in sorted(where.iterdir()):
            if folder.is_dir() and folder.name.upper().startswith("GIPP"):
                return folder
    raise MissingGippError(
        path,
        "no folder GIPP in it or beside it",
        f"the instrument's parameters of {datastrip.satellite}, which are no part of a product: give their folder "
        "(gipp=, --gipp)",
    )


def _mean_direction(angles: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Mean zenith angle and azimuth in degrees."""
    if not angles:
        return None
    zenith, azimuth = np.array(angles).T
    east, north = np.sin(np.radians(azimuth)).mean(), np.cos(np.radians(azimuth)).mean()
    return float(zenith.mean()), float(np.degrees(np.arctan2(east, north)) % 360.0)


def _written(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
