"""What a Sentinel-3 product's name says, and the bands of those that images are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast, get_args

from orthocontracts.productname import ProductNameError, UnsupportedNameError, last_part, utc

ProductType = Literal["OL_1_EFR", "OL_1_ERR", "SL_1_RBT"]

SUPPORTED: Final = "Sentinel-3 OLCI level 1 (OL_1_EFR, OL_1_ERR) and SLSTR level 1 (SL_1_RBT)"
_INSTRUMENTS: Final = {
    "OL": "OLCI (ocean and land colour)",
    "SL": "SLSTR (sea and land surface temperature)",
    "SR": "SRAL (radar altimeter)",
    "SY": "synergy (OLCI with SLSTR)",
    "MW": "MWR (microwave radiometer)",
}
# Mission and type, with the underscores that fill them up: S3A_OL_1_EFR____
_TYPE: Final = re.compile(r"(?P<platform>S3[A-D_])_(?P<type>(?P<source>[A-Z]{2})_(?P<level>[0-2_])_[A-Z0-9_]{6})_")
_REST: Final = re.compile(
    r"(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<created>\d{8}T\d{6})_"
    r"(?P<duration>\d{4})_(?P<cycle>\d{3})_(?P<orbit>\d{3})_(?P<frame>\d{4}|_{4})_"
    r"(?P<centre>[A-Z0-9_]{3})_(?P<class>[A-Z_])_(?P<timeliness>[A-Z]{2})_(?P<collection>[A-Z0-9_]{3})"
)


@dataclass(frozen=True)
class Sentinel3Name:
    """The parts of a Sentinel-3 product name (Sentinel-3 PDGS File Naming Convention, GMES-S3GS-ESA-GS-TN-0001).

    Attributes
    ----------
    cycle, relative_orbit : int
        Together they say which orbit it was: a cycle has 385 of them.
    frame : int or None
        Along-track coordinate of the frame; None for a stripe of a whole dump.
    timeliness : str
        ``NR`` near real time, ``ST`` short time critical, ``NT`` non time critical.
    """

    stem: str
    platform: str
    product_type: ProductType
    start: datetime
    stop: datetime
    created: datetime
    cycle: int
    relative_orbit: int
    frame: int | None
    timeliness: str
    collection: str

    @property
    def pass_key(self) -> str:
        """Of one frame of one orbit in one processing: frames are images of their own."""
        frame = f"{self.start:%Y%m%dT%H%M%S}" if self.frame is None else f"{self.frame:04d}"
        of_orbit = f"{self.platform}-{self.product_type}-{self.cycle:03d}-{self.relative_orbit:03d}-{frame}"
        return f"{of_orbit}-{self.timeliness}-{self.collection}-{self.created:%Y%m%dT%H%M%S}"


def parse_sentinel3(name: str) -> Sentinel3Name:
    """Parse a Sentinel-3 product, folder or zip name.

    Raises
    ------
    UnsupportedNameError
        Where it is one of a type that no images are made of.
    ProductNameError
        Where it is none.
    """
    text = last_part(name)
    head = _TYPE.search(text)
    if head is None or head["source"] not in _INSTRUMENTS:
        raise ProductNameError(name)
    product_type = head["type"].rstrip("_")
    if product_type not in get_args(ProductType):
        of_level = f"level {head['level']} " if head["level"] != "_" else ""
        what = f"a Sentinel-3 {_INSTRUMENTS[head['source']]} {of_level}product of type {product_type}"
        raise UnsupportedNameError(re.sub(r"(\.SEN3)?(\.zip)?$", "", text, flags=re.IGNORECASE), what, SUPPORTED)
    rest = _REST.match(text, head.end())
    if rest is None or head["platform"] == "S3_":
        raise ProductNameError(name)
    return Sentinel3Name(
        stem=head.group(0) + rest.group(0),
        platform=head["platform"],
        product_type=cast(ProductType, product_type),
        start=utc(rest["start"]),
        stop=utc(rest["stop"]),
        created=utc(rest["created"]),
        cycle=int(rest["cycle"]),
        relative_orbit=int(rest["orbit"]),
        frame=None if rest["frame"] == "____" else int(rest["frame"]),
        timeliness=rest["timeliness"],
        collection=rest["collection"],
    )


_OLCI: Final = tuple(f"oa{number:02d}" for number in range(1, 22))
_OLCI_ALL: Final = (*_OLCI, *(f"{band}_unc" for band in _OLCI))
_VIEWS: Final = ("", "_oblique")
_SLSTR: Final = (
    *(f"{channel}{view}" for view in _VIEWS for channel in (*(f"s{number}" for number in range(1, 10)), "f1", "f2")),
    *(f"s{number}_b{view}" for view in _VIEWS for number in (4, 5, 6)),
)
BANDS_OF_TYPE: Final[dict[ProductType, tuple[str, ...]]] = {
    "OL_1_EFR": _OLCI_ALL,
    "OL_1_ERR": _OLCI_ALL,
    "SL_1_RBT": _SLSTR,
}
"""OLCI's radiances and their uncertainties; SLSTR's channels in the nadir and the oblique view, s4 to s6 of stripe A
and of stripe B."""
