"""Who asks, and what they may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Scope(StrEnum):
    """What a caller may do. A key or token has some of them; the local user has all."""

    READ = "read"
    """See one's own jobs, and the catalogue."""

    SUBMIT = "submit"
    """Ask for images; cancel, retry, pin what is one's own."""

    OPERATE = "operate"
    """See all pools, costs, faults; pause and resume."""

    ADMIN = "admin"
    """See and cancel everybody's jobs; make and revoke everybody's keys."""


ALL_SCOPES = frozenset(Scope)


def with_implied(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Scopes, and those they bring along: whoever may change something may look at it, an admin may everything."""
    found = frozenset(scopes)
    if Scope.ADMIN in found:
        return ALL_SCOPES
    return found | {Scope.READ} if found else found


@dataclass(frozen=True)
class Principal:
    """A caller whose name has been proved.

    Attributes
    ----------
    user : str
        An identifier: what jobs, accounts and shares are kept under.
    scopes : frozenset of Scope
    groups : frozenset of str
        Groups the user is in: of the site's settings, and of the token.
    via : {"local", "key", "token"}
        How the name was proved.
    key_id : str
        The public id of the key, where it was one.
    """

    user: str
    scopes: frozenset[Scope]
    groups: frozenset[str] = frozenset()
    via: Literal["local", "key", "token"] = "local"
    key_id: str = ""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes
