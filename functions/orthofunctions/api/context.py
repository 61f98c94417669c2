"""What every route is given: the system, and the user who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from orthofunctions.api.access import user_of
from orthofunctions.bootstrap import System


@dataclass(frozen=True)
class Caller:
    system: System
    user: str
    base_url: str

    def link(self, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
        return {"href": f"{self.base_url}{path}", "rel": rel, "type": media_type, "title": title}


def caller(request: Request) -> Caller:
    system: System = request.app.state.system()
    user = user_of(request, system.settings.api_key_sha256)
    return Caller(system=system, user=user, base_url=str(request.base_url).rstrip("/"))


Asked = Annotated[Caller, Depends(caller)]
