"""Writes calibration and noise annotations."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from localdev.scene.calibration import ABSOLUTE_CONSTANT, Calibration
from localdev.scene.identity import Identity
from localdev.scene.radar import RadarGeometry
from localdev.scene.xml import add, add_all, add_list, after, encode


def calibration_xml(identity: Identity, polarisation: str, geometry: RadarGeometry, calibration: Calibration) -> bytes:
    """The file ``annotation/calibration/calibration-….xml``."""
    root = Element("calibration")
    add_all(add(root, "adsHeader"), identity.header(polarisation))
    add(add(root, "calibrationInformation"), "absoluteCalibrationConstant", f"{ABSOLUTE_CONSTANT:.6e}")
    vectors = add(root, "calibrationVectorList", count=str(calibration.line.size))
    for k, line in enumerate(calibration.line):
        vector = add(vectors, "calibrationVector")
        add(vector, "azimuthTime", after(geometry.epoch, float(line) * geometry.line_interval_s))
        add(vector, "line", int(line))
        add_list(vector, "pixel", calibration.sample, ".0f")
        add_list(vector, "sigmaNought", calibration.sigma[k])
        add_list(vector, "betaNought", calibration.beta[k])
        add_list(vector, "gamma", calibration.gamma[k])
        add_list(vector, "dn", calibration.beta[k] / ABSOLUTE_CONSTANT**0.5)
    return encode(root)


def noise_xml(identity: Identity, polarisation: str, geometry: RadarGeometry, calibration: Calibration) -> bytes:
    """The file ``annotation/calibration/noise-….xml``."""
    root = Element("noise")
    add_all(add(root, "adsHeader"), identity.header(polarisation))
    vectors = add(root, "noiseRangeVectorList", count=str(calibration.noise_line.size))
    for k, line in enumerate(calibration.noise_line):
        vector = add(vectors, "noiseRangeVector")
        add(vector, "azimuthTime", after(geometry.epoch, float(line) * geometry.line_interval_s))
        add(vector, "line", int(line))
        add_list(vector, "pixel", calibration.noise_sample, ".0f")
        add_list(vector, "noiseRangeLut", calibration.noise_range[k])
    blocks = add(root, "noiseAzimuthVectorList", count=str(len(calibration.noise_azimuth)))
    for block in calibration.noise_azimuth:
        vector = add(blocks, "noiseAzimuthVector")
        add_all(
            vector,
            {
                "swath": block.swath,
                "firstAzimuthLine": block.first_line,
                "firstRangeSample": block.first_sample,
                "lastAzimuthLine": block.last_line,
                "lastRangeSample": block.last_sample,
            },
        )
        add_list(vector, "line", block.line, ".0f")
        add_list(vector, "noiseAzimuthLut", block.factor)
    return encode(root)
