"""What the manifest of a Sentinel-1 SAFE knows beyond the annotations: platform, relative orbit, processor.

Source: "Sentinel-1 Product Specification", S1-RS-MDA-52-7441, section 5 (manifest).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from orthocontracts.orbits import ORBIT_NAME
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
    facility: str | None = None
    """Where the product was made."""
    processed_utc: str | None = None
    """When its last processing step ended."""
    orbit_file: str | None = None
    """The orbit file that its annotated state vectors come from."""


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
    step = xml.element.find(f".//{_SAFE}processing")  # the last step comes first, the earlier ones inside it
    facility = None if step is None else step.find(f"{_SAFE}facility")
    parts = [] if facility is None else [facility.get(key) for key in ("name", "site", "country")]
    return Manifest(
        family=xml.optional_text(f".//{_SAFE}platform/{_SAFE}familyName") or "",
        relative_orbit=integer(f".//{_SAFE}relativeOrbitNumber"),
        ipf_version=software[0] if software else None,
        product_class=xml.optional_text(f".//{_S1SARL1}productClass"),
        slice_number=integer(f".//{_S1SARL1}sliceNumber"),
        total_slices=integer(f".//{_S1SARL1}totalSlices"),
        timeliness=xml.optional_text(f".//{_S1SARL1}productTimelinessCategory"),
        facility=", ".join(part for part in parts if part) or None,
        processed_utc=None if step is None else step.get("stop"),
        orbit_file=_orbit_file(xml),
    )


def _orbit_file(xml: XmlDocument) -> str | None:
    for resource in xml.find_all(f".//{_SAFE}resource"):
        name = PurePosixPath(resource.element.get("name") or "").name
        if ORBIT_NAME.fullmatch(name):
            return name
    return None
