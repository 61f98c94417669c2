"""Standing orders: what somebody wants made of every new product that fits, for as long as they say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from orthocontracts.areas import Area
from orthocontracts.manifests import OrbitDirection
from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.products import Mission
from orthocontracts.requests import AuxRef, GridRequest, Options, OrbitsRef, Subscriber, TerrainRequest

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,32}$")]


class ProductFilter(Document):
    """Which products an order is for. What is None does not matter; a product must fit all the rest.

    A product that does not tell what is asked of it, as an image with RPC its orbit, does not fit.
    """

    area: Area | None = Field(default=None, description="touched by the product's footprint; None: anywhere")
    missions: tuple[Mission, ...] | None = Field(default=None, min_length=1)
    product_types: tuple[Word, ...] | None = Field(
        default=None, min_length=1, max_length=16, description="GRD, L1B, L1C, L2A, OL_1_EFR, OL_1_ERR, SL_1_RBT, rpc"
    )
    platforms: tuple[Word, ...] | None = Field(default=None, min_length=1, max_length=16, description="S1A, S2B, …")
    modes: tuple[Word, ...] | None = Field(
        default=None, min_length=1, max_length=16, description="of Sentinel-1: IW, EW, S1, …"
    )
    polarisations: tuple[Literal["hh", "hv", "vv", "vh"], ...] | None = Field(
        default=None, min_length=1, description="all of which the product must have"
    )
    orbit_direction: OrbitDirection | None = None
    relative_orbits: tuple[Annotated[int, Field(ge=1, le=385)], ...] | None = Field(
        default=None, min_length=1, max_length=385
    )
    max_cloud_cover_percent: float | None = Field(default=None, ge=0, le=100, description="of Sentinel-2 L1C and L2A")

    @field_validator("product_types", "platforms", "modes")
    @classmethod
    def _as_products_say_it(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if words is None else tuple(word if word == "rpc" else word.upper() for word in words)


class StandingOrder(Document):
    """What is asked for of every product that fits, as a `Request` would, and until when.

    Equal orders of several users make each image once. ``products_per_month`` caps for how many products an order may
    ask, counted by the month of their arrival; 0 is a pause.
    """

    version: Literal[1] = 1
    order_id: Identifier
    user: Identifier
    title: str = Field(default="", max_length=200)
    products: ProductFilter = ProductFilter()
    grid: GridRequest | None = Field(default=None, description="as in a request")
    options: Options = Options()
    terrain: TerrainRequest | None = None
    gipp: AuxRef | None = None
    iers: AuxRef | None = None
    orbits: OrbitsRef | None = None
    redo_with_precise_orbit: bool = Field(
        default=False,
        description="Sentinel-1: what was made with another orbit is asked for again, once, when the precise one is "
        "in the folder of orbit files. Such images do not count by the month",
    )
    within_s: float | None = Field(
        default=None, gt=0, le=30 * 86_400, description="deadline: so long after the product's arrival"
    )
    patience_s: float | None = Field(default=None, ge=0, le=30 * 86_400)
    urgent: bool = False
    since: UtcTime | None = Field(default=None, description="products sensed before are left alone")
    until: UtcTime | None = Field(default=None, description="products sensed after are left alone")
    products_per_month: int | None = Field(default=None, ge=0, le=1_000_000)
    subscriber: Subscriber | None = None
    shared_with: tuple[Identifier, ...] = Field(default=(), max_length=16)
    keep_days: float | None = Field(default=None, gt=0, le=3650)
    created_at: UtcTime

    @field_validator("redo_with_precise_orbit")
    @classmethod
    def _is_of_sentinel1(cls, redo: bool, info: ValidationInfo) -> bool:
        products = info.data.get("products")
        if redo and products is not None and products.missions is not None and "sentinel-1" not in products.missions:
            raise ValueError("it is for Sentinel-1, which is not among the missions: leave it out")
        return redo
