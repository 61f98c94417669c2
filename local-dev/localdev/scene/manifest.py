"""``manifest.safe``: what is in the product, with sizes and checksums, and who, when and where."""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localdev.scene.annotation import GeolocationGrid, parse
from localdev.scene.identity import Identity
from localdev.scene.xml import add, add_all, encode, written

NAMESPACES = {
    "gml": "http://www.opengis.net/gml",
    "xfdu": "urn:ccsds:schema:xfdu:1",
    "safe": "http://www.esa.int/safe/sentinel-1.0",
    "s1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1",
    "s1sar": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar",
    "s1sarl1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1",
    "s1sarl2": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-2",
    "gx": "http://www.google.com/kml/ext/2.2",
}
SCHEMAS = {
    "product": "s1Level1ProductSchema",
    "noise": "s1Level1NoiseSchema",
    "calibration": "s1Level1CalibrationSchema",
    "measurement": "s1Level1MeasurementSchema",
    "quicklook": "s1Level1QuickLookSchema",
    "overlay": "s1Level1MapOverlaySchema",
}
for _prefix, _address in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _address)


@dataclass(frozen=True)
class ProductFile:
    """A file of the product: what kind (a key of ``SCHEMAS``), where, and its id in the manifest."""

    kind: str
    path: Path

    @property
    def identifier(self) -> str:
        """The manifest's id: for data files their name without dashes."""
        if self.kind == "quicklook":
            return "quicklook"
        if self.kind == "overlay":
            return "mapoverlay"
        stem = self.path.stem.replace("-", "")
        return f"product{stem}" if self.kind == "product" else stem


def checksum_of(path: Path) -> str:
    """MD5 of a file, as the format has it."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def unique_digits(manifest: bytes) -> str:
    """The last four digits of a product's name: CRC-16-CCITT of its manifest, as in real products."""
    return f"{binascii.crc_hqx(manifest, 0xFFFF):04X}"


def footprint(grid: GeolocationGrid) -> str:
    """``lat,lon`` of the corners, in the order of real manifests: last near, last far, first far, first near."""
    lines, samples = (grid.line.min(), grid.line.max()), (grid.sample.min(), grid.sample.max())
    corners = [(lines[1], samples[0]), (lines[1], samples[1]), (lines[0], samples[1]), (lines[0], samples[0])]
    parts = []
    for line, sample in corners:
        k = int(((grid.line == line) & (grid.sample == sample)).argmax())
        parts.append(f"{grid.lat_deg[k]:.6f},{grid.lon_deg[k]:.6f}")
    return " ".join(parts)


def _tag(prefix: str, name: str) -> str:
    return f"{{{NAMESPACES[prefix]}}}{name}"


def manifest_xml(
    folder: Path, identity: Identity, grid: GeolocationGrid, files: list[ProductFile], ipf_version: str
) -> bytes:
    """The manifest of a product made from nothing; files must be there already."""
    root = Element(
        _tag("xfdu", "XFDU"),
        {
            "version": "esa/safe/sentinel-1.0/sentinel-1/sar/level-1/grd/standard/"
            + identity.mode.name.lower()
            + ("dp" if len(identity.polarisations) > 1 else "sp")
        },
    )
    package = add(
        add(root, "informationPackageMap"),
        _tag("xfdu", "contentUnit"),
        unitType="SAFE Archive Information Package",
        textInfo=f"Sentinel-1 {identity.mode.name} Level-1 GRD Product",
        dmdID="acquisitionPeriod platform generalProductInformation measurementOrbitReference measurementFrameSet",
        pdiID="processing",
    )
    for file in files:
        kind = "Measurement Data Unit" if file.kind in ("measurement", "quicklook") else "Metadata Unit"
        unit = add(package, _tag("xfdu", "contentUnit"), unitType=kind, repID=SCHEMAS[file.kind])
        add(unit, "dataObjectPointer", dataObjectID=file.identifier)
    metadata = add(root, "metadataSection")
    _processing(metadata, identity, ipf_version)
    _platform(metadata, identity)
    _orbit(metadata, identity)
    _general(metadata, identity)
    _period(metadata, identity)
    frame = add(
        add(_wrap(metadata, "measurementFrameSet", "Frame Set"), _tag("safe", "frameSet")), _tag("safe", "frame")
    )
    print_ = add(frame, _tag("safe", "footPrint"), srsName="http://www.opengis.net/gml/srs/epsg.xml#4326")
    add(print_, _tag("gml", "coordinates"), footprint(grid))
    objects = add(root, "dataObjectSection")
    for file in files:
        entry = add(objects, "dataObject", ID=file.identifier, repID=SCHEMAS[file.kind])
        stream = add(
            entry,
            "byteStream",
            mimeType="application/octet-stream" if file.kind in ("measurement", "quicklook") else "text/xml",
            size=str(file.path.stat().st_size),
        )
        add(stream, "fileLocation", locatorType="URL", href="./" + file.path.relative_to(folder).as_posix())
        add(stream, "checksum", checksum_of(file.path), checksumName="MD5")
    return encode(root)


