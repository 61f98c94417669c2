"""What OLCI and SLSTR products share: netCDF files in a container, and geometry made once."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import AnnotationError, MissingAnnotationError, MissingMeasurementError
from orthokernel.geolocation import GeolocationModel
from orthokernel.netcdf import NetcdfFile, Variable, VariableReader
from orthokernel.options import available_cores
from orthokernel.product import PlainProduct
from orthokernel.sentinel3.manifest import Manifest, closed_ring

Float64Array = NDArray[np.float64]


class Sentinel3Product(PlainProduct):
    """See `orthokernel.product.Product`."""

    mission: Literal["sentinel-3"] = "sentinel-3"
    needs_terrain = False

    def __init__(self, container: ProductContainer, manifest: Manifest) -> None:
        self._container, self._manifest = container, manifest
        self.path, self.id = container.path, container.name
        self._threads = available_cores()
        self._files: dict[str, NetcdfFile] = {}
        self._lock = threading.RLock()

    @property
    def start_time(self) -> datetime | None:
        """UTC, of the first line."""
        return self._manifest.start_time

    @property
    def stop_time(self) -> datetime | None:
        """UTC, of the last line."""
        return self._manifest.stop_time

    @property
    def footprint(self) -> Float64Array:
        """``(K, 2)`` closed lon/lat ring: the manifest's, or that of the first band's pixels at the edge."""
        if self._manifest.ring is not None:
            return self._manifest.ring
        model = self.sensor_model()
        t = np.arange(8) / 8
        line = np.concatenate([0 * t, t, 1 + 0 * t, 1 - t]) * (model.n_lines - 1)
        sample = np.concatenate([t, 1 + 0 * t, 1 - t, 0 * t]) * (model.grid_samples - 1)
        lon, lat = model.image_to_ground(line, sample, 0.0)
        known = np.isfinite(lon)
        return closed_ring(lon[known], lat[known])

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> GeolocationModel:
        """The places of a band's pixels. See `Product.sensor_model`."""
        raise NotImplementedError

    def _file(self, member: str, of: str | None = None) -> NetcdfFile:
        """A netCDF file; ``of`` is the band that it has the pixels of.

        Raises
        ------
        MissingMeasurementError, MissingAnnotationError
            It is not there.
        TruncatedRasterError
        """
        if member not in self._container.members:
            if of is not None:
                raise MissingMeasurementError(self.path, f"no {member}", f"the pixels of band {of}")
            raise MissingAnnotationError(self.path, f"no {member}", "a complete .SEN3 product")
        with self._lock:
            if member not in self._files:
                self._files[member] = NetcdfFile(self._container.locate(member), f"{self.path}:{member}")
            return self._files[member]

    def _open_image(self, member: str, name: str, band: str, shape: tuple[int, int]) -> VariableReader:
        """A reader of a band's pixels, which must be as many as have a place."""
        file = self._file(member, of=band)
        if name not in file.names:
            raise MissingMeasurementError(file.source, f"no variable {name}", f"the pixels of band {band}")
        reader = file.open(name, self._threads)
        if (reader.n_lines, reader.n_samples) != shape:
            reader.close()
            raise AnnotationError(
                file.source, f"{name} of {reader.n_lines} x {reader.n_samples} pixels", f"{shape[0]} x {shape[1]}"
            )
        return reader

    def _variable(self, member: str, name: str, band: str) -> Variable:
        file = self._file(member, of=band)
        if name not in file.names:
            raise MissingMeasurementError(file.source, f"no variable {name}", f"the pixels of band {band}")
        return file.variable(name)

    def _angles(self, member: str, names: dict[str, str]) -> dict[str, float]:
        """Angles of the middle of the scene, in degrees; none where the file is not there or says nothing."""
        if member not in self._container.members:
            return {}
        file, found = self._file(member), {}
        for key, name in names.items():
            if name not in file.names or len(file.variable(name).shape) != 2:
                continue
            variable, values = file.variable(name), file.read(name)
            value = float(values[values.shape[0] // 2, values.shape[1] // 2])
            if value != variable.fill and np.isfinite(value):
                found[key] = variable.scale * value + variable.shift
        return found

    def _sun_and_view(self, member: str, names: dict[str, str]) -> dict[str, Any]:
        """Facts of an Item from tie points: sun and view at the middle of the scene."""
        angles = self._angles(member, names)
        facts: dict[str, Any] = {}
        if "sun_zenith" in angles:
            facts["sun_elevation_deg"] = round(90.0 - angles["sun_zenith"], 4)
        if "sun_azimuth" in angles:
            facts["sun_azimuth_deg"] = round(angles["sun_azimuth"] % 360.0, 4)
        if "view_zenith" in angles:
            facts["view_incidence_deg"] = round(angles["view_zenith"], 4)
        if "view_azimuth" in angles:
            facts["view_azimuth_deg"] = round(angles["view_azimuth"] % 360.0, 4)
        return facts

    def close(self) -> None:
        """Remove scratch files."""
        self._container.close()
