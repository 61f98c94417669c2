"""Whether a request's references may be read at all: told when it is submitted, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterator

from orthocontracts.references import scheme_of, split_reference
from orthocontracts.requests import Request
from orthofunctions.ports import Ports, RemoteRefusedError


def refused_references(ports: Ports, request: Request) -> Iterator[tuple[str, str]]:
    """Where in the request it is, and why: servers that the site does not allow. Stores are the planner's."""
    named = [(f"products.{number}", ref) for number, ref in enumerate(request.products)]
    if request.terrain is not None and request.terrain.dem is not None:
        named.append(("terrain.dem", request.terrain.dem))
    for at, ref in named:
        if scheme_of(ref) in (None, "site"):
            continue
        try:
            ports.remote.check(split_reference(ref)[0])
        except RemoteRefusedError as error:
            yield at, str(error)
