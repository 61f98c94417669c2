"""A small Sentinel-1 GRD SAFE made from nothing: a circular orbit, records that jump, metadata in ESA's format.

For tests of reading and of geometry that must run without real data. The geometry is `reference.range_doppler`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.range_doppler import SPEED_OF_LIGHT_M_S, SlowRangeDoppler

EARTH_RADIUS_M = 6_371_000.0
EARTH_ROTATION_RAD_S = 7.2921159e-5
ORBIT_RADIUS_M = 7_071_000.0
ORBIT_RATE_RAD_S = math.sqrt(3.986004418e14 / ORBIT_RADIUS_M**3)
INCLINATION_RAD = math.radians(98.18)
EPOCH = np.datetime64("2024-03-05T10:20:30.000000", "us")


@dataclass(frozen=True)
class Scene:
    """What to make; ``argument_deg`` is where on the orbit the first line lies (0: ascending through the equator)."""

    argument_deg: float = 45.0
    node_lon_deg: float = 10.0
    n_lines: int = 1600
    n_samples: int = 1500
    line_interval_s: float = 1.5e-3
    sample_spacing_m: float = 50.0
    near_ground_range_m: float = 420e3
    orbit_margin_s: float = 70.0
    """State vectors, 10 s apart, reach this far before the first line, and after the last one of 10 s or more."""
    velocity_error_m_s: float = 0.01
    record_jump_m: float = 120.0
    mission: str = "S1A"
    mode: str = "IW"
    """``"IW"``, ``"EW"``, or a beam of SM: ``"S1"`` to ``"S6"``."""
    polarisations: tuple[str, ...] = ("vv", "vh")

    @property
    def name(self) -> str:
        return f"{self.mission}_{self.mode}_GRDH_1SDV_20240305T102030_20240305T102032_052850_0665B4_1A2B"

    def stem(self, index: int) -> str:
        return (
            f"{self.mission}-{self.mode}-grd-{self.polarisations[index]}-20240305t102030-20240305t102032-"
            f"052850-0665b4-{index + 1:03d}"
        ).lower()


def slow_model(scene: Scene) -> SlowRangeDoppler:
    """The geometry of a scene."""
    duration_s = 10.0 * (scene.n_lines * scene.line_interval_s // 10.0)
    times = np.arange(-scene.orbit_margin_s, scene.orbit_margin_s + duration_s + 1.0, 10.0)
    position, velocity = true_orbit(scene, times)
    velocity = velocity + scene.velocity_error_m_s * np.array([0.6, -0.5, 0.4])
    record_times = np.arange(-1.3, scene.n_lines * scene.line_interval_s + 1.0, 1.0)
    _, _, grsr = _records(scene, record_times.size)
    mid_m = _slant_range_m(scene, 0.5 * scene.n_samples * scene.sample_spacing_m, 0.0)
    return SlowRangeDoppler(
        times,
        position,
        velocity,
        record_times,
        np.zeros(record_times.size),
        grsr,
        (scene.n_samples - 1) * scene.sample_spacing_m,
        2.0 * mid_m / SPEED_OF_LIGHT_M_S,
        scene.line_interval_s,
        scene.sample_spacing_m,
    )


def annotation_xml(scene: Scene, polarisation: str = "vv") -> bytes:
    """The annotation file of a scene; its geolocation grid takes the nearest record, as ESA's does."""
    own = f"<polarisation>{polarisation.upper()}</polarisation>"
    return _annotation_xml(scene).replace("<polarisation/>", own).encode()


@cache
def _annotation_xml(scene: Scene) -> str:
    model = slow_model(scene)
    origins, srgr, grsr = _records(scene, model.record_time_s.size)
    vectors = "".join(
        f"<orbit><time>{_utc(t)}</time><frame>Earth Fixed</frame>"
        f"<position>{_xyz(p)}</position><velocity>{_xyz(v)}</velocity></orbit>"
        for t, p, v in zip(model.vector_time_s, model.position_m, model.velocity_m_s, strict=True)
    )
    records = "".join(
        f"<coordinateConversion><azimuthTime>{_utc(t)}</azimuthTime><sr0>{o!r}</sr0>"
        f"<srgrCoefficients count='{s.size}'>{_words(s)}</srgrCoefficients><gr0>0.0</gr0>"
        f"<grsrCoefficients count='{g.size}'>{_words(g)}</grsrCoefficients></coordinateConversion>"
        for t, o, s, g in zip(model.record_time_s, origins.tolist(), srgr, grsr, strict=True)
    )
    points = "".join(
        _grid_point(model, float(line), float(sample))
        for line in np.linspace(0, scene.n_lines - 1, 3).round()
        for sample in np.linspace(0, scene.n_samples - 1, 4).round()
    )
    direction = "Ascending" if math.cos(math.radians(scene.argument_deg)) > 0 else "Descending"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product>{_header(scene)}
