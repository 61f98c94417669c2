"""An orbit file of the Copernicus POD service: the state vectors around a scene.

A precise file holds a vector every 10 s over 26 hours: 4 MB, of which a scene needs some twenty. So the document is
cut before it is parsed: what lies before the first and behind the last vector that is wanted makes, with those in
between, a small XML document of its own. The number of vectors and the document's end are checked for the whole file.

Source: "GMES Sentinels POD Service File Format Specification", GMES-GSEG-EOPG-FS-10-0075, issue 1.3.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orthocontracts.orbits import KINDS, MARGIN_S, ORBIT_NAME, OrbitKind
from orthokernel.container import MAX_METADATA_BYTES
from orthokernel.errors import OrbitError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel1.annotation import StateVectors

Float64Array = NDArray[np.float64]
LONGEST_GAP_S = 30.0
"""Between vectors that are used. They come every 10 s; a gap that a polynomial bridges blindly is an error."""

_OPENS = re.compile(rb"<(?:\w+:)?OSV[ >]")
_CLOSE = re.compile(rb"</(?:\w+:)?OSV\s*>")
_UTC = re.compile(rb"UTC=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)")


@dataclass(frozen=True)
class OrbitFile:
    """The part of an orbit file that a scene needs.

    Attributes
    ----------
    name : str
        Of the file.
    kind : {"precise", "restituted", "predicted"}
    platform : str
        Such as ``"S1A"``.
    time_utc : (N,) datetime64[us]
        Increasing.
    position_m, velocity_m_s : (N, 3) float64
        Earth-fixed.
    """

    name: str
    kind: OrbitKind
    platform: str
    time_utc: NDArray[np.datetime64]
    position_m: Float64Array
    velocity_m_s: Float64Array

    def since(self, epoch_utc: np.datetime64) -> StateVectors:
        """The vectors with times in seconds since a moment."""
        time_s = (self.time_utc - epoch_utc) / np.timedelta64(1, "us") * 1e-6
        return StateVectors(time_s.astype(np.float64), self.position_m, self.velocity_m_s)


def read_orbit_file(path: Path, platform: str, start_utc: np.datetime64, stop_utc: np.datetime64) -> OrbitFile:
    """The state vectors from `MARGIN_S` before a scene to `MARGIN_S` after it.

    Vectors that are not flagged NOMINAL (those around a manoeuvre, say) are left out.

    Parameters
    ----------
    path : Path
        An ``.EOF`` file, or a zip with one.
    platform : str
        The scene's, such as ``"S1A"``.
    start_utc, stop_utc : datetime64
        Of the scene's first and last line.

    Raises
    ------
    OrbitError
        Not an orbit file, damaged, of another satellite, in another frame or time scale, or it leaves a part of the
        scene without vectors.
    UnsafeXmlError, MalformedXmlError, AnnotationError
        See `XmlDocument`.
    """
    content = _read(path)
    wanted = start_utc - _margin(), stop_utc + _margin()
    xml = XmlDocument.parse(_cut(content, path, *wanted), str(path))
    kind = _check_header(xml, path, platform)
    vectors = [
        vector
        for vector in xml.find_all("{*}Data_Block/{*}List_of_OSVs/{*}OSV")
        if vector.text("{*}Quality").upper() == "NOMINAL"
    ]
    time_utc = np.array([_utc(vector, path) for vector in vectors], dtype="datetime64[us]")
    _check_cover(path, time_utc, start_utc, stop_utc)
    return OrbitFile(
        name=path.name,
        kind=kind,
        platform=platform,
        time_utc=time_utc,
        position_m=np.array([[vector.number(f"{{*}}{axis}") for axis in "XYZ"] for vector in vectors]),
        velocity_m_s=np.array([[vector.number(f"{{*}}V{axis}") for axis in "XYZ"] for vector in vectors]),
    )


def _margin() -> np.timedelta64:
    return np.timedelta64(round(MARGIN_S * 1e6), "us")


def _read(path: Path) -> bytes:
    if path.suffix.lower() != ".zip":
        if path.stat().st_size > MAX_METADATA_BYTES:
            raise OrbitError(path, f"a file of {path.stat().st_size} bytes", "an orbit file of about 4 MB")
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.upper().endswith(".EOF")]
            if len(members) != 1 or members[0].file_size > MAX_METADATA_BYTES:
                raise OrbitError(path, f"a zip with {len(members)} .EOF files", "one, of about 4 MB")
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise OrbitError(path, f"a zip that cannot be read ({error})", "a complete zip with one .EOF file") from error


def _cut(content: bytes, path: Path, first_utc: np.datetime64, last_utc: np.datetime64) -> bytes:
    """The document without the vectors outside a span of time. Vectors are in order of time in every orbit file."""
    opens = [match.start() for match in _OPENS.finditer(content)]
    closes = list(_CLOSE.finditer(content))
    counted = re.search(rb"List_of_OSVs\s+count=[\"'](\d+)[\"']", content)
    announced = int(counted[1]) if counted else -1
    if not opens or len(opens) != len(closes) or len(opens) != announced:
        raise OrbitError(
            path,
            f"{len(closes)} complete orbit state vectors of {max(announced, 0)} announced",
            "a complete orbit file (.EOF)",
        )

    def time_of(index: int) -> np.datetime64:
        found = _UTC.search(content, opens[index], closes[index].end())
        if found is None:
            raise OrbitError(path, f"orbit state vector {index + 1} without a UTC time", "one for each vector")
        return _moment(found[1].decode(), path)

    first = bisect_left(range(len(opens)), first_utc, key=time_of)
    last = bisect_right(range(len(opens)), last_utc, key=time_of)
    kept = content[opens[first] : closes[last - 1].end()] if first < last else b""
    return content[: opens[0]] + kept + content[closes[-1].end() :]


def _utc(vector: XmlDocument, path: Path) -> np.datetime64:
    return _moment(vector.text("{*}UTC").removeprefix("UTC="), path)


def _moment(text: str, path: Path) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError as error:
        raise OrbitError(path, f"the time {text[:40]!r}", "one such as 2021-01-19T22:59:42.000000") from error


def _check_header(xml: XmlDocument, path: Path, platform: str) -> OrbitKind:
    """The file's kind, where its header says what a name promised and the geometry needs."""
    header = xml.find("{*}Earth_Explorer_Header")
    file_type = header.text("{*}Fixed_Header/{*}File_Type").upper()
    kind = KINDS.get(file_type.removeprefix("AUX_"))
    if kind is None:
        raise OrbitError(path, f"a file of type {file_type}", "AUX_POEORB, AUX_RESORB or AUX_PREORB")
    named = ORBIT_NAME.fullmatch(path.name)
    if named is not None and KINDS[named["kind"].upper()] != kind:
        raise OrbitError(path, f"a file of type {file_type}", "the type that its name says")
    mission = header.text("{*}Fixed_Header/{*}Mission")
    if mission.upper().replace("SENTINEL-", "S").replace("SENTINEL", "S") != platform:
        raise OrbitError(path, f"an orbit of {mission}", f"one of Sentinel-{platform[1:]}")
    for tag, expected in (("Ref_Frame", "EARTH_FIXED"), ("Time_Reference", "UTC")):
        found = header.text(f"{{*}}Variable_Header/{{*}}{tag}")
        if found.upper() != expected:
            raise OrbitError(path, f"{tag} {found}", expected)
    return kind


def _check_cover(
    path: Path, time_utc: NDArray[np.datetime64], start_utc: np.datetime64, stop_utc: np.datetime64
) -> None:
    scene = f"the scene from {start_utc} to {stop_utc} and {MARGIN_S:g} s around it"
    if time_utc.size and not (np.diff(time_utc) > np.timedelta64(0)).all():
        raise OrbitError(path, "orbit state vectors out of order", "times that increase")
    longest = np.timedelta64(round(LONGEST_GAP_S * 1e6), "us")
    edges = np.concatenate([[start_utc - _margin()], time_utc, [stop_utc + _margin()]]).astype("datetime64[us]")
    gaps = np.diff(edges)
    if (gaps > longest).any():
        worst = int(gaps.argmax())
        raise OrbitError(
            path,
            f"no state vector of nominal quality between {edges[worst]} and {edges[worst + 1]}",
            f"one every {LONGEST_GAP_S:g} s or closer over {scene}; give another orbit file, or none",
        )
