"""Ground image processing parameters (GIPP): viewing directions, spacecraft model, blind pixels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args
from xml.etree.ElementTree import Element, SubElement

from localdev.scene.msi import TDI_BANDS, FocalPlane, Mounting, Mountings, MsiBand, directions
from localdev.scene.xml import add, encode

DETECTORS = tuple(f"{number:02d}" for number in range(1, 13))
_VALID = ("20150703T000000", "21000101T000000")
_DATES = ("2015-07-03T00:00:00.0Z", "2100-01-01T00:00:00.0Z")
_MADE = "20150731T092207"


def gipp_name(platform: str, kind: str, band: str = "B00") -> str:
    """Of a file, without ending."""
    return f"{platform}_OPER_GIP_{kind}_MPC__{_MADE}_V{_VALID[0]}_{_VALID[1]}_{band}"


def write_gipp(
    folder: Path,
    platform: str,
    bands: Iterable[MsiBand],
    mountings: Mountings,
    n_samples: int,
    overlap_px: int,
) -> list[str]:
    """Write the files into a folder; their names, without ending."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        f"{gipp_name(platform, 'SPAMOD')}.DBL": _spacecraft_model(platform, mountings),
        f"{gipp_name(platform, 'BLINDP')}.DBL": _blind_pixels(platform, bands := tuple(bands)),
    }
    for band in bands:
        files[f"{gipp_name(platform, 'VIEDIR', band.name)}.xml"] = _viewing_directions(
            platform, band, n_samples, overlap_px
        )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [Path(name).stem for name in files]


def _viewing_directions(platform: str, band: MsiBand, n_samples: int, overlap_px: int) -> bytes:
    kind = f"{platform}_BAND_NUMBER_{band.number}_VIEWING_DIRECTIONS_FILE"
    root, data = _file("GS2_VIEWING_DIRECTIONS", platform, kind)
    add(data, "BAND_ID", band.number)
    # The single lines come first: who takes the first list without looking is found out.
    settings = ("LINE_A", "LINE_B", "APPLIED") if band.name in TDI_BANDS else ("NO_TDI",)
    for setting in settings:
        group = SubElement(data, "VIEWING_DIRECTIONS_LIST", tdi_config=setting)
        for detector in DETECTORS:
            tdi = "APPLIED" if setting == "NO_TDI" else setting
            look = directions(band, detector, n_samples, overlap_px, tdi)
            one = SubElement(group, "VIEWING_DIRECTIONS", detector_id=detector)
            add(one, "NB_OF_PIXELS", look.tan_psi_x.size)
            add(one, "TAN_PSI_X_LIST", " ".join(f"{tangent:.12f}" for tangent in look.tan_psi_x))
            add(one, "TAN_PSI_Y_LIST", " ".join(f"{tangent:.12f}" for tangent in look.tan_psi_y))
    return encode(root)


def _spacecraft_model(platform: str, mountings: Mountings) -> bytes:
    root, data = _file("GS2_SPACECRAFT_MODEL_PARAMETERS", platform, f"{platform}_SPACECRAFT_MODEL_FILE")
    msi = _mounting(SubElement(data, "PILOTING_TO_MSI_FRAME"), mountings.msi)
    add(msi, "SCALE_FACTOR", f"{mountings.msi.z_scale:.12g}")
    add(msi, "COMBINATION_ORDER", "ROTATION_THEN_SCALE")
    planes = SubElement(data, "MSI_TO_FOCAL_PLANE")
    for plane, mounting in mountings.focal_planes.items():
        element = _mounting(SubElement(planes, f"MSI_TO_{plane}"), mounting)
        add(element, "SCALE_FACTOR", f"{mounting.z_scale:.12g}")
        add(element, "COMBINATION_ORDER", "SCALE_THEN_ROTATION")
    detectors = SubElement(data, "FOCAL_PLANE_TO_DETECTOR")
    for of in get_args(FocalPlane):
        for detector in DETECTORS:
            element = SubElement(detectors, f"FOCAL_PLANE_TO_DETECTOR_{of}", detector_id=detector)
            _mounting(element, mountings.detectors.get((of, detector), Mounting()))
    return encode(root)


def _mounting(element: Element, mounting: Mounting) -> Element:
    for name, axis, angle in zip(("R1", "R2", "R3"), "XYZ", mounting.angles_mrad, strict=True):
        add(element, name, f"{angle:.12g}", axis=axis, unit="mrad")
    return element


def _blind_pixels(platform: str, bands: Iterable[MsiBand]) -> bytes:
    """None: images and viewing directions are without them already."""
    root, data = _file("GS2_BLIND_PIXELS", platform, f"{platform}_BLIND_PIXELS_FILE")
    for band in bands:
        element = SubElement(data, "BAND", band_id=str(band.number))
        add(element, "BLIND_PIXEL_NUMBER", 0)
    return encode(root)


def _file(name: str, platform: str, kind: str) -> tuple[Element, Element]:
    root = Element(name)
    header = SubElement(root, "HEADER")
    add(header, "SATELLITE", platform)
    specific = SubElement(root, "SPECIFIC_HEADER")
    add(specific, "TYPE", kind)
    add(specific, "APPLICABILITY_DATE", _DATES[0])
    add(specific, "APPLICABILITY_END_DATE", _DATES[1])
    add(specific, "VERSION_NUMBER", "0001")
    return root, SubElement(root, "DATA")
