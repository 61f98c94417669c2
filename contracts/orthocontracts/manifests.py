"""What a product's manifest says: times, footprint, the files and their checksums. Metadata only, never pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from xml.etree.ElementTree import Element

LonLat = tuple[float, float]
OrbitDirection = Literal["ascending", "descending"]


class ManifestError(ValueError):
    """A manifest without what a plan needs."""

    def __init__(self, name: str, missing: str) -> None:
        super().__init__(f"{name}: the manifest has no {missing}")
        self.name = name
        self.missing = missing


@dataclass(frozen=True)
class ManifestFile:
    """A member of the product as its manifest lists it; ``path`` is relative to the product's folder.

    ``checksum`` is in hex: MD5 or, in newer Sentinel-2 products, SHA3-256.
    """

    path: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class SafeManifest:
    """``stop`` is None where a manifest has only a start (Sentinel-2); radar alone has polarisations.

    Orbit and direction are those of its start, None where the manifest does not tell them (Sentinel-2).
    """

    start: datetime
    stop: datetime | None
    footprint_lonlat: tuple[LonLat, ...]
    polarisations: tuple[str, ...]
    files: tuple[ManifestFile, ...]
    orbit_direction: OrbitDirection | None = None
    relative_orbit: int | None = None


def parse_safe_manifest(root: Element, name: str) -> SafeManifest:
    """Read a Sentinel-1 SAFE manifest (XFDU), given the root element its caller parsed safely.

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
        footprint_lonlat=_ring([pair.split(",") for pair in _coordinates(root, name).split()], name),
        polarisations=tuple(
            dict.fromkeys(
                text.strip().lower() for text in _texts(root, "transmitterReceiverPolarisation") if text.strip()
            )
        ),
        files=listed_files(root, name),
        orbit_direction=_direction(next(iter(_texts(root, "pass")), "")),
        relative_orbit=_relative_orbit(root),
    )


def parse_sentinel2_manifest(root: Element, name: str) -> SafeManifest:
    """Read a Sentinel-2 ``manifest.safe``; as `parse_safe_manifest`, but for footprints of ``lat lon lat lon ...``.

    Raises
    ------
    ManifestError
        Where the start, footprint or the file list are missing or unreadable.
    """
    return SafeManifest(
        start=_time(root, "startTime", name),
        stop=_time(root, "stopTime", name) if _texts(root, "stopTime") else None,
        footprint_lonlat=_ring(_in_pairs(_coordinates(root, name), name), name),
        polarisations=(),
        files=listed_files(root, name),
    )


def parse_sentinel3_manifest(root: Element, name: str) -> SafeManifest:
    """Read a Sentinel-3 ``xfdumanifest.xml``: its footprint is a ``gml:posList`` of ``lat lon lat lon ...``.

    Raises
    ------
    ManifestError
        Where times, footprint or the file list are missing or unreadable.
    """
    return SafeManifest(
        start=_time(root, "startTime", name),
        stop=_time(root, "stopTime", name),
        footprint_lonlat=_ring(_in_pairs(_coordinates(root, name, "posList"), name), name),
        polarisations=(),
        files=listed_files(root, name),
        orbit_direction=_direction(
            next((node.attrib.get("groundTrackDirection", "") for node in _nodes(root, "relativeOrbitNumber")), "")
        ),
        relative_orbit=_relative_orbit(root),
    )


def _nodes(root: Element, local_name: str) -> list[Element]:
    return [node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == local_name]


def _texts(root: Element, local_name: str) -> list[str]:
    return [node.text or "" for node in _nodes(root, local_name)]


def _direction(text: str) -> OrbitDirection | None:
    match text.strip().lower():
        case "ascending":
            return "ascending"
        case "descending":
            return "descending"
    return None


def _relative_orbit(root: Element) -> int | None:
    text = next(iter(_texts(root, "relativeOrbitNumber")), "").strip()
    return int(text) if text.isdecimal() and len(text) < 5 else None


def _time(root: Element, local_name: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_texts(root, local_name)[0].strip())
    except (IndexError, ValueError) as error:
        raise ManifestError(name, f"readable {local_name}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _coordinates(root: Element, name: str, local_name: str = "coordinates") -> str:
    texts = _texts(root, local_name)
    if not texts:
        raise ManifestError(name, f"readable footprint (gml:{local_name})")
    return texts[0]


def _in_pairs(text: str, name: str) -> list[list[str]]:
    numbers = text.replace(",", " ").split()
    if len(numbers) % 2:
        raise ManifestError(name, "readable footprint: its coordinates are no pairs")
    return [numbers[n : n + 2] for n in range(0, len(numbers), 2)]


def _ring(latlon: Sequence[Sequence[str]], name: str) -> tuple[LonLat, ...]:
    """A ring of points without the repeated first one, from texts. Longitudes across the antimeridian jump by a turn,
    whichever way the manifest wrote them."""
    try:
        points = [(float(lon), float(lat)) for lat, lon in latlon]
    except ValueError as error:
        raise ManifestError(name, "readable footprint") from error
    ring = [(lon - 360.0 * round(lon / 360.0) if abs(lon) <= 360.0 else lon, lat) for lon, lat in points]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    if len(ring) < 3 or not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring):
        raise ManifestError(name, "footprint of three or more corners in degrees")
    return tuple(ring)


def listed_files(root: Element, name: str) -> tuple[ManifestFile, ...]:
    """The members that a manifest of any mission lists.

    Raises
    ------
    ManifestError
        Where there are none, or one has no path, size or checksum.
    """
    files = []
    for stream in (node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == "byteStream"):
        parts = {node.tag.rsplit("}", 1)[-1]: node for node in stream}
        try:
            files.append(
                ManifestFile(
                    path=parts["fileLocation"].attrib["href"].removeprefix("./"),
                    size_bytes=int(stream.attrib["size"]),
                    checksum=(parts["checksum"].text or "").strip().lower(),
                )
            )
        except (KeyError, ValueError) as error:
            raise ManifestError(name, "path, size and checksum for every byteStream") from error
    if not files:
        raise ManifestError(name, "list of files (byteStream)")
    return tuple(files)
