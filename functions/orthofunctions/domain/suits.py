"""What suits a kind of product: whether heights matter to it, its pixel sizes, what can be asked of it. Pure.

The kernel would refuse the same, but only after a worker has fetched gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orthocontracts import sentinel2, sentinel3
from orthocontracts.requests import Extra, Options, Radiometry
from orthofunctions.domain.faults import UnfitOptionError

if TYPE_CHECKING:
    from orthofunctions.domain.facts import ProductFacts

RADAR_RADIOMETRIES: Final[frozenset[Radiometry]] = frozenset({"beta0", "sigma0", "gamma0", "gamma0_rtc"})
RADAR_EXTRAS: Final[frozenset[Extra]] = frozenset({"layover_shadow", "local_incidence", "scattering_area"})


@dataclass(frozen=True)
class Traits:
    """What a kind of product is like.

    Attributes
    ----------
    called : str
        With its article, for messages.
    radiometries : tuple
        The default first.
    quantities : frozenset of str
        Bands that are no images of reflected light: they have physical instead of reflectance.
    extras : frozenset
        Beside ``acquisition``, which every mosaic may have.
    bands : tuple of str or None
        All there can be; None where they are not known from the kind alone.
    needs_terrain : bool
        False where pixels lie on the map already, or every pixel's place is annotated.
    needs_instrument : bool
        Parameters of the instrument, which are not in the product.
    tile_spacing_m, footprint_spacing_m : float
        Of a request that names none.
    is_wide : bool
        A frame that touches about a hundred tiles: by default it is an image by itself, not tiles.
    """

    called: str
    radiometries: tuple[Radiometry, ...] = ("dn",)
    extras: frozenset[Extra] = frozenset()
    bands: tuple[str, ...] | None = None
    quantities: frozenset[str] = frozenset()
    needs_terrain: bool = True
    needs_instrument: bool = False
    tile_spacing_m: float = 10.0
    footprint_spacing_m: float = 10.0
    is_wide: bool = False


def _frame(product_type: sentinel3.ProductType, tile_spacing_m: float, own_spacing_m: float) -> Traits:
    return Traits(
        f"a Sentinel-3 {product_type}",
        ("physical", "dn"),
        frozenset({"quality"}),
        sentinel3.BANDS_OF_TYPE[product_type],
        needs_terrain=False,
        tile_spacing_m=tile_spacing_m,
        footprint_spacing_m=own_spacing_m,
        is_wide=True,
    )


RPC: Final = "rpc"
SENTINEL1_GRD: Final = "GRD"
TRAITS: Final[dict[str, Traits]] = {
    RPC: Traits("an image with RPC"),
    SENTINEL1_GRD: Traits("a Sentinel-1 GRD", ("sigma0", "beta0", "gamma0", "gamma0_rtc", "dn"), RADAR_EXTRAS),
    "L1B": Traits(
        "a Sentinel-2 L1B",
        ("reflectance", "physical", "dn"),
        frozenset({"detector", "quality"}),
        sentinel2.BANDS_OF_LEVEL["L1B"],
        needs_instrument=True,
    ),
    "L1C": Traits(
        "a Sentinel-2 L1C",
        ("reflectance", "dn"),
        frozenset({"detector", "quality"}),
        sentinel2.BANDS_OF_LEVEL["L1C"],
        needs_terrain=False,
    ),
    "L2A": Traits(
        "a Sentinel-2 L2A",
        ("reflectance", "dn"),
        frozenset({"detector", "quality", "scene_classification"}),
        sentinel2.BANDS_OF_LEVEL["L2A"],
        frozenset({"aot", "wvp"}),
        needs_terrain=False,
    ),
    # On tiles a spacing divides 109.8 km; on a footprint it is the instrument's own.
    "OL_1_EFR": _frame("OL_1_EFR", 300.0, 300.0),
    "OL_1_ERR": _frame("OL_1_ERR", 900.0, 1200.0),
    "SL_1_RBT": _frame("SL_1_RBT", 450.0, 500.0),
}


def check_options(options: Options, products: Sequence[ProductFacts]) -> None:
    """Refuse what one of the products cannot have.

    Raises
    ------
    UnfitOptionError
    """
    for product in products:
        traits = product.traits
        if product.mission != "sentinel-1":
            _refuse_radar(options, product)
        unfit = []
        possible = _radiometries(traits, options.bands or ())
        if options.radiometry is not None and options.radiometry not in possible:
            unfit.append(f"radiometry {options.radiometry} (of these bands it has {' or '.join(possible)})")
        others = [one for one in options.extras if one != "acquisition" and one not in traits.extras]
        has = ", ".join(sorted(traits.extras)) or "none of its own"
        unfit += [f"extra {', '.join(others)} (it has {has})"] if others else []
        if traits.bands is not None:
            unknown = [band for band in options.bands or () if band not in traits.bands]
            unfit += [f"band {', '.join(unknown)} (it has {', '.join(traits.bands)})"] if unknown else []
        if unfit:
            raise UnfitOptionError(f"{product.name} is {traits.called}, which has no {', and no '.join(unfit)}")


def _radiometries(traits: Traits, bands: Sequence[str]) -> tuple[Radiometry, ...]:
    """Those that all of the bands have."""
    found = traits.radiometries
    if traits.quantities.intersection(bands):
        found = ("dn",) if set(bands) - traits.quantities else ("physical", "dn")
    return found


def _refuse_radar(options: Options, product: ProductFacts) -> None:
    radar_only = [f"radiometry {options.radiometry}"] if options.radiometry in RADAR_RADIOMETRIES else []
    radar_only += ["noise_removal"] if options.noise_removal else []
    radar_only += [f"extra {extra}" for extra in options.extras if extra in RADAR_EXTRAS]
    if radar_only:
        raise UnfitOptionError(f"{product.name} is not a radar product: leave out {', '.join(radar_only)}")
