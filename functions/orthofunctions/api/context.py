"""What every route is given: the system, and the caller, who may do what the route is for.

A route names who may call it by the type of one parameter: `Anyone`, or a caller with a scope. Only the paths below are
for anyone; whatever holds data of the site asks for a scope, which `tests/unit/test_access.py` checks of every route.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from orthofunctions.api.access import principal_of
from orthofunctions.api.answers import answer_headers
from orthofunctions.api.problems import ProblemError
from orthofunctions.bootstrap import System
from orthofunctions.domain.principals import Principal, Scope

PUBLIC_PATHS: Final = frozenset({"/", "/conformance", "/openapi.json"})
"""What says how the service is used, and the page that asks for a key."""

PUBLIC_FOLDER: Final = "/page/"
"""Files of that page, the same for everybody."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks, whoever it is. ``headers`` are added to the answer."""

    system: System
    base_url: str
    headers: dict[str, str]

    def link(self, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
        return link_to(self.base_url, path, rel, title, media_type)


@dataclass(frozen=True)
class Caller(Visitor):
    """Somebody whose name has been proved."""

    principal: Principal

    @property
    def user(self) -> str:
        return self.principal.user


def link_to(base_url: str, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
    return {"href": f"{base_url}{path}", "rel": rel, "type": media_type, "title": title}


def _visitor(request: Request) -> Visitor:
    return Visitor(request.app.state.system(), _base_url(request), answer_headers(request))


def _caller_with(scope: Scope) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        system: System = request.app.state.system()
        principal = principal_of(request, system)
        if not principal.may(scope):
            raise ProblemError(403, "Not allowed", f"this needs the scope {scope!s}, which {principal.user} has not")
        return Caller(system, _base_url(request), answer_headers(request), principal)

    caller.scope = scope  # type: ignore[attr-defined]  # for the test that looks at every route
    return caller


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


Anyone = Annotated[Visitor, Depends(_visitor)]
Reader = Annotated[Caller, Depends(_caller_with(Scope.READ))]
Submitter = Annotated[Caller, Depends(_caller_with(Scope.SUBMIT))]
Operator = Annotated[Caller, Depends(_caller_with(Scope.OPERATE))]
Admin = Annotated[Caller, Depends(_caller_with(Scope.ADMIN))]
