"""A product in a site's store that no server shows: what has been uploaded of it."""

from __future__ import annotations

from typing import Final

from orthocontracts import names
from orthocontracts.references import split_reference
from orthofunctions.domain.faults import ProductMissingError
from orthofunctions.usecases.folders import SiteMember, members_of_folder
from orthofunctions.usecases.places import Places

_ENDINGS: Final = (".SAFE", ".SEN3")


def stub_of(places: Places, ref: str) -> str | None:
    """The uploaded folder whose files lie at ``site://STORE/…/NAME.SAFE``, or in a zip there; None for what is no such
    reference, or lies where a server shows it.

    An image of the stub is an image of that product: both references make the same.

    Raises
    ------
    ProductMissingError
        Where there is none, or its files lie elsewhere.
    """
    store, path = split_reference(ref)
    store = store.removeprefix("site://")
    if not ref.startswith("site://") or places.addresses.get(store, "") is not None:
        return None
    own = path.rpartition("/")[2]
    is_zip = own.lower().endswith(".zip")
    folders = [own]
    if is_zip:
        stem = own[: -len(".zip")]
        folders = [stem] if stem.upper().endswith(_ENDINGS) else [f"{stem}{ending}" for ending in _ENDINGS]
    for folder in folders:
        members = members_of_folder(places.blobs, names.CONTAINER_PRODUCTS, folder)
        away = [member for member in members.values() if isinstance(member, SiteMember)]
        if away and all(
            one.store == store and (one.path == path if is_zip else one.path.startswith(f"{path}/")) for one in away
        ):
            return f"{names.CONTAINER_PRODUCTS}/{folder}"
    raise ProductMissingError(
        f"{ref}: products/{folders[0]} is no stub of it: upload what `orthoburst stub` makes of the product, have "
        f"`orthoagent watch` do so, or give store {store} an address in settings/pools.yaml"
    )
