"""What a product's name says: mission, type, times, orbit, and which products belong to one pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Mission = Literal["sentinel-1", "rpc"]

_SENTINEL1 = re.compile(
    r"(?P<platform>S1[A-D])_(?P<mode>IW|EW|S[1-6])_(?P<type>SLC_|GRD[FHM]|OCN_|RAW_)_"
    r"(?P<level>[012])(?P<class>[AS])(?P<polarisations>SH|SV|DH|DV|HH|HV|VV|VH)_"
    r"(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<orbit>\d{6})_(?P<datatake>[0-9A-F]{6})_(?P<crc>[0-9A-F]{4})"
)

_POLARISATIONS = {
    "SH": ("hh",),
    "SV": ("vv",),
    "DH": ("hh", "hv"),
    "DV": ("vv", "vh"),
    "HH": ("hh",),
    "HV": ("hv",),
    "VV": ("vv",),
    "VH": ("vh",),
}


class ProductNameError(ValueError):
    """A name that follows none of the conventions orthoburst knows."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is not a product name orthoburst knows; expected a Sentinel-1 name such as "
            "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255(.SAFE or .zip), or a .tif image"
        )
        self.name = name


@dataclass(frozen=True)
class Sentinel1Name:
    """The parts of a Sentinel-1 product name (Sentinel-1 Product Specification, section on naming)."""

    stem: str
    platform: str
    mode: str
    product_type: str
    polarisations: tuple[str, ...]
    start: datetime
    stop: datetime
    absolute_orbit: int
    datatake: str

    @property
    def pass_key(self) -> str:
        """Equal for slices of one datatake, whose neighbouring products share a seam."""
        return f"{self.platform}-{self.absolute_orbit:06d}-{self.datatake}"


def parse_sentinel1(name: str) -> Sentinel1Name:
    """Parse a Sentinel-1 product, folder or zip name.

    Raises
    ------
    ProductNameError
        Where it is not one.
    """
    found = _SENTINEL1.search(name.rsplit("/", 1)[-1])
    if not found:
        raise ProductNameError(name)
    return Sentinel1Name(
        stem=found.group(0),
        platform=found["platform"],
        mode=found["mode"],
        product_type=found["type"].rstrip("_"),
        polarisations=_POLARISATIONS[found["polarisations"]],
        start=_utc(found["start"]),
        stop=_utc(found["stop"]),
        absolute_orbit=int(found["orbit"]),
        datatake=found["datatake"],
    )


def _utc(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def product_of_upload(blob: str) -> str | None:
    """The product reference that an uploaded blob completes, or None while it is only a part of one.

    A SAFE folder has arrived when its manifest, which is uploaded last, is there; a zip or an image when it is.
    ``blob`` is the path inside container ``products``.
    """
    path = blob.strip("/")
    if re.search(r"\.SAFE/", path):
        return f"products/{path.removesuffix('/manifest.safe')}" if re.search(r"\.SAFE/manifest\.safe$", path) else None
    if path.lower().endswith((".zip", ".tif", ".tiff")):
        return f"products/{path}"
    return None


def rpc_sidecars(image: str) -> tuple[str, ...]:
    """File names under which the RPC of an image lies beside it, best first; upper and lower case are one.

    ``NAME_RPC.TXT`` is GDAL's and most vendors', ``NAME.RPB`` DigitalGlobe's, ``RPC_….XML`` DIMAP's beside
    ``IMG_…_R1C1.TIF``, ``NAME.geom`` OTB's. A worker needs the one that is there as much as the image.
    """
    stem = image.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    named = [f"{stem}_RPC.TXT", f"{stem}.RPB"]
    if stem.upper().startswith("IMG_"):
        named += dict.fromkeys(f"RPC_{part[4:]}.XML" for part in (stem, re.sub(r"_R\d+C\d+$", "", stem)))
    return (*named, f"{stem}.geom")