<generalAnnotation><productInformation><pass>{direction}</pass>
<radarFrequency>5.405000454334350e+09</radarFrequency></productInformation>
<orbitList count="{model.vector_time_s.size}">{vectors}</orbitList></generalAnnotation>
<imageAnnotation><imageInformation><productFirstLineUtcTime>{_utc(0.0)}</productFirstLineUtcTime>
<rangePixelSpacing>{scene.sample_spacing_m!r}</rangePixelSpacing><azimuthPixelSpacing>10.0</azimuthPixelSpacing>
<azimuthTimeInterval>{scene.line_interval_s!r}</azimuthTimeInterval>
<numberOfSamples>{scene.n_samples}</numberOfSamples><numberOfLines>{scene.n_lines}</numberOfLines>
<incidenceAngleMidSwath>39.0</incidenceAngleMidSwath></imageInformation></imageAnnotation>
<coordinateConversion><coordinateConversionList>{records}</coordinateConversionList></coordinateConversion>
<geolocationGrid><geolocationGridPointList>{points}</geolocationGridPointList></geolocationGrid>
</product>"""


def calibration_xml(scene: Scene) -> bytes:
    """Three vectors with different pixel lists; sigmaNought is 100 + line / 10 + pixel / 100 and so on."""
    last = scene.n_samples - 1
    quarter = last // 4
    vectors = ""
    for line, pixels in (
        (0, [0, 2 * quarter, last]),
        (800, [0, quarter, 3 * quarter, last]),
        (1700, [0, 2 * quarter, last]),
    ):
        values = 100.0 + line / 10.0 + np.array(pixels) / 100.0
        vectors += f"<calibrationVector><line>{line}</line><pixel>{' '.join(map(str, pixels))}</pixel>" + "".join(
            f"<{tag}>{_words(values + extra)}</{tag}>"
            for tag, extra in (("sigmaNought", 0), ("betaNought", 10), ("gamma", 20), ("dn", 30))
        )
        vectors += "</calibrationVector>"
    return f"""<calibration>{_header(scene)}
<calibrationVectorList count="3">{vectors}</calibrationVectorList></calibration>""".encode()


def pixels(scene: Scene, index: int = 0) -> NDArray[np.uint16]:
    """``(n_lines, n_samples)`` digital numbers, every one different from its neighbours."""
    line, sample = np.ogrid[: scene.n_lines, : scene.n_samples]
    return ((line * 7 + sample * 13 + index) % 4096 + 1).astype(np.uint16)


def plain_tiff(image: NDArray[np.uint16]) -> bytes:
    """A little-endian TIFF, uncompressed, one strip a line, its directory in front: as ESA writes measurements."""
    n_lines, n_samples = image.shape
    n_tags = 8
    tables_at = 8 + 2 + 12 * n_tags + 4
    pixels_at = tables_at + 8 * n_lines
    offsets = pixels_at + np.arange(n_lines) * n_samples * 2
    entries = [
        (256, 4, 1, n_samples),
        (257, 4, 1, n_lines),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, n_lines, tables_at),
        (278, 4, 1, 1),
        (279, 4, n_lines, tables_at + 4 * n_lines),
    ]
    head = b"II*\0" + (8).to_bytes(4, "little") + n_tags.to_bytes(2, "little")
    for tag, kind, count, value in entries:
        head += b"".join(part.to_bytes(size, "little") for part, size in ((tag, 2), (kind, 2), (count, 4), (value, 4)))
    counts = np.full(n_lines, n_samples * 2)
    return (
        head
        + bytes(4)
        + offsets.astype("<u4").tobytes()
        + counts.astype("<u4").tobytes()
        + image.astype("<u2").tobytes()
    )


def manifest_xml(scene: Scene) -> bytes:
    """The part of a manifest that is read."""
    safe = "http://www.esa.int/safe/sentinel-1.0"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="{safe}" xmlns:s1sarl1="{safe}/sentinel-1/sar/level-1">
<metadataSection><safe:processing><safe:facility><safe:software name="Sentinel-1 IPF" version="003.71"/>
</safe:facility></safe:processing>
<safe:platform><safe:familyName>SENTINEL-1</safe:familyName><safe:number>{scene.mission[-1]}</safe:number></safe:platform>
<safe:orbitReference><safe:relativeOrbitNumber type="start">103</safe:relativeOrbitNumber></safe:orbitReference>
<s1sarl1:standAloneProductInformation><s1sarl1:sliceNumber>3</s1sarl1:sliceNumber>
</s1sarl1:standAloneProductInformation></metadataSection></xfdu:XFDU>""".encode()


def members(scene: Scene) -> dict[str, bytes]:
    """Everything in the SAFE by its path inside it."""
    content = {"manifest.safe": manifest_xml(scene)}
    for index, polarisation in enumerate(scene.polarisations):
        stem = scene.stem(index)
        content[f"annotation/{stem}.xml"] = annotation_xml(scene, polarisation)
        content[f"annotation/calibration/calibration-{stem}.xml"] = calibration_xml(scene)
        content[f"measurement/{stem}.tiff"] = plain_tiff(pixels(scene, index))
    return content


