"""Reads what the simulator needs of a product annotation: geometry, geolocation grid, names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from defusedxml import ElementTree

from localdev.scene.ellipsoid import SPEED_OF_LIGHT_M_S, Float64Array
from localdev.scene.orbit import StateVectors
from localdev.scene.radar import RadarGeometry, RangeRecords


@dataclass(frozen=True)
class GeolocationGrid:
    """The annotated tie points, each field of shape (G,).

    ``time_s`` counts from the first line; ``two_way_s`` is the slant range time.
    """

    time_s: Float64Array
    two_way_s: Float64Array
    line: Float64Array
    sample: Float64Array
    lon_deg: Float64Array
    lat_deg: Float64Array
    height_m: Float64Array
    incidence_deg: Float64Array
    elevation_deg: Float64Array


def text(parent: Element, path: str) -> str:
    """Text of a child element.

    Raises
    ------
    ValueError
        Where it is missing: the file is no annotation of the expected kind.
    """
    found = parent.findtext(path)
    if found is None:
        raise ValueError(f"<{parent.tag}> has no <{path}>")
    return found


def utc(value: str) -> datetime:
    """A time as written in annotations (UTC without a zone, microseconds)."""
    return datetime.fromisoformat(value)


def seconds(value: str, epoch: datetime) -> float:
    """Seconds from the epoch to a time as written in annotations."""
    return (utc(value) - epoch).total_seconds()


def numbers(value: str) -> Float64Array:
    """A blank-separated list."""
    return np.array(value.split(), dtype=np.float64)


def parse(path: Path) -> Element:
    """Root of an XML file; entity tricks are refused."""
    root = ElementTree.parse(path).getroot()
    if root is None:
        raise ValueError(f"{path.name} is empty")
    return root


def read_grid(root: Element) -> GeolocationGrid:
    """The geolocation grid of an annotation."""
    epoch = utc(text(root, "imageAnnotation/imageInformation/productFirstLineUtcTime"))
    points = root.findall("geolocationGrid/geolocationGridPointList/geolocationGridPoint")

    def column(name: str) -> Float64Array:
        return np.array([float(text(point, name)) for point in points])

    return GeolocationGrid(
        time_s=np.array([seconds(text(point, "azimuthTime"), epoch) for point in points]),
        two_way_s=column("slantRangeTime"),
        line=column("line"),
        sample=column("pixel"),
        lon_deg=column("longitude"),
        lat_deg=column("latitude"),
        height_m=column("height"),
        incidence_deg=column("incidenceAngle"),
        elevation_deg=column("elevationAngle"),
    )


def read_geometry(root: Element) -> RadarGeometry:
    """The geometry that an annotation describes; the bistatic mid-swath time is fitted to its grid."""
    info = "imageAnnotation/imageInformation/"
    epoch = utc(text(root, info + "productFirstLineUtcTime"))
    interval = float(text(root, info + "azimuthTimeInterval"))
    orbits = root.findall("generalAnnotation/orbitList/orbit")
    states = StateVectors(
        np.array([seconds(text(orbit, "time"), epoch) for orbit in orbits]),
        np.array([[float(text(orbit, f"position/{axis}")) for axis in "xyz"] for orbit in orbits]),
        np.array([[float(text(orbit, f"velocity/{axis}")) for axis in "xyz"] for orbit in orbits]),
    )
    conversions = root.findall("coordinateConversion/coordinateConversionList/coordinateConversion")
    records = RangeRecords(
        np.array([seconds(text(record, "azimuthTime"), epoch) for record in conversions]),
        np.array([float(text(record, "gr0")) for record in conversions]),
        np.array([numbers(text(record, "grsrCoefficients")) for record in conversions]),
    )
    grid = read_grid(root)
    # grid time = line time + (two-way time - mid) / 2: a mean over the grid averages its microsecond rounding away
    mid = float(np.mean(grid.two_way_s - 2.0 * (grid.time_s - grid.line * interval)))
    return RadarGeometry(
        epoch=epoch,
        n_lines=int(text(root, info + "numberOfLines")),
        n_samples=int(text(root, info + "numberOfSamples")),
        line_interval_s=interval,
        sample_spacing_m=float(text(root, info + "rangePixelSpacing")),
        states=states,
        records=records,
        mid_swath_s=mid,
    )


def range_m(two_way_s: Float64Array) -> Float64Array:
    """Slant range of a two-way time."""
    return 0.5 * SPEED_OF_LIGHT_M_S * two_way_s
