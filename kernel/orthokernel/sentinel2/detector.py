"""A detector's part of a Sentinel-2 L1B product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orthokernel.light import Cosine
from orthokernel.product import BandReader
from orthokernel.sensor import SensorModel
from orthokernel.sentinel2.bands import band_of
from orthokernel.sentinel2.seams import cut_between
from orthokernel.sentinel2.steady import SteadyModel

if TYPE_CHECKING:
    from orthokernel.sentinel2.l1b import L1BProduct

Float64Array = NDArray[np.float64]


class DetectorPart:
    """See `orthokernel.product.ProductPart`; line 0 is the first of the detector's lines that there is."""

    def __init__(self, product: L1BProduct, detector: str) -> None:
        self._product, self._detector = product, detector
        self.number = int(detector)
        self._models: dict[str, SteadyModel] = {}

    def sensor_model(self, band: str) -> SteadyModel:
        """The product's, counted from the first line that there is."""
        if band not in self._models:
            exact = self._product.sensor_model(band, detector=self._detector).from_first_line()
            self._models[band] = SteadyModel(exact)
        return self._models[band]

    def open_band(self, band: str) -> BandReader:
        """See `L1BProduct.open_detector`."""
        return self._product.open_detector(band, self._detector)

    def has_extra(self, name: str) -> bool:
        """Quality. Which detector a pixel is from is known without a mask."""
        return name == "quality"

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """See `L1BProduct.open_mask`."""
        return self._product.open_mask(name, band, self._detector), self.sensor_model(band)

    def sun(self, band: str) -> Cosine:
        """When the detector's band saw a place on the ellipsoid; a height moves that by milliseconds."""
        product = self._product
        own, model = band_of(band, product.path), self.sensor_model(band)
        first_s = product.datastrip.first_line_of(own, self._detector)
        first_line, period_s = product.lines_of(own, self._detector)[0], product.datastrip.line_period_of(own)

        def cosine(lon_deg: Float64Array, lat_deg: Float64Array) -> Float64Array:
            line = model.ground_to_smooth(lon_deg, lat_deg, 0.0)[0]
            return product.sun.cosine(lon_deg, lat_deg, first_s + (first_line + line + 0.5) * period_s)

        return cosine

    def samples(self, band: str) -> tuple[float, float]:
        """Up to the middle of what it has in common with the next detector, which takes what it leaves."""
        others = self._product.detectors
        at = others.index(self._detector)
        if at + 1 == len(others):
            return -0.5, float("nan")
        models = (self._product.sensor_model(band, detector=one) for one in (self._detector, others[at + 1]))
        return cut_between(*models)