def _wrap(metadata: Element, identifier: str, title: str, category: str = "DMD") -> Element:
    kind = "DESCRIPTION" if category == "DMD" else "PROVENANCE"
    entry = add(metadata, "metadataObject", ID=identifier, classification=kind, category=category)
    return add(add(entry, "metadataWrap", mimeType="text/xml", vocabularyName="SAFE", textInfo=title), "xmlData")


def _processing(metadata: Element, identity: Identity, ipf_version: str) -> None:
    data = _wrap(metadata, "processing", "Processing", "PDI")
    stamp = written(identity.stop)
    processing = add(data, _tag("safe", "processing"), name="GRD Post Processing", start=stamp, stop=stamp)
    facility = add(processing, _tag("safe", "facility"), country="", name="Simulated scene", organisation="", site="")
    add(facility, _tag("safe", "software"), name="Sentinel-1 IPF", version=ipf_version)


def _platform(metadata: Element, identity: Identity) -> None:
    platform = add(_wrap(metadata, "platform", "Platform Description"), _tag("safe", "platform"))
    add(platform, _tag("safe", "nssdcIdentifier"), identity.nssdc)
    add(platform, _tag("safe", "familyName"), "SENTINEL-1")
    add(platform, _tag("safe", "number"), identity.platform[-1])
    instrument = add(platform, _tag("safe", "instrument"))
    add(instrument, _tag("safe", "familyName"), "Synthetic Aperture Radar", abbreviation="SAR")
    mode = add(add(instrument, _tag("safe", "extension")), _tag("s1sarl1", "instrumentMode"))
    add_all(mode, {_tag("s1sarl1", "mode"): identity.mode.name, _tag("s1sarl1", "swath"): identity.mode.swath})


def _orbit(metadata: Element, identity: Identity) -> None:
    orbit = add(_wrap(metadata, "measurementOrbitReference", "Orbit Reference"), _tag("safe", "orbitReference"))
    for name, number in (("orbitNumber", identity.orbit), ("relativeOrbitNumber", identity.relative_orbit)):
        for end in ("start", "stop"):
            add(orbit, _tag("safe", name), number, type=end)
    add_all(orbit, {_tag("safe", "cycleNumber"): 1 + identity.orbit // 175, _tag("safe", "phaseIdentifier"): 1})
    properties = add(add(orbit, _tag("safe", "extension")), _tag("s1", "orbitProperties"))
    add(properties, _tag("s1", "pass"), "ASCENDING" if identity.ascending else "DESCENDING")
    add(properties, _tag("s1", "ascendingNodeTime"), identity.anx)


def _general(metadata: Element, identity: Identity) -> None:
    data = _wrap(metadata, "generalProductInformation", "General Product Information")
    product = add(data, _tag("s1sarl1", "standAloneProductInformation"))
    add_all(
        product,
        {
            _tag("s1sarl1", "instrumentConfigurationID"): 2,
            _tag("s1sarl1", "missionDataTakeID"): identity.datatake,
        },
    )
    for polarisation in identity.polarisations:
        add(product, _tag("s1sarl1", "transmitterReceiverPolarisation"), polarisation.upper())
    add_all(
        product,
        {
            _tag("s1sarl1", "productClass"): "S",
            _tag("s1sarl1", "productClassDescription"): "SAR Standard L1 Product",
            _tag("s1sarl1", "productComposition"): "Individual",
            _tag("s1sarl1", "productType"): "GRD",
            _tag("s1sarl1", "productTimelinessCategory"): "NRT-3h",
            _tag("s1sarl1", "sliceProductFlag"): False,
            _tag("s1sarl1", "segmentStartTime"): identity.start,
            _tag("s1sarl1", "sliceNumber"): 0,
            _tag("s1sarl1", "totalSlices"): 0,
        },
    )


def _period(metadata: Element, identity: Identity) -> None:
    period = add(_wrap(metadata, "acquisitionPeriod", "Acquisition Period"), _tag("safe", "acquisitionPeriod"))
    add_all(period, {_tag("safe", "startTime"): identity.start, _tag("safe", "stopTime"): identity.stop})
    anx = add(add(period, _tag("safe", "extension")), _tag("s1", "timeANX"))
    for name, moment in (("startTimeANX", identity.start), ("stopTimeANX", identity.stop)):
        add(anx, _tag("s1", name), f"{(moment - identity.anx).total_seconds() * 1e3:.6e}")


def updated_manifest(source: Path, folder: Path) -> bytes:
    """A real product's manifest with sizes and checksums of the files now in ``folder``, the others left out."""
    root = parse(source)
    section = root.find("dataObjectSection")
    if section is None:
        raise ValueError(f"{source.name} has no dataObjectSection")
    gone = set()
    for entry in list(section):
        location, stream, total = (entry.find(".//fileLocation"), entry.find("byteStream"), entry.find(".//checksum"))
        if location is None or stream is None or total is None:
            continue
        path = folder / location.get("href", "")
        if path.is_file():
            stream.set("size", str(path.stat().st_size))
            total.text = checksum_of(path)
        else:
            gone.add(entry.get("ID", ""))
            section.remove(entry)
    for parent in list(root.iter()):
        for child in list(parent):
            pointer = child.find("dataObjectPointer")
            if pointer is not None and pointer.get("dataObjectID") in gone:
                parent.remove(child)
    return encode(root)
