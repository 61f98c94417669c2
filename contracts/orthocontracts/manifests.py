"""What a SAFE manifest says: times, footprint, the files and their checksums. Metadata only, never pixels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

LonLat = tuple[float, float]


class ManifestError(ValueError):
    """A manifest without what a plan needs."""

    def __init__(self, name: str, missing: str) -> None:
        super().__init__(f"{name}: the manifest has no {missing}")
        self.name = name
        self.missing = missing


@dataclass(frozen=True)
class ManifestFile:
    """A member of the product as its manifest lists it; ``path`` is relative to the SAFE folder."""

    path: str
    size_bytes: int
    md5: str


@dataclass(frozen=True)
class SafeManifest:
    start: datetime
    stop: datetime
    footprint_lonlat: tuple[LonLat, ...]
    polarisations: tuple[str, ...]
    files: tuple[ManifestFile, ...]


def parse_safe_manifest(root: Element, name: str) -> SafeManifest:
    """Read a SAFE manifest (XFDU), given the root element its caller parsed safely.

    The footprint comes as four or more ``lat,lon`` corners in WGS 84 degrees; it is returned as a ring of
    ``(lon_deg, lat_deg)`` without the repeated first point.

    Raises
    ------
    ManifestError
        Where times, footprint or the file list are missing or unreadable.
    """
    return SafeManifest(
        start=_time(root, "startTime", name),
        stop=_time(root, "stopTime", name),
        footprint_lonlat=_footprint(root, name),
        polarisations=tuple(
            dict.fromkeys(
                text.strip().lower() for text in _texts(root, "transmitterReceiverPolarisation") if text.strip()
            )
        ),
        files=_files(root, name),
    )


def _texts(root: Element, local_name: str) -> list[str]:
    return [node.text or "" for node in root.iter() if node.tag.rsplit("}", 1)[-1] == local_name]


def _time(root: Element, local_name: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_texts(root, local_name)[0].strip())
    except (IndexError, ValueError) as error:
        raise ManifestError(name, f"readable {local_name}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _footprint(root: Element, name: str) -> tuple[LonLat, ...]:
    try:
        corners = [tuple(map(float, pair.split(","))) for pair in _texts(root, "coordinates")[0].split()]
        ring = [(lon, lat) for lat, lon in corners]
    except (IndexError, ValueError) as error:
        raise ManifestError(name, "readable footprint (gml:coordinates)") from error
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    if len(ring) < 3 or not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring):
        raise ManifestError(name, "footprint of three or more corners in degrees")
    return tuple(ring)


def _files(root: Element, name: str) -> tuple[ManifestFile, ...]:
    files = []
    for stream in (node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == "byteStream"):
        parts = {node.tag.rsplit("}", 1)[-1]: node for node in stream}
        try:
            files.append(
                ManifestFile(
                    path=parts["fileLocation"].attrib["href"].removeprefix("./"),
                    size_bytes=int(stream.attrib["size"]),
                    md5=(parts["checksum"].text or "").strip().lower(),
                )
            )
        except (KeyError, ValueError) as error:
            raise ManifestError(name, "path, size and checksum for every byteStream") from error
    if not files:
        raise ManifestError(name, "list of files (byteStream)")
    return tuple(files)
