"""What the manifest of a Sentinel-1 SAFE knows beyond the annotations: platform, relative orbit, processor.

Source: "Sentinel-1 Product Specification", S1-RS-MDA-52-7441, section 5 (manifest).
"""

from __future__ import annotations

from dataclasses import dataclass

from orthokernel.safexml import XmlDocument

_SAFE = "{http://www.esa.int/safe/sentinel-1.0}"
_S1SARL1 = "{http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1}"


@dataclass(frozen=True)
class Manifest:
    """Facts from ``manifest.safe``; None where it does not say."""

    family: str
    relative_orbit: int | None
    ipf_version: str | None
    product_class: str | None
    slice_number: int | None
    total_slices: int | None
    timeliness: str | None


def parse_manifest(content: bytes, source: str) -> Manifest:
    """Parse a manifest.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError
        See `XmlDocument.parse`.
    """
    xml = XmlDocument.parse(content, source)

    def integer(path: str) -> int | None:
        text = xml.optional_text(path)
        return int(text) if text is not None and text.isdecimal() else None

    software = [
        element.element.get("version")
        for element in xml.find_all(f".//{_SAFE}software")
        if element.element.get("name") == "Sentinel-1 IPF"
    ]
    return Manifest(
        family=xml.optional_text(f".//{_SAFE}platform/{_SAFE}familyName") or "",
        relative_orbit=integer(f".//{_SAFE}relativeOrbitNumber"),
        ipf_version=software[0] if software else None,
        product_class=xml.optional_text(f".//{_S1SARL1}productClass"),
        slice_number=integer(f".//{_S1SARL1}sliceNumber"),
        total_slices=integer(f".//{_S1SARL1}totalSlices"),
        timeliness=xml.optional_text(f".//{_S1SARL1}productTimelinessCategory"),
    )
