"""A new product as standing orders look at it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orthocontracts.manifests import OrbitDirection
from orthocontracts.products import Mission
from orthofunctions.domain.footprints import LonLat


@dataclass(frozen=True)
class Arrival:
    """What is known of a product; None where it does not tell.

    Attributes
    ----------
    sensed_at : datetime
        Its start; of an image with RPC, that of its upload.
    footprint_lonlat : tuple
        Points along its outline, dense enough for straight edges between them.
    """

    ref: str
    mission: Mission
    product_type: str
    footprint_lonlat: tuple[LonLat, ...]
    sensed_at: datetime
    platform: str | None = None
    mode: str | None = None
    polarisations: tuple[str, ...] = ()
    orbit_direction: OrbitDirection | None = None
    relative_orbit: int | None = None
    cloud_cover_percent: float | None = None
