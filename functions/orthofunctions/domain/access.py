"""Who may have images of a product, and with whom they are shared."""

from __future__ import annotations

from collections.abc import Iterable

from orthofunctions.domain.faults import NoAccessError
from orthofunctions.domain.pools import SiteSpec

TRUST_SITE = "site"
"""Everyone whom the site lets in may read the products, so outputs are shared among all."""


def trust_scope(site: SiteSpec, user: str, products: Iterable[str]) -> str:
    """The scope in which outputs of the products are shared: the site, or the user alone. Part of their digests.

    Raises
    ------
    NoAccessError
        Where a product is restricted and the user is not among its readers.
    """
    group = site.group_of(user)
    mine = {user} if group is None else {user, group.name}
    scope = TRUST_SITE
    for ref in products:
        for restricted in (one for one in site.restricted if ref.startswith(one.prefix)):
            if mine.isdisjoint(restricted.readers):
                raise NoAccessError(f"{ref} is restricted, and {user} is not among its readers")
            scope = f"user:{user}"
    return scope
