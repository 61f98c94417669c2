"""What every route is given: the system, and the caller, who may do what the route is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from orthofunctions.api.access import principal_of
from orthofunctions.api.problems import ProblemError
from orthofunctions.bootstrap import System
from orthofunctions.domain.principals import Principal, Scope


@dataclass(frozen=True)
class Caller:
    system: System
    principal: Principal
    base_url: str

    @property
    def user(self) -> str:
        return self.principal.user

    def link(self, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
        return link_to(self.base_url, path, rel, title, media_type)


def link_to(base_url: str, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
    return {"href": f"{base_url}{path}", "rel": rel, "type": media_type, "title": title}


def _caller_with(scope: Scope) -> Callable[[Request], Caller]:
    def caller(request: Request) -> Caller:
        system: System = request.app.state.system()
        principal = principal_of(request, system)
        if not principal.may(scope):
            raise ProblemError(403, "Not allowed", f"this needs the scope {scope!s}, which {principal.user} has not")
        return Caller(system=system, principal=principal, base_url=str(request.base_url).rstrip("/"))

    return caller


Reader = Annotated[Caller, Depends(_caller_with(Scope.READ))]
Submitter = Annotated[Caller, Depends(_caller_with(Scope.SUBMIT))]
Operator = Annotated[Caller, Depends(_caller_with(Scope.OPERATE))]
Admin = Annotated[Caller, Depends(_caller_with(Scope.ADMIN))]
