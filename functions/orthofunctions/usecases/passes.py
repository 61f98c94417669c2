"""The products of a pass that are there: a new one among its neighbours, as the inventory has them."""

from __future__ import annotations

from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter, ValidationError

from orthocontracts import names
from orthocontracts.manifests import OrbitDirection, SafeManifest
from orthocontracts.products import Sentinel1Name, Sentinel2Name, Sentinel3Name, parse_product
from orthocontracts.requests import MAX_PRODUCTS, ProductRef
from orthofunctions.domain.announced import announced_source
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.seams import may_be_cut, one_of_each
from orthofunctions.ports import Ports
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import imaged_between
from orthofunctions.usecases.packagings import packaging_of

AROUND: Final = timedelta(seconds=240)
"""Neighbours of neighbours begin within it: a slice takes 25 s, of EW 65 s, and a tile is 25 s long."""
PARALLEL_READS: Final = 8

_REF: Final[TypeAdapter[str]] = TypeAdapter(ProductRef)


@dataclass(frozen=True)
class Member:
    """A product of a pass, when it came, and its row; None: of the one whose pass was asked for."""

    facts: ProductFacts
    arrived_at: datetime
    listed: InventoryRecord | None = None


Known = MutableMapping[str, ProductFacts | None]
"""Products in the store by reference, as a call has seen them: the slices of a pass have neighbours in common."""


def pass_of(
    ports: Ports, product: ProductFacts, arrived_at: datetime, known: Known, *, arrived_until: datetime | None = None
) -> list[Member]:
    """A product, and those of its pass that are there and whole: one of each slice, the latest to come.

    Whoever has listed a product before it asks sees every other that did the same before: of two that come at the
    same moment one, at least, sees both. ``known`` is asked first, and told; of what came after ``arrived_until``
    nothing is known.
    """
    known[product.source.ref] = product
    members = {product.source.ref: Member(product, arrived_at)}
    if may_be_cut(product):
        listed = (one for one in _listed(ports, product) if arrived_until is None or one.arrived_at <= arrived_until)
        found = sorted(listed, key=lambda one: (one.arrived_at, one.ref), reverse=True)
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            facts = list(pool.map(lambda record: _facts(ports, record, known), found))
        members |= {
            record.ref: Member(one, record.arrived_at, record) for record, one in zip(found, facts, strict=True) if one
        }
    chosen = one_of_each(member.facts for member in members.values())
    nearest = sorted(chosen, key=lambda one: abs(_start_s(one) - _start_s(product)))[:MAX_PRODUCTS]
    return [members[ref] for ref in sorted(one.source.ref for one in nearest)]


def _start_s(product: ProductFacts) -> float:
    return parse_product(product.name).start.timestamp() if may_be_cut(product) else 0.0


def _listed(ports: Ports, product: ProductFacts) -> list[InventoryRecord]:
    """The others of its pass. Of what was announced, only where it was announced itself: what somebody uploads is not
    made to wait for, nor fetched from, an archive."""
    name = parse_product(product.name)
    around = AROUND if isinstance(name, Sentinel1Name) else timedelta(seconds=1)
    is_near = product.source.ref.startswith(f"{names.CONTAINER_PRODUCTS}/")
    return [
        one
        for one in imaged_between(ports, name.start - around, name.start + around)
        if one.mission == product.mission
        and one.ref != product.source.ref
        and (one.arrived != "") is is_near
        and _of(parse_product(one.name)) == _of(name)
    ]


def _of(name: Sentinel1Name | Sentinel2Name | Sentinel3Name) -> tuple[object, ...]:
    """Equal for products that may go on where another ends."""
    if isinstance(name, Sentinel1Name):
        return name.pass_key, name.mode, name.product_type, name.polarisations
    return name.pass_key, getattr(name, "tile", None)


def _facts(ports: Ports, record: InventoryRecord, known: Known) -> ProductFacts | None:
    """None where it is there no longer, or not whole."""
    if record.arrived:
        if record.ref not in known:
            try:
                known[record.ref] = inspect_product(ports.blobs, record.ref)
            except PlanError:
                known[record.ref] = None
        return known[record.ref]
    return facts_of_announced(record)


def facts_of_announced(record: InventoryRecord) -> ProductFacts | None:
    """A product in somebody else's archive as its announcement told of it; None where nobody can request it."""
    manifest = SafeManifest(
        start=record.start,
        stop=record.stop,
        footprint_lonlat=record.ring,
        polarisations=(),
        files=(),
        orbit_direction=_direction(record.orbit_direction),
        relative_orbit=record.relative_orbit,
    )
    try:
        _REF.validate_python(record.ref)
    except ValidationError:
        return None
    source = announced_source(record.name, record.ref, record.size_bytes)
    return packaging_of(record.name).facts(source, manifest)


def _direction(text: str | None) -> OrbitDirection | None:
    return text if text in ("ascending", "descending") else None  # type: ignore[return-value]
