"""Who may have images of a product, and with whom they are shared."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orthofunctions.domain.faults import NoAccessError
from orthofunctions.domain.pools import SiteSpec

TRUST_SITE = "site"
"""Everyone whom the site lets in may read the products, so outputs are shared among all."""


def trust_scope(site: SiteSpec, user: str, products: Iterable[str], shared_with: Collection[str] = ()) -> str:
    """The scope in which outputs of the products are shared: the site, or the user alone. Part of their digests.

    Raises
    ------
    NoAccessError
        Where a product is restricted, and the user is not among its readers or would share what is made of it.
    """
    scope = TRUST_SITE
    for ref in products:
        if not may_read(site, user, ref):
            raise NoAccessError(f"{ref} is restricted, and {user} is not among its readers")
        if any(ref.startswith(restricted.prefix) for restricted in site.restricted):
            if shared_with:
                raise NoAccessError(f"{ref} is restricted: what is made of it is shared with no group")
            scope = f"user:{user}"
    return scope


def may_read(site: SiteSpec, user: str, ref: str) -> bool:
    """Whether a product is for everyone, or the user among its readers."""
    group = site.group_of(user)
    mine = {user} if group is None else {user, group.name}
    return not any(
        ref.startswith(restricted.prefix) and mine.isdisjoint(restricted.readers) for restricted in site.restricted
    )
