"""What a Sentinel-2 product's name says, and the bands each level has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from orthocontracts.productname import ProductNameError, UnsupportedNameError, last_part, utc

Level = Literal["L1B", "L1C", "L2A"]

SUPPORTED: Final = "Sentinel-2 L1C and L2A tiles (the naming since December 2016) and L1B datatakes"
BANDS: Final = ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b10", "b11", "b12")
BANDS_OF_LEVEL: Final[dict[Level, tuple[str, ...]]] = {
    "L1B": BANDS,
    "L1C": BANDS,
    "L2A": (*(band for band in BANDS if band != "b10"), "aot", "wvp"),
}
"""L2A leaves out the cirrus band, and adds aerosol optical thickness and water vapour."""

_NAME: Final = re.compile(
    r"(?P<platform>S2[A-D])_MSI(?P<level>L1B|L1C|L2A)_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})_R(?P<orbit>\d{3})_"
    r"(?:T(?P<tile>\d{2}[A-Z]{3})_)?(?P<created>\d{8}T\d{6})"
)
_OLD_NAME: Final = re.compile(
    r"(?P<platform>S2[A-D])_(?:OPER|USER)_PRD_MSI(?P<level>L0_|L1A|L1B|L1C|L2A)_(?:[A-Z0-9_]{4})_"
    r"(?P<created>\d{8}T\d{6})_R(?P<orbit>\d{3})_V(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})"
)
_ANY: Final = re.compile(r"S2[A-D_]_(?:(?:OPER|USER)_)?(?P<kind>[A-Z0-9]{3,}(?:_[A-Z0-9]{2,})?)")


@dataclass(frozen=True)
class Sentinel2Name:
    """The parts of a Sentinel-2 product name (Sentinel-2 Products Specification Document, section on naming).

    Attributes
    ----------
    start : datetime
        Sensing start of the datatake: equal for all its tiles.
    baseline : str or None
        Processing baseline, ``"05.09"``; names of before December 2016 have none.
    tile : str or None
        MGRS tile of an L1C or L2A.
    """

    stem: str
    platform: str
    level: Level
    start: datetime
    created: datetime
    baseline: str | None
    relative_orbit: int
    tile: str | None

    @property
    def pass_key(self) -> str:
        """Equal for tiles of one datatake, level and processing baseline: they may be put together."""
        return f"{self.platform}-{self.level}-{self.start:%Y%m%dT%H%M%S}-R{self.relative_orbit:03d}-N{self.baseline}"


def parse_sentinel2(name: str) -> Sentinel2Name:
    """Parse a Sentinel-2 product, folder or zip name.

    Raises
    ------
    UnsupportedNameError
        Where it is one of a kind that no images are made of.
    ProductNameError
        Where it is none.
    """
    text = last_part(name)
    found = _NAME.search(text)
    if found and (found["tile"] is None) == (found["level"] == "L1B"):
        return Sentinel2Name(
            stem=found.group(0),
            platform=found["platform"],
            level=cast(Level, found["level"]),
            start=utc(found["start"]),
            created=utc(found["created"]),
            baseline=f"{found['baseline'][:2]}.{found['baseline'][2:]}",
            relative_orbit=int(found["orbit"]),
            tile=found["tile"],
        )
    old = _OLD_NAME.search(text)
    if old and old["level"] == "L1B":
        return Sentinel2Name(
            stem=old.group(0),
            platform=old["platform"],
            level="L1B",
            start=utc(old["start"]),
            created=utc(old["created"]),
            baseline=None,
            relative_orbit=int(old["orbit"]),
            tile=None,
        )
    if old and old["level"] in ("L1C", "L2A"):
        what = f"a Sentinel-2 {old['level']} in the format of before December 2016, many tiles in one product"
        raise UnsupportedNameError(old.group(0), what, SUPPORTED)
    any_kind = _ANY.match(text)
    if any_kind and not found and _known_kind(any_kind["kind"]):
        raise UnsupportedNameError(_stem(text), f"a Sentinel-2 {_known_kind(any_kind['kind'])}", SUPPORTED)
    raise ProductNameError(name)


def _known_kind(kind: str) -> str | None:
    """Words for products that are known by name only."""
    known = {
        "MSIL0": "level 0 product (compressed source packets)",
        "MSIL1A": "L1A product (uncompressed, not calibrated)",
        "PRD_MSIL0": "level 0 product (compressed source packets)",
        "PRD_MSIL1A": "L1A product (uncompressed, not calibrated)",
        "MSI_L0": "level 0 granule or datastrip alone",
        "MSI_L1A": "L1A granule or datastrip alone",
        "MSI_L1B": "L1B granule or datastrip alone, not a whole product",
        "MSI_L1C": "L1C granule or datastrip alone, not a whole product",
        "MSI_L2A": "L2A granule or datastrip alone, not a whole product",
        "MSIL2H": "L2H product (harmonised by Sen2Like)",
        "MSIL2F": "L2F product (fused by Sen2Like)",
        "MSIL3A": "level 3 synthesis",
    }
    return next((words for start, words in known.items() if kind.startswith(start)), None)


def _stem(text: str) -> str:
    return re.sub(r"\.(SAFE|zip)$", "", text, flags=re.IGNORECASE)
