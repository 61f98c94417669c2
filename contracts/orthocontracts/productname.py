"""A name that says nothing we know, or something we know and do not do; and the times that names have in common."""

from __future__ import annotations

from datetime import UTC, datetime


class ProductNameError(ValueError):
    """A name that follows none of the conventions orthoburst knows."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is not a product name orthoburst knows; expected a Sentinel name such as "
            "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255(.SAFE or .zip), "
            "S2A_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150(.SAFE or .zip), "
            "S3A_OL_1_EFR____20211021T073827_20211021T074112_20211021T091357_0164_077_334_4320_LN1_O_NR_002(.SEN3 or "
            ".zip), or a .tif image"
        )
        self.name = name


class UnsupportedNameError(ProductNameError):
    """A name that is understood, of a product that this version makes no images of."""

    def __init__(self, name: str, what: str, instead: str) -> None:
        ValueError.__init__(self, f"{name} is {what}; this version makes images of {instead}")
        self.name = name


def utc(text: str) -> datetime:
    """``20230605T110619``, as all Sentinel names have it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)  # thirty times as fast as strptime: archives have millions


def last_part(path: str) -> str:
    """What a reference or a path ends with: a product's folder or file, or its name of ``id:NAME``."""
    return path.rstrip("/").rsplit("/", 1)[-1].removeprefix("id:")
