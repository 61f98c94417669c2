"""How the pixels of a band become the values of an orthoimage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import OptionError, RadiometryError
from orthokernel.product import BandReader, Product
from orthokernel.sentinel1.border import BorderLevel
from orthokernel.sentinel1.noise import NoiseTable
from orthokernel.source import NoiseRows, SampleValues

Radiometry = Literal["sigma0", "beta0", "gamma0", "gamma0_rtc", "reflectance", "physical", "dn"]
"""Radar backscatter; reflectance (Sentinel-2, at the top of the atmosphere or the ground); the quantity that a band
measures in its unit (Sentinel-3's radiances and temperatures, Sentinel-2's water vapour); pixels as they are."""
RADIOMETRIES: tuple[str, ...] = get_args(Radiometry)


def resolve_radiometry(products: Sequence[Product], bands: tuple[str, ...], asked: str | None) -> Radiometry:
    """What was asked for, or the default of the first band.

    Raises
    ------
    OptionError
        There is no such radiometry.
    RadiometryError
        A band cannot give it.
    """
    if asked is not None and asked not in RADIOMETRIES:
        raise OptionError(f"radiometry {asked!r}: expected one of {', '.join(RADIOMETRIES)}")
    choices = [(product, band, product.radiometries(band)) for product in products for band in bands]
    # One that every band can give: a quick-look among polarisations makes all of them pixels as they are.
    wanted = asked or next((one for one in choices[0][2] if all(one in others for _, _, others in choices)), "dn")
    for product, band, possible in choices:
        if wanted not in possible:
            raise RadiometryError(product.path, band, wanted, possible)
    return wanted  # type: ignore[return-value]


def sample_values(
    product: Product,
    band: str,
    reader: BandReader,
    radiometry: Radiometry,
    noise_removal: bool = True,
    numbers: bool = False,
) -> SampleValues:
    """What the loop does with each source sample before it interpolates.

    Radar backscatter is ``(DN ** 2 - N) / A ** 2`` (ESA-EOPG-CSCOP-TN-0002, MPC-0392), formed at the source samples:
    interpolating DN and calibrating afterwards loses 0.13 dB on average at 4.4 looks, and clamping before
    interpolating would raise what is near the noise. A is linear along a line between the nodes of the calibration
    vectors, and linear in line between the vectors; so is the noise N, times its azimuth factor.

    Other pixels go through a line: to their values, or straight to the ``numbers`` that a file has for them.

    Raises
    ------
    RadiometryError
        Backscatter asked of a band without calibration.
    """
    no_data = float("nan") if reader.nodata is None else float(reader.nodata)
    own = product.mission == "sentinel-1" and band in product.bands
    if not own:
        measure = product.measure(band, radiometry)
        gain, offset = measure.gain, measure.offset
        if numbers:
            gain, offset = gain / measure.scale, (offset - measure.shift) / measure.scale
        return SampleValues.linear(no_data, reader.n_lines, reader.n_samples, gain, offset)
    no_data = float("nan")
    wanted = noise_removal and radiometry != "dn"
    known = product.noise(band) if wanted or product.has_border_noise else None
    table = None if known is None else known.table
    border_level = None
    if product.has_border_noise:
        level = None if table is None else _dense(table.lines, table.samples, table.range_power, reader.n_samples)
        border_level = BorderLevel.without_noise(reader.n_samples) if level is None else BorderLevel.of(*level)
        no_data = 0.0  # what the ring makes of the border, as it is read
    nothing = NoiseRows.none(reader.n_lines, reader.n_samples)
    if radiometry == "dn":
        no_lines, no_rows = np.empty(0), np.empty((0, reader.n_samples), np.float32)
        return SampleValues(no_data, True, no_lines, no_rows, nothing, "pixels as they are", border_level)
    calibration = product.calibration(band)
    if calibration is None:
        raise RadiometryError(product.path, band, radiometry, ("dn",))
    # Flattening starts from beta0, the power for each area of slant range and azimuth.
    lut = calibration.lut("beta0" if radiometry == "gamma0_rtc" else radiometry)  # type: ignore[arg-type]
    dense = _dense(calibration.lines, calibration.samples, lut, reader.n_samples)
    if not noise_removal:
        return SampleValues(no_data, True, *dense, nothing, "not asked for", border_level)
    if table is None:
        why_not = "no noise vectors" if known is None else known.why_not
        return SampleValues(no_data, True, *dense, nothing, why_not, border_level)
    return SampleValues(no_data, True, *dense, noise_rows(table, reader.n_lines, reader.n_samples), "", border_level)


def noise_rows(table: NoiseTable, n_lines: int, n_samples: int) -> NoiseRows:
    """A noise table at every sample, its azimuth factors at every line: nothing is left to look up by pixel."""
    line, power = _dense(table.lines, table.samples, table.range_power, n_samples)
    blocks = [(b.first_line, b.last_line, b.first_sample, b.last_sample) for b in table.azimuth]
    factors = [np.interp(np.arange(n_lines), b.lines, b.factor) for b in table.azimuth]
    return NoiseRows(
        line,
        power,
        np.array(blocks, np.int64).reshape(-1, 4),
        np.array(factors, np.float32).reshape(-1, n_lines),
    )


def _dense(
    lines: NDArray[np.float64], samples: NDArray[np.float64], nodes: NDArray[np.float64], n_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Vectors at every sample of a line."""
    every = np.arange(n_samples)
    return np.asarray(lines, np.float64), np.stack([np.interp(every, samples, row) for row in nodes]).astype(np.float32)
