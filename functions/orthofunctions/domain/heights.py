"""Which tiles of a DEM the images of a pass need. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orthocontracts.demtiles import Cell, cells_under
from orthocontracts.inputs import InputFile
from orthocontracts.outputs import ResolvedTerrain, Source
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import AuxiliaryMissingError

MARGIN_DEG: Final = 0.25
"""Of latitude: 28 km. What a product's reach leaves out is the ground that only shades, or is laid over, its edge; and
the kernel's blocks, of 5 km, decide as a whole."""


@dataclass(frozen=True)
class TiledDem:
    """A folder of tiles, as far as a request's products may need them.

    Attributes
    ----------
    tiles : mapping
        Those that are there.
    listed : frozenset or None
        Squares that its list has; None where it has no list: then what is not there is the sea.
    elsewhere : mapping
        Of tiles that do not lie in blob storage, by their references, what a worker fetches.
    """

    ref: str
    geoid: Source | None
    tiles: Mapping[Cell, Source]
    listed: frozenset[Cell] | None = None
    elsewhere: Mapping[str, InputFile] = field(default_factory=dict)
    store: str | None = None

    def under(self, products: Sequence[ProductFacts]) -> ResolvedTerrain:
        """The terrain of some products.

        Raises
        ------
        AuxiliaryMissingError
            Where there is no tile at all, or one is missing that the list has.
        """
        cells = sorted(cell for product in products for cell in cells_of(product))
        absent = [cell for cell in cells if self.listed is not None and cell in self.listed and cell not in self.tiles]
        if absent:
            raise AuxiliaryMissingError(
                f"{self.ref} lacks the tile of {_place(absent[0])}, which its list has: upload it, or name another dem"
            )
        found = {source.ref: source for cell in cells if (source := self.tiles.get(cell)) is not None}
        if not found:
            raise AuxiliaryMissingError(
                f"{self.ref} has no Copernicus DEM tile from {_place(cells[0])} to {_place(cells[-1])}, under "
                f"{products[0].name}: fetch them (`orthoburst dem`), or name another dem"
            )
        tiles = tuple(found[ref] for ref in sorted(found))
        content = hashlib.sha256("\n".join(f"{one.ref}|{one.content}" for one in tiles).encode()).hexdigest()
        size_bytes = sum(one.size_bytes for one in tiles)
        dem = Source(ref=self.ref, content=content, size_bytes=size_bytes, kind="folder")
        return ResolvedTerrain(dem=dem, tiles=tiles, geoid=self.geoid)


def cells_of(product: ProductFacts) -> frozenset[Cell]:
    """The squares whose heights may matter to an image of a product."""
    return cells_under(product.reach_lonlat, MARGIN_DEG)


def _place(cell: Cell) -> str:
    north, east = "S" if cell.lat_deg < 0 else "N", "W" if cell.lon_deg < 0 else "E"
    return f"{north}{abs(cell.lat_deg):02d} {east}{abs(cell.lon_deg):03d}"
