"""Which orbit file of a folder belongs to a scene: their names decide, nothing is opened."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from orthocontracts.orbits import MARGIN_S, best_orbit, orbit_of
from orthokernel.errors import OrbitError
from orthokernel.sentinel1.orbit_file import OrbitFile, read_orbit_file


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
    named = [orbit for file in path.rglob("*") if (orbit := orbit_of(str(file))) is not None and file.is_file()]
    best = best_orbit(named, platform, _datetime(start_utc), _datetime(stop_utc))
    if best is None:
        own = sum(orbit.platform == platform for orbit in named)
        raise OrbitError(
            path,
            f"{len(named)} orbit files, {own} of them of {platform}, none valid from {start_utc} to {stop_utc} with "
            f"{MARGIN_S:g} s to spare",
            "the AUX_POEORB or AUX_RESORB file of that time; put it there, or leave the option out to use the "
            "annotated orbit",
        )
    return read_orbit_file(Path(best.path), platform, start_utc, stop_utc)


def _datetime(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
