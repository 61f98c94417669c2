"""Which members of a product an image needs: what holds no other pixels than those of bands nobody asked for is left.

Only what is known to be of no use is left out: metadata, masks, and all that this does not know, come along.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from orthocontracts.products import Mission, mission_of

_BAND_OF: Final[dict[Mission, re.Pattern[str]]] = {
    "sentinel-1": re.compile(r"measurement/s1[a-d]-[a-z0-9]+-grd-(hh|hv|vh|vv)-[-a-z0-9]+\.tiff?$", re.IGNORECASE),
    "sentinel-2": re.compile(r"/IMG_DATA/(?:R\d+m/)?[^/]*_(B\d\d|B8A|AOT|WVP|TCI)(?:_\d+m)?\.jp2$"),
    "sentinel-3": re.compile(r"(Oa\d\d)_radiance(?:_unc)?\.nc$"),
}


def needed_members(product: str, members: Iterable[str], bands: Collection[str] | None) -> frozenset[str]:
    """Of a product's members those that an image of these bands needs; all of them where no bands are named.

    Parameters
    ----------
    product : str
        Its name or reference.
    members : iterable of str
        Paths, inside its folder or below anything else.
    """
    mission = mission_of(product)
    pattern = _BAND_OF.get(mission) if mission else None
    if not bands or pattern is None:
        return frozenset(members)
    wanted = {band.lower() for band in bands}
    # OLCI's uncertainty of a radiance is a band of its own, in a file of its own
    files = {band.removesuffix("_unc") for band in wanted} if mission == "sentinel-3" else wanted
    return frozenset(member for member in members if not (found := pattern.search(member)) or found[1].lower() in files)
