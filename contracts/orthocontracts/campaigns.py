"""Campaigns: images made anew of what has long been there, with what nobody else needs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.orders import ProductFilter
from orthocontracts.requests import AuxRef, GridRequest, Options, TerrainRequest, TileGrid
from orthocontracts.tiles import parse_part

CampaignId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
"""An `Identifier` that leaves room: partitions and ids are made of it."""

MOST_AT_ONCE = 500


class CampaignOrder(Document):
    """What a campaign is: the products, what is made of each, and what it may take.

    All of a campaign's work is done in slots that no user's work wants. ``max_eur`` is money of its own, beside the
    month's budget: without it nothing of the campaign runs in the cloud. It is never exceeded: a release reserves what
    the longest run would cost.
    """

    version: Literal[1] = 1
    campaign_id: CampaignId
    user: Identifier
    title: str = Field(default="", max_length=200)
    products: ProductFilter = ProductFilter()
    tiles: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="zones and bands (31T) or tiles (31TCJ): products that touch them, and of these just those tiles",
    )
    since: UtcTime | None = Field(default=None, description="products sensed before are left alone")
    until: UtcTime | None = Field(default=None, description="products sensed after are left alone")
    made_before: int | None = Field(
        default=None,
        ge=1,
        description="only products of which the catalogue has an image by a kernel of a result version below this",
    )
    grid: GridRequest | None = Field(default=None, description="as in a request")
    options: Options = Options()
    terrain: TerrainRequest | None = None
    gipp: AuxRef | None = None
    iers: AuxRef | None = None
    orbits: AuxRef | None = None
    at_once: int = Field(default=20, ge=1, le=MOST_AT_ONCE, description="products under way at the same time")
    max_eur: float | None = Field(
        default=None, ge=0, le=10_000_000, description="money of its own, also for the cloud; None: what costs nothing"
    )
    patience_s: float = Field(
        default=3600.0, ge=0, le=365 * 86_400, description="with max_eur: wait for the centre before the cloud"
    )
    keep_days: float | None = Field(default=None, gt=0, le=3650)
    created_at: UtcTime

    @field_validator("tiles")
    @classmethod
    def _known_tiles(cls, tiles: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if tiles is None else tuple(sorted({parse_part(tile) for tile in tiles}))

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since must be before until")
        if self.tiles is not None and isinstance(self.grid, TileGrid) and self.grid.tiles is not None:
            raise ValueError("name the tiles once: in tiles, not in the grid too")
        return self
