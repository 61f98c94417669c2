"""What a standing order asks for: of products that have come, and again once their precise orbit is there. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from orthocontracts.orders import StandingOrder
from orthocontracts.outputs import Source
from orthocontracts.products import Mission
from orthocontracts.requests import GridRequest, Ordered, Request
from orthofunctions.domain.seams import Part
from orthofunctions.domain.suits import SENTINEL1_GRD, TRAITS, Traits


def name_of_content(source: Source) -> str:
    """A product as an order counts it."""
    return hashlib.sha256(f"{source.ref}|{source.content}".encode()).hexdigest()[:32]


def first_request_id(order: StandingOrder, sources: Iterable[Source], grid: GridRequest | None) -> str:
    """One for each content of products, and for each part of their images; ``grid`` None: what the order says."""
    products = "|".join(sorted(map(name_of_content, sources)))
    identity = f"{order.order_id}|{order.created_at.isoformat()}|{products}"
    if grid is not None:
        identity += f"|{grid.to_json()}"
    return "o" + hashlib.sha256(identity.encode()).hexdigest()[:31]


def first_request(order: StandingOrder, part: Part, arrived_at: datetime, replaces: tuple[str, ...]) -> Request:
    """What is asked for when products have arrived."""
    request_id = first_request_id(order, part.sources, part.grid)
    a_product = part.products[0]
    asked = _request(order, request_id, sorted(part.refs), part.grid, a_product.mission, a_product.traits)
    deadline = arrived_at + timedelta(seconds=order.within_s) if order.within_s is not None else None
    return asked.model_copy(update={"deadline": deadline, "urgent": order.urgent, "replaces": replaces})


def precise_request_id(first_id: str) -> str:
    """One for each first request, whichever orbit file it is made with."""
    return f"p{first_id[1:]}"


def precise_request(
    order: StandingOrder, first_id: str, refs: Sequence[str], grid: GridRequest | None, orbit_ref: str, replaces: str
) -> Request:
    """What is asked for once the precise orbit of Sentinel-1 products is there: one for each first request, and in no
    hurry.

    It names the file and not its folder: what is found now is what the image is made with.
    """
    asked = _request(order, precise_request_id(first_id), refs, grid, "sentinel-1", TRAITS[SENTINEL1_GRD])
    ordered = Ordered(order_id=order.order_id, created_at=order.created_at)
    return asked.model_copy(update={"orbits": orbit_ref, "ordered": ordered, "replaces": (replaces,)})


def _request(
    order: StandingOrder,
    request_id: str,
    refs: Sequence[str],
    grid: GridRequest | None,
    mission: Mission,
    traits: Traits,
) -> Request:
    is_radar = mission == "sentinel-1"
    return Request(
        request_id=request_id,
        user=order.user,
        products=tuple(refs),
        grid=grid or order.grid,
        options=order.options,
        terrain=order.terrain if traits.needs_terrain else None,
        gipp=order.gipp if traits.needs_instrument else None,
        iers=order.iers if traits.needs_instrument else None,
        orbits=order.orbits if is_radar else None,
        patience_s=order.patience_s,
        subscriber=order.subscriber,
        ordered=Ordered(
            order_id=order.order_id,
            created_at=order.created_at,
            redo_with_precise_orbit=order.redo_with_precise_orbit and is_radar,
        ),
        shared_with=order.shared_with,
        keep_days=order.keep_days,
    )