def write_safe(folder: Path, scene: Scene) -> Path:
    """Write the SAFE folder and return its path."""
    root = folder / f"{scene.name}.SAFE"
    for member, content in members(scene).items():
        path = root / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def small(**changes: object) -> Scene:
    """A scene whose pixels take little room."""
    return replace(Scene(n_lines=120, n_samples=90, sample_spacing_m=500.0), **changes)  # type: ignore[arg-type]


def true_orbit(scene: Scene, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Earth-fixed position and velocity on a circular orbit."""
    angle = math.radians(scene.argument_deg) + ORBIT_RATE_RAD_S * times
    along, across = np.cos(angle), np.sin(angle)
    plane = np.stack([along, across * math.cos(INCLINATION_RAD), across * math.sin(INCLINATION_RAD)], axis=-1)
    rate = np.stack([-across, along * math.cos(INCLINATION_RAD), along * math.sin(INCLINATION_RAD)], axis=-1)
    inertial_m = ORBIT_RADIUS_M * plane
    inertial_m_s = ORBIT_RADIUS_M * ORBIT_RATE_RAD_S * rate
    turn = math.radians(scene.node_lon_deg) - EARTH_ROTATION_RAD_S * times
    cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros_like(turn), np.ones_like(turn)
    rotation = np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]).transpose(2, 0, 1)
    position = np.einsum("nij,nj->ni", rotation, inertial_m)
    velocity = np.einsum("nij,nj->ni", rotation, inertial_m_s)
    return position, velocity - np.cross([0.0, 0.0, EARTH_ROTATION_RAD_S], position)


def _slant_range_m(scene: Scene, ground_range_m: float | NDArray[np.float64], height_m: float) -> NDArray[np.float64]:
    """On a sphere raised to ``height_m``: the terrain that a record assumes."""
    angle = (scene.near_ground_range_m + np.asarray(ground_range_m)) / EARTH_RADIUS_M
    radius_m = EARTH_RADIUS_M + height_m
    return np.sqrt(ORBIT_RADIUS_M**2 + radius_m**2 - 2.0 * ORBIT_RADIUS_M * radius_m * np.cos(angle))


def _records(scene: Scene, n_records: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``slant_origin_m, srgr, grsr``; every second record assumes a terrain that is higher by ``record_jump_m``."""
    extent_m = (scene.n_samples - 1) * scene.sample_spacing_m
    ground_m = np.linspace(0.0, extent_m, 200)
    origin = np.full(n_records, float(_slant_range_m(scene, 0.0, 0.0)))
    srgr, grsr = [], []
    for record in range(n_records):
        slant_m = _slant_range_m(scene, ground_m, scene.record_jump_m * (record % 2)) - origin[record]
        fit = np.polynomial.Polynomial.fit
        srgr.append(fit(slant_m, ground_m, 6).convert().coef)
        grsr.append(fit(ground_m, slant_m + origin[record], 6).convert().coef)
    return origin, np.array(srgr), np.array(grsr)


def _grid_point(model: SlowRangeDoppler, line: float, sample: float) -> str:
    lon_deg, lat_deg = model.image_to_ground(line, sample, 0.0, "nearest")
    time_s, slant_range_m = model.zero_doppler(lon_deg, lat_deg, 0.0)
    return (
        f"<geolocationGridPoint><azimuthTime>{_utc(time_s)}</azimuthTime>"
        f"<slantRangeTime>{2.0 * slant_range_m / SPEED_OF_LIGHT_M_S!r}</slantRangeTime>"
        f"<line>{int(line)}</line><pixel>{int(sample)}</pixel><latitude>{lat_deg!r}</latitude>"
        f"<longitude>{lon_deg!r}</longitude><height>0.0</height><incidenceAngle>39.0</incidenceAngle>"
        "</geolocationGridPoint>"
    )


def _header(scene: Scene) -> str:
    stop_s = (scene.n_lines - 1) * scene.line_interval_s
    return (
        f"<adsHeader><missionId>{scene.mission}</missionId><productType>GRD</productType>"
        f"<polarisation/><mode>{'SM' if scene.mode.startswith('S') else scene.mode}</mode><swath>{scene.mode}</swath>"
        f"<startTime>{_utc(0.0)}</startTime><stopTime>{_utc(stop_s)}</stopTime>"
        "<absoluteOrbitNumber>52850</absoluteOrbitNumber><missionDataTakeId>419252</missionDataTakeId></adsHeader>"
    )


def _utc(time_s: float) -> str:
    return str(EPOCH + np.timedelta64(round(time_s * 1e6), "us"))


def _xyz(vector: NDArray[np.float64]) -> str:
    return "".join(f"<{axis}>{value!r}</{axis}>" for axis, value in zip("xyz", vector.tolist(), strict=True))


def _words(values: NDArray[np.float64]) -> str:
    return " ".join(map(repr, values.tolist()))
