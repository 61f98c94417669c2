"""What a product's name says: mission, type, times, orbit, and which products belong to one pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from orthocontracts.productname import ProductNameError, UnsupportedNameError, last_part, utc
from orthocontracts.sentinel2 import Sentinel2Name, parse_sentinel2
from orthocontracts.sentinel3 import Sentinel3Name, parse_sentinel3

__all__ = [
    "Mission",
    "ProductNameError",
    "Sentinel1Name",
    "Sentinel2Name",
    "Sentinel3Name",
    "UnsupportedNameError",
    "images_are_made_of",
    "mission_of",
    "parse_product",
    "parse_sentinel1",
    "parse_sentinel2",
    "parse_sentinel3",
    "product_of_upload",
    "rpc_sidecars",
]

Mission = Literal["sentinel-1", "sentinel-2", "sentinel-3", "rpc"]

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
    found = _SENTINEL1.search(last_part(name))
    if not found:
        raise ProductNameError(name)
    return Sentinel1Name(
        stem=found.group(0),
        platform=found["platform"],
        mode=found["mode"],
        product_type=found["type"].rstrip("_"),
        polarisations=_POLARISATIONS[found["polarisations"]],
        start=utc(found["start"]),
        stop=utc(found["stop"]),
        absolute_orbit=int(found["orbit"]),
        datatake=found["datatake"],
    )


def mission_of(name: str) -> Mission | None:
    """The mission of a product by how its name begins, whether or not images are made of it; None: unknown."""
    text = last_part(name)
    if text.lower().endswith((".tif", ".tiff")):
        return "rpc"
    if re.match(r"S2[A-D_]_", text):
        return "sentinel-2"
    if re.match(r"S3[A-D_]_", text):
        return "sentinel-3"
    return "sentinel-1" if _SENTINEL1.search(text) else None


def parse_product(name: str) -> Sentinel1Name | Sentinel2Name | Sentinel3Name:
    """Parse a Sentinel product, folder or zip name.

    Raises
    ------
    UnsupportedNameError
        Where it is one of a kind that no images are made of.
    ProductNameError
        Where it is none.
    """
    match mission_of(name):
        case "sentinel-2":
            return parse_sentinel2(name)
        case "sentinel-3":
            return parse_sentinel3(name)
        case _:
            return parse_sentinel1(name)


def images_are_made_of(name: str) -> bool:
    """Whether it is the name of a Sentinel product of a kind that this version makes images of."""
    try:
        parsed = parse_product(name)
    except ProductNameError:
        return False
    return not isinstance(parsed, Sentinel1Name) or parsed.product_type in ("GRDF", "GRDH", "GRDM")


def product_of_upload(blob: str) -> str | None:
    """The product reference that an uploaded blob completes, or None while it is only a part of one.

    A SAFE or SEN3 folder has arrived when its manifest, which is uploaded last, is there; a zip or an image when it is.
    ``blob`` is the path inside container ``products``.
    """
    path = blob.strip("/")
    folder = re.match(r"(.*?\.(SAFE|SEN3))/(.*)", path)
    if folder:
        manifest = "manifest.safe" if folder[2] == "SAFE" else "xfdumanifest.xml"
        return f"products/{folder[1]}" if folder[3] == manifest else None
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
