"""Writes the product annotation of a frame made from nothing, element for element where a reader looks."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from localdev.scene.annotation import GeolocationGrid
from localdev.scene.calibration import swath_edges
from localdev.scene.ellipsoid import SEMI_MAJOR_M, SEMI_MINOR_M, SPEED_OF_LIGHT_M_S
from localdev.scene.frame import inverse_record
from localdev.scene.identity import Identity
from localdev.scene.radar import RadarGeometry
from localdev.scene.xml import add, add_all, add_list, after, encode

RADAR_FREQUENCY_HZ = 5.405000454334350e9
RANGE_SAMPLING_HZ = 6.434523812571428e7


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the digital numbers."""

    mean: float
    deviation: float


def annotation_xml(
    identity: Identity, polarisation: str, geometry: RadarGeometry, grid: GeolocationGrid, statistics: Statistics
) -> bytes:
    """The file ``annotation/s1?-??-grd-….xml``."""
    root = Element("product")
    add_all(add(root, "adsHeader"), identity.header(polarisation))
    _quality(root, identity, statistics)
    _general(root, identity, geometry, grid)
    _image(root, identity, geometry, grid, statistics)
    _doppler(root, geometry)
    _empty(root, "antennaPattern", "antennaPatternList")
    timing = add(root, "swathTiming")
    add_all(timing, {"linesPerBurst": 0, "samplesPerBurst": 0})
    add(timing, "burstList", count="0")
    _grid(root, geometry, grid)
    _conversion(root, geometry)
    _merging(root, geometry, identity.mode.subswaths)
    return encode(root)


def _empty(root: Element, name: str, list_name: str) -> None:
    add(add(root, name), list_name, count="0")


def _complex(parent: Element, name: str, value: float) -> None:
    part = add(parent, name)
    add(part, "re", f"{value:.6e}")
    add(part, "im", f"{0.0:.6e}")


def _quality(root: Element, identity: Identity, statistics: Statistics) -> None:
    quality = add(root, "qualityInformation")
    add(quality, "productQualityIndex", 0.0)
    data = add(add(quality, "qualityDataList", count="1"), "qualityData")
    add(data, "azimuthTime", identity.start)
    image = add(data, "imageQuality")
    numbers = add(image, "imageStatistics")
    _complex(numbers, "outputDataMean", statistics.mean)
    _complex(numbers, "outputDataStdDev", statistics.deviation)
    add_all(image, {"outputDataMeanOutsideNominalRangeFlag": False, "outputDataStDevOutsideNominalRangeFlag": False})


