"""What a request's products are looked through with: terrain, orbits, parameters of the instrument, as they are now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from orthocontracts import names
from orthocontracts.demtiles import FINEST_FIRST, TILE_LIST, Cell, cells_in_list, tile_name
from orthocontracts.inputs import InputFile
from orthocontracts.orbits import orbit_of
from orthocontracts.outputs import Instrument, ResolvedTerrain, Source
from orthocontracts.references import path_on_worker, scheme_of
from orthocontracts.requests import TerrainRequest
from orthofunctions.domain.faults import AuxiliaryMissingError, NotAllowedError, UnknownProductError, UnreachableError
from orthofunctions.domain.heights import TiledDem
from orthofunctions.domain.orbits import OrbitFile, Shelf
from orthofunctions.ports import BlobFacts, BlobMissingError, Blobs, RemoteDownError, RemoteRefusedError
from orthofunctions.usecases.contents import content_of, content_of_folder
from orthofunctions.usecases.places import Place, Places

PARALLEL_LOOKS: Final = 8
_MOST_LIST_BYTES: Final = 4 * 1024 * 1024


TileLookup = Callable[[frozenset[Cell]], TiledDem]


def resolve_terrain(places: Places, terrain: TerrainRequest) -> ResolvedTerrain | TileLookup:
    """The terrain's files as they are now; of a folder of tiles what looks up those of some squares.

    Raises
    ------
    AuxiliaryMissingError
        Where one is not there.
    NotAllowedError, UnreachableError
        From the look-up, where the folder lies on a server that is not read, or does not answer.
    """
    geoid = _auxiliary(places.blobs, terrain.geoid)
    if terrain.dem is None:
        return ResolvedTerrain(height_m=terrain.height_m)
    dem = terrain.dem.rstrip("/")
    if scheme_of(dem) is None:
        name = dem.removeprefix("aux/")
        facts = places.blobs.facts(names.CONTAINER_AUX, name)
        if facts is not None:
            return ResolvedTerrain(dem=_source(dem, facts), geoid=geoid)
        if next(iter(places.blobs.list(names.CONTAINER_AUX, f"{name}/")), None) is None:
            raise AuxiliaryMissingError(f"{dem} is not there: upload it, or name another")

    def tiles(cells: frozenset[Cell]) -> TiledDem:
        try:
            return _tiles(places.find(dem), geoid, cells)
        except RemoteRefusedError as error:
            raise NotAllowedError(f"{dem}: {error}") from error
        except RemoteDownError as error:
            raise UnreachableError(f"{dem}: {error}; ask again later") from error

    return tiles


def _tiles(place: Place, geoid: Source | None, cells: frozenset[Cell]) -> TiledDem:
    wanted = sorted(cells)
    with ThreadPoolExecutor(PARALLEL_LOOKS) as pool:
        found = dict(zip(wanted, pool.map(lambda cell: _tile(place, cell), wanted), strict=True))
    there = {cell: facts for cell, facts in found.items() if facts is not None}
    sources = {cell: _source(_ref_of(place, facts), facts) for cell, facts in there.items()}
    elsewhere = {} if place.is_near else {sources[cell].ref: place.member_file(facts) for cell, facts in there.items()}
    return TiledDem(place.ref, geoid, sources, _listed(place), elsewhere, place.store)


def _tile(place: Place, cell: Cell) -> BlobFacts | None:
    """The finest tile of a square: below the folder, or in a folder of its own name there."""
    for spacing in FINEST_FIRST:
        name = tile_name(cell, spacing)
        for facts in _candidates(place, name):
            if facts.name.endswith((f"{name}.tif", f"{name}.tiff")):
                return facts
    return None


def _candidates(place: Place, name: str) -> Iterator[BlobFacts]:
    if place.lists:
        yield from place.reader.list(place.container, f"{place.name}/{name}")
        return
    for path in (f"{name}/{name}.tif", f"{name}.tif"):
        facts = place.reader.facts(place.container, f"{place.name}/{path}")
        if facts is not None:
            yield facts


def _ref_of(place: Place, facts: BlobFacts) -> str:
    return f"{place.ref}{facts.name.removeprefix(place.name)}"


def _listed(place: Place) -> frozenset[Cell] | None:
    try:
        text = place.reader.read(place.container, f"{place.name}/{TILE_LIST}", length=_MOST_LIST_BYTES)
    except BlobMissingError:
        return None
    return cells_in_list(text.decode("utf-8", errors="replace").splitlines())


def orbit_shelf(places: Places, ref: str) -> Shelf:
    """The orbit files below a folder, by their names, or the one that is named itself; empty where there is none.

    Predicted ones are left out: the orbit in a product is no worse.

    Raises
    ------
    UnknownProductError
        Where the folder lies where it cannot be listed.
    NotAllowedError, UnreachableError
        Where it lies on a server that is not read, or does not answer.
    """
    place = places.find(ref.rstrip("/"))
    try:
        found = [(_ref_of(place, facts), facts) for facts in _orbit_files(place)]
    except RemoteRefusedError as error:
        raise NotAllowedError(f"{ref}: {error}") from error
    except RemoteDownError as error:
        raise UnreachableError(f"{ref}: {error}; ask again later") from error
    shelf = {}
    for its_ref, facts in found:
        name = orbit_of(its_ref)
        if name is not None and name.kind != "predicted":
            shelf[its_ref] = OrbitFile(name, _source(its_ref, facts), _far_file(place, its_ref, facts), place.store)
    return shelf


def _far_file(place: Place, ref: str, facts: BlobFacts) -> InputFile | None:
    return None if place.is_near else place.input_file(facts).model_copy(update={"path": path_on_worker(ref)})


def _orbit_files(place: Place) -> Iterable[BlobFacts]:
    if orbit_of(place.name) is not None:
        facts = place.facts()
        return [] if facts is None else [facts]
    if not place.lists:
        raise UnknownProductError(
            f"{place.ref}: a folder cannot be listed over https: name a bucket, or a file, or upload orbit files"
        )
    return place.reader.list(place.container, f"{place.name}/")


def resolve_instrument(blobs: Blobs, gipp: str, iers: str | None) -> Instrument:
    """The instrument's files as they are now.

    Raises
    ------
    AuxiliaryMissingError
        Where one is not there.
    """
    folder = gipp.rstrip("/")
    files = list(blobs.list(names.CONTAINER_AUX, f"{folder.removeprefix('aux/')}/"))
    if not files:
        raise AuxiliaryMissingError(
            f"{folder} holds nothing: upload the instrument's parameters, or name another folder"
        )
    source = Source(
        ref=folder, content=content_of_folder(files), size_bytes=sum(file.size_bytes for file in files), kind="folder"
    )
    return Instrument(gipp=source, iers=_auxiliary(blobs, iers))


def _auxiliary(blobs: Blobs, ref: str | None) -> Source | None:
    if ref is None:
        return None
    facts = blobs.facts(names.CONTAINER_AUX, ref.removeprefix("aux/"))
    if facts is None:
        raise AuxiliaryMissingError(f"{ref} is not there: upload it, or name another")
    return _source(ref, facts)


def _source(ref: str, facts: BlobFacts) -> Source:
    return Source(ref=ref, content=content_of(facts), size_bytes=facts.size_bytes)
