"""A Sentinel-1 GRD product: which files belong together, and what they say."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orthocontracts.products import ProductNameError, parse_sentinel1
from orthokernel.container import ProductContainer, open_container
from orthokernel.errors import (
    MissingAnnotationError,
    MissingMeasurementError,
    ProductError,
    UnknownBandError,
    UnsupportedProductError,
)
from orthokernel.measure import AS_THEY_ARE, Measure
from orthokernel.product import SUPPORTED, BandReader, PlainProduct
from orthokernel.sensor import SensorModel
from orthokernel.sentinel1.annotation import Annotation, GeolocationGrid, parse_annotation
from orthokernel.sentinel1.calibration import CalibrationTable, parse_calibration
from orthokernel.sentinel1.manifest import Manifest, parse_manifest
from orthokernel.sentinel1.noise import ThermalNoise, lut_factor, parse_noise, version_number
from orthokernel.sentinel1.orbit_folder import take_orbit
from orthokernel.sentinel1.quicklook import QuicklookModel, QuicklookReader
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sentinel1.raster import check_measurement, open_measurement

Float64Array = NDArray[np.float64]

QUICKLOOK = "quicklook"
QUICKLOOK_MEMBER = "preview/quick-look.png"
MANIFEST_MEMBER = "manifest.safe"

_FILE = re.compile(
    r"(?P<folder>annotation|measurement)/"
    r"s1[a-d]-[a-z0-9]+-(?P<type>grd|slc|ocn|raw)-(?P<polarisation>hh|hv|vh|vv)-[-a-z0-9]+\.(xml|tiff?)",
    re.IGNORECASE,
)
"""Source: "Sentinel-1 Product Specification", S1-RS-MDA-52-7441, section 3.4.2; ``-cog``: products of 2023 on."""

_CALIBRATION = re.compile(
    r"annotation/calibration/(?P<kind>calibration|noise)-s1[a-d]-[a-z0-9]+-grd-(?P<polarisation>hh|hv|vh|vv)-[-a-z0-9]+\.xml",
    re.IGNORECASE,
)


def open_sentinel1(path: Path, orbits: str | os.PathLike[str] | None = None) -> Sentinel1Product:
    """Open a SAFE folder or zip.

    Parameters
    ----------
    path : Path
    orbits : path, optional
        An orbit file, or a folder with some, that replaces the annotated orbit: see `take_orbit`.

    Raises
    ------
    UnsupportedProductError
        Not Sentinel-1, or not a GRD.
    UnsafeArchiveError, CorruptArchiveError
        A zip that must not or cannot be unpacked.
    MissingAnnotationError, MissingMeasurementError
        Without manifest or annotation, or with neither a measurement nor a quick-look.
    TruncatedRasterError
        A measurement is cut off (looked at here unless it is deflated in a zip; then in `open_band`).
    UnsafeXmlError, MalformedXmlError, AnnotationError
        The metadata is damaged.
    OrbitError
        No orbit file fits, or it is damaged.
    """
    container = open_container(path)
    try:
        return Sentinel1Product(container, orbits)
    except BaseException:
        container.close()
        raise


class Sentinel1Product(PlainProduct):
    """See `orthokernel.product.Product`; made by `open_sentinel1`."""

    mission: Literal["sentinel-1"] = "sentinel-1"

    def __init__(self, container: ProductContainer, orbits: str | os.PathLike[str] | None = None) -> None:
        self._container = container
        self.path = container.path
        self.id = container.name
        self._manifest = self._read_manifest()
        version = version_number(self._manifest.ipf_version)
        # The older processors left low noise, not zeros, where nothing was imaged.
        self.has_border_noise = version is not None and version < 2.9
        annotations, self._measurements = self._find_files()
        self._annotations: dict[str, Annotation] = {
            band: parse_annotation(container.read_bytes(member), f"{self.path}:{member}")
            for band, member in sorted(annotations.items(), key=_polarisation_order)
        }
        self.bands = tuple(self._annotations)
        self._orbit_source: dict[str, str | None] = {"kind": "annotation", "file": None}
        if orbits is not None:
            self._take_orbit(orbits)
        self._models: dict[tuple[str, str], RangeDopplerModel] = {}
        self._calibrations: dict[str, CalibrationTable] = {}
        self.extra_bands = (QUICKLOOK,) if QUICKLOOK_MEMBER in container.members else ()
        if not self._measurements and not self.extra_bands:
            raise MissingMeasurementError(self.path, "no TIFF under measurement/", "one for each annotation")
        for member in self._measurements.values():
            if container.is_in_place(member):
                check_measurement(container.locate(member), f"{self.path}:{member}")

    def _take_orbit(self, orbits: str | os.PathLike[str]) -> None:
        """Replace the annotated state vectors by those of an orbit file."""
        annotations = self._annotations.values()
        start_utc = min(annotation.first_line_time_utc for annotation in annotations)
        stop_utc = max(annotation.last_line_time_utc for annotation in annotations)
        orbit = take_orbit(orbits, self._first.mission_id, start_utc, stop_utc)
        for band, annotation in self._annotations.items():
            self._annotations[band] = replace(annotation, orbit=orbit.since(annotation.first_line_time_utc))
        self._orbit_source = {"kind": orbit.kind, "file": orbit.name}

    def _read_manifest(self) -> Manifest:
        members = self._container.members
        if MANIFEST_MEMBER not in members:
            looks_right = self.id.upper().startswith("S1") or any(_FILE.fullmatch(member) for member in members)
            kind: type[ProductError] = MissingAnnotationError if looks_right else UnsupportedProductError
            raise kind(self.path, "no manifest.safe", SUPPORTED)
        source = f"{self.path}:{MANIFEST_MEMBER}"
        manifest = parse_manifest(self._container.read_bytes(MANIFEST_MEMBER), source)
        if manifest.family and manifest.family.upper() != "SENTINEL-1":
            raise UnsupportedProductError(self.path, f"a product of {manifest.family}", SUPPORTED)
        return manifest

    def _find_files(self) -> tuple[dict[str, str], dict[str, str]]:
        """Annotation and measurement members by polarisation."""
        found: dict[str, dict[str, str]] = {"annotation": {}, "measurement": {}}
        for member in sorted(self._container.members):
            match = _FILE.fullmatch(member)
            if match is None:
                continue
            kind = match["type"].upper()
            if kind != "GRD":
                raise UnsupportedProductError(self.path, f"a Sentinel-1 {kind} product", SUPPORTED)
            found[match["folder"].lower()][match["polarisation"].lower()] = member
        annotations, measurements = found["annotation"], found["measurement"]
        if not annotations:
            raise MissingAnnotationError(self.path, "no file annotation/s1*.xml", "one for each polarisation")
        lone = sorted(set(measurements) - set(annotations))
        if lone:
            raise MissingAnnotationError(self.path, f"{measurements[lone[0]]} without annotation", "one beside it")
        return annotations, measurements

    @property
    def start_time(self) -> datetime | None:
        """UTC time of the first line."""
        return min(_as_datetime(annotation.start_time_utc) for annotation in self._annotations.values())

    @property
    def stop_time(self) -> datetime | None:
        """UTC time of the last line."""
        return max(_as_datetime(annotation.stop_time_utc) for annotation in self._annotations.values())

    @property
    def footprint(self) -> Float64Array:
        """``(K, 2)`` closed lon/lat ring through the border of the annotated geolocation grid."""
        return _footprint(self._first.geolocation)

    @property
    def _first(self) -> Annotation:
        return self._annotations[self.bands[0]]

    def _annotation(self, band: str) -> Annotation:
        if band not in self._annotations:
            raise UnknownBandError(self.path, f"no band {band!r}", f"one of {', '.join(self.bands + self.extra_bands)}")
        return self._annotations[band]

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> SensorModel:
        """The range-Doppler model of a band, the first where None. See `Product.sensor_model`."""
        if band == QUICKLOOK and self.extra_bands:
            reader = self._open_quicklook()
            return QuicklookModel(self._model(self.bands[0], slant_to_ground), reader.n_lines, reader.n_samples)
        return self._model(self.bands[0] if band is None else band, slant_to_ground)

    def _model(self, band: str, slant_to_ground: Literal["linear", "nearest"]) -> RangeDopplerModel:
        key = (band, slant_to_ground)
        if key not in self._models:
            self._models[key] = RangeDopplerModel(self._annotation(band), slant_to_ground)
        return self._models[key]

    def open_band(self, band: str) -> BandReader:
        """A reader of a polarisation's digital numbers, or of ``"quicklook"``.

        Raises
        ------
        UnknownBandError, MissingMeasurementError, TruncatedRasterError, CorruptArchiveError, AnnotationError
        """
        if band == QUICKLOOK and self.extra_bands:
            return self._open_quicklook()
        annotation = self._annotation(band)
        member = self._measurements.get(band)
        if member is None:
            raise MissingMeasurementError(
                self.path, f"no measurement of {band}", f"measurement/{Path(annotation.source).stem}.tiff"
            )
        source = f"{self.path}:{member}"
        return open_measurement(self._container.locate(member), source, annotation.n_lines, annotation.n_samples)

    def _open_quicklook(self) -> QuicklookReader:
        return QuicklookReader(self._container.read_bytes(QUICKLOOK_MEMBER), f"{self.path}:{QUICKLOOK_MEMBER}")

    def frame(self, band: str) -> str:
        """Polarisations are registered to each other; the quick-look is an image of its own."""
        return QUICKLOOK if band == QUICKLOOK else ""

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Backscatter, and pixels as they are."""
        return ("dn",) if band == QUICKLOOK else ("sigma0", "beta0", "gamma0", "gamma0_rtc", "dn")

    def measure(self, band: str, radiometry: str) -> Measure:
        """Power as floats, and pixels as they are."""
        del band
        return AS_THEY_ARE if radiometry == "dn" else Measure()

    def calibration(self, band: str) -> CalibrationTable | None:
        """The calibration vectors of a polarisation; None for the quick-look.

        Raises
        ------
        UnknownBandError, MissingAnnotationError, AnnotationError
        """
        if band == QUICKLOOK and self.extra_bands:
            return None
        member = self._calibration_member(band, "calibration")
        if member is None:
            raise MissingAnnotationError(self.path, f"no calibration of {band}", "one under annotation/calibration/")
        if band not in self._calibrations:
            self._calibrations[band] = parse_calibration(self._container.read_bytes(member), f"{self.path}:{member}")
        return self._calibrations[band]

    def noise(self, band: str) -> ThermalNoise:
        """The thermal noise in a polarisation's pixels, in DN ** 2, or why there is none to subtract.

        Raises
        ------
        UnknownBandError, MissingAnnotationError, AnnotationError
        """
        if band == QUICKLOOK and self.extra_bands:
            return ThermalNoise(None, "a quick-look has no noise vectors")
        if self._annotation(band).thermal_noise_removed:
            return ThermalNoise(None, "the product comes without its noise")
        member = self._calibration_member(band, "noise")
        if member is None:
            return ThermalNoise(None, "the product has no noise vectors")
        table = parse_noise(self._container.read_bytes(member), f"{self.path}:{member}")
        if table.is_zero:
            return ThermalNoise(None, "the product's noise vectors are zero")
        calibration = self.calibration(band)
        assert calibration is not None
        mode, version = self._annotation(band).mode, self._manifest.ipf_version
        factor = lut_factor(version, mode, float(calibration.dn[0, 0]))
        if factor is None:
            return ThermalNoise(None, f"the scaling of {mode} noise vectors by IPF {version} is not documented")
        return ThermalNoise(table.scaled(factor))

    def _calibration_member(self, band: str, kind: str) -> str | None:
        self._annotation(band)
        matches = (_CALIBRATION.fullmatch(member) for member in sorted(self._container.members))
        found = [
            match[0]
            for match in matches
            if match and match["polarisation"].lower() == band and match["kind"].lower() == kind
        ]
        return found[0] if found else None

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item. Keys without a value in this product are left out."""
        first = self._first
        facts = {
            "mission": self.mission,
            "geometry": "range-Doppler",
            "constellation": "sentinel-1",
            "platform": f"sentinel-1{first.mission_id[-1].lower()}",
            "instruments": ["c-sar"],
            "product_type": "GRD",
            "mode": first.mode,
            "swath": first.swath,
            "resolution_class": self._resolution_class(),
            "polarisations": [band.upper() for band in self.bands],
            "orbit_direction": first.direction,
            "absolute_orbit": first.absolute_orbit,
            "relative_orbit": self._manifest.relative_orbit,
            "orbit_source": dict(self._orbit_source),
            "datatake_id": first.datatake_id,
            "slice_number": self._manifest.slice_number,
            "total_slices": self._manifest.total_slices,
            "ipf_version": self._manifest.ipf_version,
            "processing_facility": self._manifest.facility,
            "processed_time": f"{self._manifest.processed_utc}Z" if self._manifest.processed_utc else None,
            "annotated_orbit_file": self._manifest.orbit_file,
            "timeliness": self._manifest.timeliness,
            "start_time": f"{first.start_time_utc}Z",
            "stop_time": f"{first.stop_time_utc}Z",
            "n_lines": first.n_lines,
            "n_samples": first.n_samples,
            "line_spacing_m": first.line_spacing_m,
            "sample_spacing_m": first.sample_spacing_m,
            "looks": {swath: {"range": n, "azimuth": m} for swath, (n, m) in first.looks.items()} or None,
            "heading_deg": first.heading_deg,
            "radar_frequency_hz": first.radar_frequency_hz,
            "incidence_near_deg": float(first.geolocation.incidence_deg.min()),
            "incidence_mid_swath_deg": first.incidence_mid_swath_deg,
            "incidence_far_deg": float(first.geolocation.incidence_deg.max()),
            "looking": "right",
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _resolution_class(self) -> str | None:
        """``"full"``, ``"high"`` or ``"medium"``: only the product's name says it; None where it was renamed."""
        try:
            name = parse_sentinel1(self.id)
        except ProductNameError:
            return None
        return {"F": "full", "H": "high", "M": "medium"}.get(name.product_type[-1])

    def close(self) -> None:
        """Remove scratch files. Close readers first: a deflated zip's pixels lie in scratch."""
        self._container.close()


def _polarisation_order(item: tuple[str, str]) -> tuple[bool, str]:
    """Co-polarised first, as ESA numbers them."""
    band = item[0]
    return band[0] != band[1], band


def _as_datetime(time_utc: np.datetime64) -> datetime:
    value: datetime = time_utc.astype("datetime64[us]").item()
    return value.replace(tzinfo=UTC)


def _footprint(grid: GeolocationGrid) -> Float64Array:
    """The border of the grid in order, turned anticlockwise on the map; not cut at the antimeridian."""
    rows = [np.flatnonzero(grid.line == line) for line in np.unique(grid.line)]
    rows = [row[np.argsort(grid.sample[row])] for row in rows]
    right, left = [row[-1] for row in rows[1:]], [row[0] for row in rows[-2::-1]]
    border = np.concatenate([rows[0], right, rows[-1][-2::-1], left])
    lon_deg, lat_deg = grid.lon_deg[border], grid.lat_deg[border]
    east_deg = (lon_deg - lon_deg[0] + 180.0) % 360.0
    area = np.sum(east_deg[:-1] * lat_deg[1:] - east_deg[1:] * lat_deg[:-1])
    ring = np.column_stack([lon_deg, lat_deg])
    return ring if area > 0 else ring[::-1].copy()
