"""What requests name, as it is in storage now: each thing looked up once, however many name it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import TypeVar

from orthocontracts.outputs import Instrument, ResolvedTerrain
from orthocontracts.productids import name_in
from orthocontracts.requests import Request, StandingDefault
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import AuxiliaryMissingError, NotHereError, PlanError, ProductMissingError
from orthofunctions.domain.heights import TiledDem, cells_of
from orthofunctions.domain.orbits import Shelf
from orthofunctions.domain.plans import FoundProduct
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.ports import Ports
from orthofunctions.usecases.auxiliaries import orbit_shelf, resolve_instrument, resolve_terrain
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import with_checksum
from orthofunctions.usecases.places import Places
from orthofunctions.usecases.presence import gone
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.upload import default_order
from orthofunctions.usecases.whereabouts import Found, find_product

T = TypeVar("T")
PARALLEL_READS = 16


class Lookup:
    """Answers out of one moment's storage: for one request, or for a thousand that share products and heights.

    What cannot be had is remembered too, and raised for everyone who asks.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: dict[object, object] = {}
        self._lock = Lock()

    @cached_property
    def site(self) -> SiteSpec:
        return load_site(self._ports)

    @cached_property
    def order(self) -> StandingDefault | None:
        return default_order(self._ports)

    @cached_property
    def places(self) -> Places:
        return Places.of_site(self._ports.blobs, self._ports.remote, self.site)

    def learn(self, refs: Iterable[str]) -> None:
        """Inspect products that are not known yet, many at a time."""
        unknown = [ref for ref in dict.fromkeys(refs) if ("product", ref) not in self._known]
        if len(unknown) > 1:
            with ThreadPoolExecutor(min(PARALLEL_READS, len(unknown)), "inspect") as pool:
                list(pool.map(self._try_product, unknown))

    def products(self, refs: Sequence[str]) -> list[ProductFacts]:
        """Facts of every product, in order; of one that is named twice, by its place and by id, once.

        Raises
        ------
        NotHereError
            For all those named by id that are nowhere, where nothing is wrong with the others.
        PlanError
            For the first that has no facts.
        """
        self.learn(refs)
        found: dict[str, ProductFacts] = {}
        looked: dict[str, Sequence[str]] = {}
        for ref in refs:
            try:
                product = self._product(ref)
            except NotHereError as error:
                looked |= error.looked
            else:
                found.setdefault(product.source.ref, product)
        if looked:
            raise NotHereError(looked)
        return list(found.values())

    def found(self, refs: Sequence[str]) -> tuple[FoundProduct, ...]:
        """Where those lie that are named by id. Raises PlanError."""
        named = [(ref, name) for ref in refs if (name := name_in(ref)) is not None]
        places = [(ref, self._found(name)) for ref, name in named]
        return tuple(FoundProduct(asked=ref, ref=found.ref, how=found.how) for ref, found in places)

    def terrain(self, request: Request, products: Sequence[ProductFacts]) -> ResolvedTerrain | TiledDem:
        """Heights for a request's products: its own, or the site's.

        Raises
        ------
        AuxiliaryMissingError
        """
        wanted = request.terrain or (self.order.terrain if self.order else None)
        if wanted is None:
            raise AuxiliaryMissingError(
                "the request names no terrain, and the site has no default: name a dem or height_m"
            )
        cells = frozenset(cell for product in products if product.traits.needs_terrain for cell in cells_of(product))
        found = self._once(("terrain", wanted), lambda: resolve_terrain(self.places, wanted))
        return (
            found if isinstance(found, ResolvedTerrain) else self._once(("tiles", wanted, cells), lambda: found(cells))
        )

    def instrument(self, request: Request) -> Instrument | None:
        """The instrument's parameters for a request: its own, or the site's; None where there are none.

        Raises
        ------
        AuxiliaryMissingError
            Where they are named and not there.
        """
        gipp = request.gipp or (self.order.gipp if self.order else None)
        iers = request.iers or (self.order.iers if self.order else None)
        if not gipp:
            return None
        return self._once(("instrument", gipp, iers), lambda: resolve_instrument(self._ports.blobs, gipp, iers))

    def orbits(self, request: Request) -> Shelf | None:
        """Orbit files for a request: those of the folder it names, or of the site's; None where there are none.

        Raises
        ------
        AuxiliaryMissingError
            Where the request names a folder without any, and is not made again when there are some.
        PlanError
            Where it lies on a server that cannot be asked, or that lists nothing.
        """
        folder = request.orbits or (self.order.orbits if self.order else None)
        if folder is None:
            return None
        shelf = self._once(("orbits", folder), lambda: orbit_shelf(self.places, folder))
        may_wait = request.ordered is not None and request.ordered.redo_with_precise_orbit
        if not shelf and request.orbits is not None and not may_wait:
            raise AuxiliaryMissingError(
                f"{request.orbits} holds no precise or restituted orbit files: upload some, or leave orbits out"
            )
        return shelf

    def _found(self, name: str) -> Found:
        return self._once(("found", name), lambda: find_product(self._ports, self.site, name))

    def _product(self, ref: str) -> ProductFacts:
        name = name_in(ref)
        if name is not None:
            return self._product(self._found(name).ref)
        return self._once(("product", ref), lambda: self._inspect(ref))

    def _inspect(self, ref: str) -> ProductFacts:
        try:
            product = inspect_product(self._ports.blobs, ref, self.places)
        except ProductMissingError as error:
            raise gone(self._ports, ref) or error from error
        return with_checksum(self._ports.tables, product)

    def _try_product(self, ref: str) -> None:
        try:
            self._product(ref)
        except PlanError:
            return  # whoever names it will be told

    def _once(self, key: object, look: Callable[[], T]) -> T:
        with self._lock:
            found = self._known.get(key)
        if found is None:
            try:
                found = look()
            except PlanError as error:
                found = error
            with self._lock:
                self._known[key] = found
        if isinstance(found, PlanError):
            raise found
        return found  # type: ignore[return-value]  # what was looked up under this key
