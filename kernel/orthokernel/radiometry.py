"""How the pixels of a band become the values of an orthoimage."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from orthokernel.errors import RadiometryError
from orthokernel.product import BandReader, Product
from orthokernel.source import SampleValues

Radiometry = Literal["sigma0", "beta0", "gamma0", "dn"]
RADIOMETRIES: tuple[str, ...] = get_args(Radiometry)


def default_radiometry(product: Product, bands: tuple[str, ...]) -> Radiometry:
    """``"sigma0"`` where every band has a calibration, ``"dn"`` (pixels as they are) elsewhere."""
    calibrated = product.mission == "sentinel-1" and all(product.calibration(band) is not None for band in bands)
    return "sigma0" if calibrated else "dn"


def sample_values(product: Product, band: str, reader: BandReader, radiometry: Radiometry) -> SampleValues:
    """What the loop does with each source sample before it interpolates.

    Radar backscatter is ``(DN / A) ** 2`` (ESA-EOPG-CSCOP-TN-0002), formed at the source samples: interpolating DN
    and calibrating afterwards loses 0.13 dB on average at 4.4 looks. A is linear along a line between the nodes of
    the calibration vectors, and linear in line between the vectors.

    Raises
    ------
    RadiometryError
        Backscatter asked of a band without calibration.
    """
    no_data = float("nan") if reader.nodata is None else float(reader.nodata)
    zero_border = product.mission == "sentinel-1" and band in product.bands
    if radiometry == "dn":
        return SampleValues(
            float("nan") if zero_border else no_data,
            zero_border,
            np.empty(0),
            np.empty((0, reader.n_samples), np.float32),
        )
    table = product.calibration(band)
    if table is None:
        raise RadiometryError(product.path, band, radiometry)
    nodes = table.lut(radiometry)
    samples = np.arange(reader.n_samples)
    dense = np.stack([np.interp(samples, table.samples, row) for row in nodes]).astype(np.float32)
    return SampleValues(float("nan"), zero_border, np.asarray(table.lines, np.float64), dense)
