"""What an orthoimage can have beside it, pixel by pixel: which rasters there are, and how they come with a block.

A producer fills ``block.extras[name]`` wherever it knows something, part by part, on the loop's threads: parts do not
overlap. What it leaves alone is no data. Everything behind it (arrays, files, STAC Item) follows from the table here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.cogtiles import Overviews
from orthokernel.errors import OptionError


@dataclass(frozen=True)
class Extra:
    """A raster beside the image, of the same grid, in the file ``<image>_<name>.tif``.

    Attributes
    ----------
    dtype : {"uint8", "float32"}
    no_data : float
        Of floats NaN.
    overviews : {"average", "nearest"}
    title : str
        For the STAC Item.
    unit : str or None
    """

    dtype: str
    no_data: float
    overviews: Overviews
    title: str
    unit: str | None = None


EXTRAS: Final[dict[str, Extra]] = {
    "layover_shadow": Extra("uint8", 0, "nearest", "0: no data; bit 0 imaged, bit 1 radar shadow, bit 2 layover"),
    "local_incidence": Extra("float32", np.nan, "average", "angle between look direction and surface normal", "deg"),
    "scattering_area": Extra("float32", np.nan, "average", "illuminated area per flat reference area, linear"),
    "scene_classification": Extra("uint8", 0, "nearest", "class of the ground or of what hides it"),
    "detector": Extra("uint8", 0, "nearest", "0: no data; number of the detector"),
    "quality": Extra("uint8", 0, "nearest", "0: no data; bit 0 looked at, others: what is wrong"),
    "acquisition": Extra("uint8", 0, "nearest", "0: no data; k: from the k-th product of orthoburst:products"),
}
OF_SIGHT: Final = ("layover_shadow", "local_incidence", "scattering_area")
"""Those that need a radar's geometry."""
OF_CLASSES: Final = ("scene_classification", "detector", "quality")
"""Those that a product brings, whose own words say what their numbers mean (`Product.extras`)."""
OF_NRB: Final = ("layover_shadow", "local_incidence", "acquisition")
"""Those that Normalised Radar Backscatter, which terrain-flattened gamma0 is, always has beside it."""


def resolve_extras(
    names: Sequence[str], n_products: int, radiometry: str, is_radar: bool, of_classes: Collection[str] = ()
) -> tuple[str, ...]:
    """The extras asked for and those that the radiometry brings, each once, in the order of the table.

    Raises
    ------
    OptionError
        There is no such raster, the products have none, or it cannot number so many of them.
    """
    for name in names:
        if name not in EXTRAS:
            raise OptionError(f"extra {name!r}: expected one of {', '.join(EXTRAS)}")
        if name in OF_SIGHT and not is_radar:
            raise OptionError(f"extra {name!r}: expected polarisations of Sentinel-1 products, no other image has it")
        if name in OF_CLASSES and name not in of_classes:
            known = f"those that all of these products have are: {', '.join(sorted(of_classes))}"
            raise OptionError(f"extra {name!r}: {known if of_classes else 'these products have none of its kind'}")
    names = (*names, *OF_NRB) if radiometry == "gamma0_rtc" else names
    if "acquisition" in names and n_products > 255:
        raise OptionError(f"extra 'acquisition' of {n_products} products: expected 255 at most")
    return tuple(name for name in EXTRAS if name in names)


@dataclass(frozen=True)
class Block:
    """Finished pixels of one window of the output.

    Attributes
    ----------
    data : (bands, rows, cols) float32
        NaN where there is none.
    mask : (rows, cols) uint8
        See `MaskBit`.
    extras : dict
        ``(rows, cols)`` arrays by name.
    """

    data: NDArray[np.float32]
    mask: NDArray[np.uint8]
    extras: dict[str, NDArray[Any]]

    @classmethod
    def without_data(cls, data: NDArray[np.float32], extras: Sequence[str]) -> Block:
        """Nothing in it but no data; ``data`` is left as it was."""
        shape = data.shape[1:]
        return cls(data, np.zeros(shape, np.uint8), empty_extras(extras, shape))


def empty_extras(names: Sequence[str], shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Rasters of no data."""
    return {name: np.full(shape, EXTRAS[name].no_data, EXTRAS[name].dtype) for name in names}
