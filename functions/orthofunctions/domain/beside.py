"""What images are made with, beside their products: heights, orbits, the instrument's parameters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from orthocontracts.inputs import InputFile
from orthocontracts.outputs import Instrument, ResolvedTerrain, Source
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import AuxiliaryMissingError
from orthofunctions.domain.heights import TiledDem
from orthofunctions.domain.orbits import OrbitFile, Shelf


@dataclass(frozen=True)
class Beside:
    """Of an output, or of all outputs of a task."""

    terrain: ResolvedTerrain
    instrument: Instrument | None
    orbits: tuple[Source, ...] | None

    @classmethod
    def of(
        cls,
        products: Sequence[ProductFacts],
        terrain: ResolvedTerrain | TiledDem | None,
        instrument: Instrument | None,
        orbits: Mapping[str, Source] | None,
    ) -> Self:
        """What products of one pass need of what there is; ``orbits`` by the references of the products.

        Raises
        ------
        AuxiliaryMissingError
            Where something is needed that there is not.
        """
        first = products[0]
        if not first.traits.needs_terrain:
            heights = ResolvedTerrain()
        elif terrain is None:
            raise AuxiliaryMissingError(f"{first.name} needs heights: name a dem or height_m")
        else:
            heights = terrain.under(products) if isinstance(terrain, TiledDem) else terrain
        if first.traits.needs_instrument and instrument is None:
            raise AuxiliaryMissingError(
                f"{first.name} needs the parameters of its instrument: name their folder as gipp"
            )
        return cls(
            heights,
            instrument if first.traits.needs_instrument else None,
            _each_once([[orbits[product.source.ref] for product in products]]) if orbits else None,
        )

    @classmethod
    def together(cls, several: Sequence[Self]) -> Self:
        """What a task needs for all its outputs, which differ in tiles and orbits alone."""
        first = several[0]
        tiles = _each_once(one.terrain.tiles for one in several)
        terrain = first.terrain if tiles is None else first.terrain.model_copy(update={"tiles": tiles})
        return cls(terrain, first.instrument, _each_once(one.orbits for one in several))


def bytes_at(
    products: Iterable[ProductFacts],
    beside: Beside,
    terrain: ResolvedTerrain | TiledDem | None,
    orbits: Shelf | None = None,
) -> dict[str, int]:
    """Of the products, by store. One that holds tiles of the DEM or orbits must be at hand too, but those are not
    counted."""
    found: dict[str, int] = {}
    for product in products:
        for store, n_bytes in product.bytes_at.items():
            found[store] = found.get(store, 0) + n_bytes
    if beside.terrain.tiles and isinstance(terrain, TiledDem) and terrain.store is not None:
        found.setdefault(terrain.store, 0)
    for orbit in _taken(beside, orbits):
        if orbit.store is not None:
            found.setdefault(orbit.store, 0)
    return found


def files_elsewhere(
    products: Iterable[ProductFacts],
    beside: Beside,
    terrain: ResolvedTerrain | TiledDem | None,
    orbits: Shelf | None = None,
) -> tuple[InputFile, ...] | None:
    """What a worker fetches that is not in blob storage; None where all is."""
    files = [file for product in products for file in product.elsewhere]
    if isinstance(terrain, TiledDem):
        files += [terrain.elsewhere[tile.ref] for tile in beside.terrain.tiles or () if tile.ref in terrain.elsewhere]
    files += [orbit.elsewhere for orbit in _taken(beside, orbits) if orbit.elsewhere is not None]
    return tuple(files) or None


def _taken(beside: Beside, orbits: Shelf | None) -> Sequence[OrbitFile]:
    return [orbits[source.ref] for source in beside.orbits or ()] if orbits else []


def _each_once(several: Iterable[Iterable[Source] | None]) -> tuple[Source, ...] | None:
    """In one order; None where there are none."""
    found = {source.ref: source for sources in several for source in sources or ()}
    return tuple(found[ref] for ref in sorted(found)) or None
