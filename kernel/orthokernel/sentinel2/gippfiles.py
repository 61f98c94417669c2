"""Which of many GIPP files belong to a datastrip: names say what they are, of which satellite, and from when on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from orthokernel.errors import GippValidityError, MissingGippError
from orthokernel.sentinel2.datastrip import Datastrip

_NAME: Final = re.compile(
    r"(?P<satellite>S2.)_.{4}_GIP_(?P<kind>\w{6})_.{4}_(?P<made>\d{8}T\d{6})"
    r"_V(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<band>B\w{2})"
)
_ENDINGS: Final = (".xml", ".dbl")


@dataclass(frozen=True)
class GippFile:
    """A file by its name; it holds from ``start_utc`` until ``stop_utc``."""

    path: Path
    satellite: str
    kind: str
    band: str
    made_utc: np.datetime64
    start_utc: np.datetime64
    stop_utc: np.datetime64


def list_files(folder: Path) -> list[GippFile]:
    """All GIPP files in a folder and below it."""
    found = []
    for path in sorted(folder.rglob("*")):
        match = _NAME.fullmatch(path.stem)
        if match is not None and path.suffix.lower() in _ENDINGS and path.is_file():
            times = (_time(match[name]) for name in ("made", "start", "stop"))
            found.append(GippFile(path, match["satellite"], match["kind"], match["band"], *times))
    return found


def choose(files: Sequence[GippFile], folder: Path, kind: str, band: str, datastrip: Datastrip) -> GippFile:
    """The file of a kind and band that belongs to a datastrip.

    The one that the datastrip names, which ESA processed it with; or else, of those in force when it was sensed, the
    one that came into force last. Old datastrips are processed anew with parameters from after their day: where the
    one that is named is of that sort, the next that came into force after it will do.

    Raises
    ------
    MissingGippError
        There is no such file of the satellite.
    GippValidityError
        There is, but for another time.
    """
    of_kind = [one for one in files if (one.kind, one.band) == (kind, band)]
    candidates = [one for one in of_kind if one.satellite == datastrip.satellite]
    if not candidates:
        others = sorted({one.satellite for one in of_kind})
        found = f"GIP_{kind} of {band} only of {', '.join(others)}" if others else f"no GIP_{kind} file of {band}"
        raise MissingGippError(
            folder, found, f"{datastrip.satellite}_OPER_GIP_{kind}_…_{band}.xml or .DBL, which {datastrip.source} needs"
        )
    named = [one for one in candidates if one.path.stem in datastrip.gipp]
    if named:
        return named[-1]
    sensed = datastrip.start_utc
    in_force = [one for one in candidates if one.start_utc <= sensed < one.stop_utc]
    if in_force:
        return max(in_force, key=lambda one: (one.start_utc, one.made_utc))
    wanted = [match for name in sorted(datastrip.gipp) if (match := _NAME.fullmatch(name)) is not None]
    wanted = [match for match in wanted if (match["kind"], match["band"]) == (kind, band)]
    for match in wanted:
        start = _time(match["start"])
        after = [one for one in candidates if one.start_utc >= start > sensed]
        if after:
            return min(after, key=lambda one: (one.start_utc, one.made_utc))
    periods = ", ".join(f"{one.start_utc} to {one.stop_utc}" for one in candidates)
    name = f" ({wanted[0][0]} by its list)" if wanted else ""
    raise GippValidityError(
        folder,
        f"GIP_{kind} of {band} in force {periods}",
        f"one in force at {sensed}, the start of {datastrip.id}{name}",
    )


def _time(text: str) -> np.datetime64:
    return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:15]}", "s")