def _general(root: Element, identity: Identity, geometry: RadarGeometry, grid: GeolocationGrid) -> None:
    general = add(root, "generalAnnotation")
    add_all(
        add(general, "productInformation"),
        {
            "pass": "Ascending" if identity.ascending else "Descending",
            "timelinessCategory": "NRT-3h",
            "platformHeading": heading_deg(geometry),
            "projection": "Ground Range",
            "rangeSamplingRate": RANGE_SAMPLING_HZ,
            "radarFrequency": RADAR_FREQUENCY_HZ,
            "azimuthSteeringRate": 1.590368784,
        },
    )
    add(general, "downlinkInformationList", count="0")
    orbits = add(general, "orbitList", count=str(geometry.states.time_s.size))
    for time, position, velocity in zip(
        geometry.states.time_s, geometry.states.position_m, geometry.states.velocity_m_s, strict=True
    ):
        orbit = add(orbits, "orbit")
        add_all(orbit, {"time": after(geometry.epoch, time), "frame": "Earth Fixed"})
        add_all(add(orbit, "position"), dict(zip("xyz", map(float, position), strict=True)))
        add_all(add(orbit, "velocity"), dict(zip("xyz", map(float, velocity), strict=True)))
    for name in ("attitudeList", "rawDataAnalysisList", "replicaInformationList", "noiseList"):
        add(general, name, count="0")
    # Every 10 s, from before the image to after it, as in real annotations. Orfeo ToolBox (8.1.1) takes a single
    # height for a missing one and then finds no sensor geometry.
    duration_s = geometry.n_lines * geometry.line_interval_s
    times_s = 10.0 * np.arange(-1, int(duration_s // 10.0) + 2)
    heights = add(general, "terrainHeightList", count=str(times_s.size))
    on_lines = np.unique(grid.line)
    line_heights_m = [float(np.mean(grid.height_m[grid.line == line])) for line in on_lines]
    for time_s, height_m in zip(
        times_s, np.interp(times_s, on_lines * geometry.line_interval_s, line_heights_m), strict=True
    ):
        add_all(
            add(heights, "terrainHeight"),
            {"azimuthTime": after(geometry.epoch, float(time_s)), "value": float(height_m)},
        )
    rates = add(general, "azimuthFmRateList", count="1")
    rate = add(rates, "azimuthFmRate")
    add_all(rate, {"azimuthTime": identity.start, "t0": float(grid.two_way_s.min())})
    add_list(rate, "azimuthFmRatePolynomial", (-2326.8, 4.5145e5, -7.9283e7), ".15e")


def heading_deg(geometry: RadarGeometry) -> float:
    """Direction of flight over the ground, clockwise from north, -180 to 180."""
    middle = geometry.arc.middle_s
    position, velocity = geometry.arc.position(middle), geometry.arc.velocity(middle)
    east = np.cross([0.0, 0.0, 1.0], position)
    north = np.cross(position, east)
    return float(
        np.degrees(np.arctan2(velocity @ east / np.linalg.norm(east), velocity @ north / np.linalg.norm(north)))
    )


def _image(
    root: Element, identity: Identity, geometry: RadarGeometry, grid: GeolocationGrid, statistics: Statistics
) -> None:
    image = add(root, "imageAnnotation")
    info = add(image, "imageInformation")
    add_all(
        info,
        {
            "productFirstLineUtcTime": identity.start,
            "productLastLineUtcTime": identity.stop,
            "ascendingNodeTime": identity.anx,
            "anchorTime": identity.start,
            "productComposition": "Individual",
            "sliceNumber": 0,
        },
    )
    add(info, "sliceList", count="0")
    add_all(
        info,
        {
            "slantRangeTime": float(grid.two_way_s[0]),
            "pixelValue": "Detected",
            "outputPixels": "16 bit Unsigned Integer",
            "rangePixelSpacing": f"{geometry.sample_spacing_m:.6e}",
            "azimuthPixelSpacing": f"{geometry.sample_spacing_m:.6e}",
            "azimuthTimeInterval": geometry.line_interval_s,
            "azimuthFrequency": 486.4863102995529,
            "numberOfSamples": geometry.n_samples,
            "numberOfLines": geometry.n_lines,
            "zeroDopMinusAcqTime": 0.0,
            "incidenceAngleMidSwath": float(np.interp(geometry.n_samples / 2, *_first_line_incidence(grid))),
        },
    )
    numbers = add(info, "imageStatistics")
    _complex(numbers, "outputDataMean", statistics.mean)
    _complex(numbers, "outputDataStdDev", statistics.deviation)
    processing = add(image, "processingInformation")
    add_all(
        processing,
        {
            "rawDataAnalysisUsed": False,
            "orbitDataFileUsed": True,
            "attitudeDataFileUsed": False,
            "rxVariationCorrectionApplied": True,
            "antennaElevationPatternApplied": True,
            "antennaAzimuthPatternApplied": True,
            "antennaAzimuthElementPatternApplied": True,
            "rangeSpreadingLossCompensationApplied": True,
            "srgrConversionApplied": True,
            "detectionPerformed": True,
            "thermalNoiseCorrectionPerformed": False,
        },
    )
    parts = add(processing, "swathProcParamsList", count=str(len(identity.mode.subswaths)))
    for swath in identity.mode.subswaths:
        part = add(parts, "swathProcParams")
        add(part, "swath", swath)
        for direction, looks in zip(("range", "azimuth"), identity.mode.looks, strict=True):
            add(add(part, f"{direction}Processing"), "numberOfLooks", looks)
    add_all(
        processing,
        {
            "referenceRange": 8.0e5,
            "ellipsoidName": "WGS84",
            "ellipsoidSemiMajorAxis": SEMI_MAJOR_M,
            "ellipsoidSemiMinorAxis": SEMI_MINOR_M,
            "bistaticDelayCorrectionApplied": True,
            "orbitSource": "Auxiliary",
        },
    )


def _first_line_incidence(grid: GeolocationGrid) -> tuple[list[float], list[float]]:
    first = grid.line == grid.line.min()
    return list(grid.sample[first]), list(grid.incidence_deg[first])


def _doppler(root: Element, geometry: RadarGeometry) -> None:
    estimates = add(add(root, "dopplerCentroid"), "dcEstimateList", count="1")
    estimate = add(estimates, "dcEstimate")
    add_all(estimate, {"azimuthTime": geometry.epoch, "t0": geometry.mid_swath_s})
    for name in ("geometryDcPolynomial", "dataDcPolynomial"):
        add_list(estimate, name, (0.0, 0.0, 0.0))
    add_all(estimate, {"dataDcRmsError": 0.0, "dataDcRmsErrorAboveThreshold": False})
    add(estimate, "fineDceList", count="0")


def _grid(root: Element, geometry: RadarGeometry, grid: GeolocationGrid) -> None:
    points = add(add(root, "geolocationGrid"), "geolocationGridPointList", count=str(grid.line.size))
    for k in range(grid.line.size):
        add_all(
            add(points, "geolocationGridPoint"),
            {
                "azimuthTime": after(geometry.epoch, float(grid.time_s[k])),
                "slantRangeTime": float(grid.two_way_s[k]),
                "line": int(grid.line[k]),
                "pixel": int(grid.sample[k]),
                "latitude": float(grid.lat_deg[k]),
                "longitude": float(grid.lon_deg[k]),
                "height": float(grid.height_m[k]),
                "incidenceAngle": float(grid.incidence_deg[k]),
                "elevationAngle": float(grid.elevation_deg[k]),
            },
        )


def _conversion(root: Element, geometry: RadarGeometry) -> None:
    records = geometry.records
    conversions = add(add(root, "coordinateConversion"), "coordinateConversionList", count=str(records.time_s.size))
    for k in range(records.time_s.size):
        near_m, ground = inverse_record(records, k, geometry.span_m)
        conversion = add(conversions, "coordinateConversion")
        add_all(
            conversion,
            {
                "azimuthTime": after(geometry.epoch, float(records.time_s[k])),
                "slantRangeTime": 2.0 * near_m / SPEED_OF_LIGHT_M_S,
                "sr0": near_m,
            },
        )
        add_list(conversion, "srgrCoefficients", ground, ".15e")
        add(conversion, "gr0", float(records.origin_m[k]))
        add_list(conversion, "grsrCoefficients", records.slant_m[k], ".15e")


def _merging(root: Element, geometry: RadarGeometry, subswaths: list[str]) -> None:
    if len(subswaths) == 1:  # SM: nothing was merged
        _empty(root, "swathMerging", "swathMergeList")
        return
    edges = swath_edges(geometry.n_samples, len(subswaths))
    merges = add(add(root, "swathMerging"), "swathMergeList", count=str(len(subswaths)))
    for order, swath in enumerate(subswaths):
        merge = add(merges, "swathMerge")
        add(merge, "swath", swath)
        add_all(
            add(add(merge, "swathBoundsList", count="1"), "swathBounds"),
            {
                "azimuthTime": geometry.epoch,
                "firstAzimuthLine": 0,
                "firstRangeSample": edges[order],
                "lastAzimuthLine": geometry.n_lines - 1,
                "lastRangeSample": edges[order + 1] - 1,
            },
        )
