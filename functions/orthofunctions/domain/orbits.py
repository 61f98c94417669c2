"""Which orbit files the products of a pass take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from orthocontracts.inputs import InputFile
from orthocontracts.orbits import OrbitName, best_orbit
from orthocontracts.outputs import Source
from orthofunctions.domain.facts import ProductFacts

_MANIFEST_S: Final = timedelta(seconds=1)
"""By how much a manifest's times may be off those of the first and last line."""


class OrbitFile(NamedTuple):
    """An orbit file as the plan finds it; what a worker fetches and the store, where that is not blob storage."""

    name: OrbitName
    source: Source
    elsewhere: InputFile | None = None
    store: str | None = None


Shelf = Mapping[str, OrbitFile]
"""By their references. Predicted ones do not belong there: the orbit in a product is no worse."""


def orbits_of_pass(slices: Sequence[ProductFacts], shelf: Shelf) -> dict[str, Source] | None:
    """The best file of each product, by its reference. None, that is the products' own orbits, where one has none: an
    image is not made of two orbits."""
    found: dict[str, Source] = {}
    names = [file.name for file in shelf.values()]
    for product in slices:
        if product.mission != "sentinel-1" or product.start is None or product.stop is None:
            return None
        best = best_orbit(names, product.name[:3], product.start - _MANIFEST_S, product.stop + _MANIFEST_S)
        if best is None:
            return None
        found[product.source.ref] = shelf[best.path].source
    return found
