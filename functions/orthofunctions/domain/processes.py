"""The processes this service offers: one table. Whoever adds one writes its inputs as a model, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orthocontracts.products import Mission
from orthocontracts.requests import Asked, Request
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import UnfitProductError
from orthofunctions.domain.radar import RadarRequest

_SAID_ELSEWHERE: Final = frozenset(
    {"version", "user", "process", "subscriber", "asked", "batch", "campaign", "ordered", "replaces"}
)
"""Of a request: said by the path, the caller's name or beside the inputs, or by standing orders alone."""
_OF_SENTINEL2: Final = frozenset({"gipp", "iers"})


@dataclass(frozen=True)
class Process:
    """A process as it is described, and how its inputs become a request.

    Attributes
    ----------
    model : type
        A request; its fields but for ``hidden`` are the process's inputs.
    missions : frozenset of str or None
        Whose products it takes; None: any.
    """

    id: str
    title: str
    description: str
    keywords: tuple[str, ...]
    model: type[Request]
    hidden: frozenset[str] = _SAID_ELSEWHERE
    missions: frozenset[Mission] | None = None
    as_request: Callable[[Request], Request] = lambda request: request
    version: str = "1.0.0"


def _radar(request: Request) -> Request:
    assert isinstance(request, RadarRequest)
    return request.as_request()


_ALL = (
    Process(
        id="orthorectify",
        title="Orthorectify",
        description="Map-projected Cloud-Optimized GeoTIFFs with STAC Items from Sentinel-1 GRD, Sentinel-2 L1B, L1C "
        "and L2A, Sentinel-3 OLCI and SLSTR level 1, and RPC images",
        keywords=("orthorectification", "Sentinel-1", "Sentinel-2", "Sentinel-3", "RPC", "COG", "STAC"),
        model=Request,
    ),
    Process(
        id="radar-backscatter",
        title="Radar backscatter",
        description="Analysis-ready radar backscatter from Sentinel-1 GRD: terrain-flattened gamma0 with its layover "
        "and shadow mask, local incidence angle and acquisition, as CEOS-ARD asks for (Normalised Radar Backscatter)",
        keywords=("radar", "backscatter", "gamma0", "Sentinel-1", "CEOS-ARD", "NRB"),
        model=RadarRequest,
        hidden=_SAID_ELSEWHERE | _OF_SENTINEL2,
        missions=frozenset({"sentinel-1"}),
        as_request=_radar,
    ),
)
PROCESSES: Final = {process.id: process for process in _ALL}


def check_missions(asked: Asked | None, products: list[ProductFacts]) -> None:
    """Refuse a product that the process which was asked for is not about.

    Raises
    ------
    UnfitProductError
    """
    process = PROCESSES.get(asked.process) if asked else None
    if process is None or process.missions is None:
        return
    for product in products:
        if product.mission not in process.missions:
            raise UnfitProductError(
                f"{product.name} is {product.traits.called}; process {process.id} takes products of "
                f"{' or '.join(sorted(process.missions))} only"
            )
