"""An Item with links in the place of places: they expire, and whoever has one may read that file until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from orthocontracts.outputs import FileKind
from orthocontracts.stores import split_site_url
from orthofunctions.domain.copies import copy_digest
from orthofunctions.domain.indexed import Indexed
from orthofunctions.ports import Ports
from orthofunctions.usecases.catalogue import read_entry

_ALTERNATE: Final = "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json"
_ON_SITE: Final = "in a store of the site: its own machines read it there; ask for a copy to have it from here"


def linked_item(ports: Ports, one: Indexed, valid: timedelta) -> dict[str, Any]:
    """The Item of a search, its files with links that expire; files on site link to their copy, where there is one."""
    assert one.item is not None
    expires_at = ports.clock.now() + valid
    places = {key: str(asset["href"]) for key, asset in one.item["assets"].items()}
    on_site = {key: place for key, place in places.items() if split_site_url(place) is not None}
    copies = _copies(ports, one.digest) if on_site else {}
    assets = {}
    for key, asset in one.item["assets"].items():
        place = copies.get(places[key], places[key])
        linked = {**asset, "href": _link(ports, place, expires_at)}
        if key in on_site:
            linked["alternate"] = {"site": {"href": on_site[key], "title": _ON_SITE}}
        assets[key] = linked
    extensions = one.item["stac_extensions"]
    return {
        **one.item,
        "stac_extensions": [*extensions, _ALTERNATE] if on_site else extensions,
        "assets": assets,
    }


def _link(ports: Ports, place: str, expires_at: datetime) -> str:
    if split_site_url(place) is not None:
        return place
    container, _, name = place.partition("/")
    return ports.links.read_url(container, name, expires_at)


def _copies(ports: Ports, digest: str) -> dict[str, str]:
    """Where the copy of each file lies, by where the file lies; empty where nobody has asked for a copy yet."""
    entry = read_entry(ports, digest)
    copied = read_entry(ports, copy_digest(entry)) if entry is not None else None
    if entry is None or copied is None:
        return {}
    kinds: list[FileKind] = [kind for kind in entry.files if kind in copied.files]
    return {entry.files[kind].blob: copied.files[kind].blob for kind in kinds}
