"""Which orbit file of a folder belongs to a scene: their names decide, nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orthokernel.errors import OrbitError
from orthokernel.sentinel1.orbit import MARGIN_S
from orthokernel.sentinel1.orbit_file import KINDS, ORBIT_NAME, OrbitFile, read_orbit_file


@dataclass(frozen=True)
class _Named:
    """What the name of an orbit file says."""

    path: Path
    platform: str
    rank: int
    created: str
    start_utc: np.datetime64
    stop_utc: np.datetime64


def take_orbit(
    orbits: str | os.PathLike[str], platform: str, start_utc: np.datetime64, stop_utc: np.datetime64
) -> OrbitFile:
    """The orbit of a scene from a file, or from the best file of a folder.

    A folder is searched through. A file serves that is of the same satellite and whose validity reaches from
    `MARGIN_S` before the scene to `MARGIN_S` after it; precise ones go before restituted ones, these before predicted
    ones, and among equals the one created last.

    Parameters
    ----------
    orbits : path
        Folder, ``.EOF`` file or zip of one.
    platform : str
        Such as ``"S1A"``.
    start_utc, stop_utc : datetime64
        Of the scene's first and last line.

    Raises
    ------
    OrbitError
        Nothing there, no file that serves, or one that is not what its name says.
    """
    path = Path(orbits)
    if path.is_file():
        return read_orbit_file(path, platform, start_utc, stop_utc)
    if not path.is_dir():
        raise OrbitError(path, "no such file or folder", "an orbit file (.EOF), or a folder with some")
    margin = np.timedelta64(round(MARGIN_S * 1e6), "us")
    named = list(_orbit_files(path))
    fitting = [
        file
        for file in named
        if file.platform == platform and file.start_utc <= start_utc - margin and file.stop_utc >= stop_utc + margin
    ]
    if not fitting:
        own = sum(file.platform == platform for file in named)
        raise OrbitError(
            path,
            f"{len(named)} orbit files, {own} of them of {platform}, none valid from {start_utc} to {stop_utc} with "
            f"{MARGIN_S:g} s to spare",
            "the AUX_POEORB or AUX_RESORB file of that time; put it there, or leave the option out to use the "
            "annotated orbit",
        )
    best = max(fitting, key=lambda file: (-file.rank, file.created, file.path.name))
    return read_orbit_file(best.path, platform, start_utc, stop_utc)


def _orbit_files(folder: Path) -> Iterator[_Named]:
    ranks = list(KINDS)
    for file in folder.rglob("*"):
        name = ORBIT_NAME.fullmatch(file.name)
        if name is None or not file.is_file():
            continue
        start, stop = _moment(name["start"]), _moment(name["stop"])
        if start is None or stop is None:
            continue
        yield _Named(file, name["platform"].upper(), ranks.index(name["kind"].upper()), name["created"], start, stop)


def _moment(text: str) -> np.datetime64 | None:
    day, time = text.upper().split("T")
    try:
        return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}", "us")
    except ValueError:
        return None
