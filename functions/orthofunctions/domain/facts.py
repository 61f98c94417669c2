"""What a plan knows of a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orthocontracts.inputs import InputFile
from orthocontracts.manifests import OrbitDirection
from orthocontracts.outputs import Source
from orthocontracts.products import Mission
from orthofunctions.domain.footprints import LonLat, tiles_called_for
from orthofunctions.domain.suits import RPC, SENTINEL1_GRD, TRAITS, Traits


@dataclass(frozen=True)
class ProductFacts:
    """A product as its metadata describe it. Those with the same ``pass_key`` are slices of one pass, or tiles of one
    datatake."""

    source: Source
    mission: Mission
    name: str
    pass_key: str
    footprint_lonlat: tuple[LonLat, ...]
    reach_lonlat: tuple[LonLat, ...]
    """Points whose bounding box holds the whole image, whatever the height of its terrain."""
    bytes_at: Mapping[str, int] = field(default_factory=dict)
    """Bytes that lie in stores of a site rather than in blob storage."""
    product_type: str = ""
    """``L1C``, ``OL_1_EFR``, ...: a key of `suits.TRAITS`, where the mission has more than one."""
    own_tile: str | None = None
    """The MGRS tile that its pixels lie on already."""
    elsewhere: tuple[InputFile, ...] = ()
    """What a worker fetches, where it is not in blob storage."""
    manifest_content: str = ""
    """A hash of what its manifest lists: the same whether it is packed or not. What a folder is known by."""
    start: datetime | None = None
    stop: datetime | None = None
    """Of its first and last line, where a plan wants to know: Sentinel-1's."""

    orbit_direction: OrbitDirection | None = None
    relative_orbit: int | None = None

    @property
    def kind(self) -> str:
        """The key of its traits."""
        return self.product_type or (SENTINEL1_GRD if self.mission == "sentinel-1" else RPC)

    @property
    def traits(self) -> Traits:
        return TRAITS[self.kind]

    @property
    def calls_for(self) -> frozenset[str]:
        """The tiles that "all it touches" means. Of one that lies on a tile already that tile alone: of the eight
        around it has 9.8 km, which those tiles' own products have as well."""
        return frozenset({self.own_tile}) if self.own_tile else tiles_called_for(self.footprint_lonlat)
