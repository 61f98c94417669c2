"""What the names of Sentinel-1 orbit files say, and which of them belongs to a scene: nothing is opened.

Source: "GMES Sentinels POD Service File Format Specification", GMES-GSEG-EOPG-FS-10-0075, issue 1.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from orthocontracts.productname import last_part, utc

OrbitKind = Literal["precise", "restituted", "predicted"]

KINDS: Final[dict[str, OrbitKind]] = {"POEORB": "precise", "RESORB": "restituted", "PREORB": "predicted"}
"""By the file type's ending, best first."""

MARGIN_S: Final = 100.0
"""By how much a file's validity must reach beyond a scene on either side: vectors around it are fitted too."""

ORBIT_NAME: Final = re.compile(
    r"(?P<platform>S1[A-D])_[A-Z]{4}_AUX_(?P<kind>POEORB|RESORB|PREORB)_[A-Z0-9]{4}_(?P<created>\d{8}T\d{6})_"
    r"V(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})(\.EOF)?(\.zip)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class OrbitName:
    """An orbit file by its name.

    Attributes
    ----------
    path : str
        As it was given.
    start, stop : datetime
        Of its validity.
    """

    path: str
    platform: str
    kind: OrbitKind
    created: str
    start: datetime
    stop: datetime

    def serves(self, platform: str, start: datetime, stop: datetime) -> bool:
        """Whether it is of that satellite, and valid from before the scene to after it."""
        margin = timedelta(seconds=MARGIN_S)
        return self.platform == platform and self.start <= start - margin and self.stop >= stop + margin


def orbit_of(path: str) -> OrbitName | None:
    """None for what is no orbit file's name."""
    name = ORBIT_NAME.fullmatch(last_part(path))
    if name is None:
        return None
    try:
        start, stop = utc(name["start"].upper()), utc(name["stop"].upper())
    except ValueError:
        return None
    return OrbitName(path, name["platform"].upper(), KINDS[name["kind"].upper()], name["created"].upper(), start, stop)


def best_orbit(orbits: Iterable[OrbitName], platform: str, start: datetime, stop: datetime) -> OrbitName | None:
    """Of those that serve a scene the best: precise before restituted before predicted, of equals the latest made."""
    ranks = list(KINDS.values())
    fitting = [orbit for orbit in orbits if orbit.serves(platform, start, stop)]
    return max(
        fitting, key=lambda orbit: (-ranks.index(orbit.kind), orbit.created, last_part(orbit.path)), default=None
    )
