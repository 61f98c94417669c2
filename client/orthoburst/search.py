"""Images in the catalogue, whoever asked for them: STAC Items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orthoburst import html
from orthoburst.download import fetch


class Item:
    """A STAC Item of the catalogue. ``document`` is all of it; links to its files are signed and expire."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def collection(self) -> str:
        return str(self.document.get("collection", ""))

    @property
    def properties(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document.get("properties", {})
        return found

    @property
    def geometry(self) -> Mapping[str, Any] | None:
        return self.document.get("geometry")

    @property
    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self.document.get("assets", {})
        return found

    def __repr__(self) -> str:
        return f"<Item {self.id[:16]} of {self.collection}, {self.properties.get('datetime')}>"

    def _repr_html_(self) -> str:
        rows = [
            ("item", html.text(self.id[:16])),
            ("collection", html.text(self.collection)),
            ("time", html.text(self.properties.get("datetime"))),
            ("files", html.text(", ".join(self.assets))),
        ]
        thumbnails = (asset["href"] for asset in self.assets.values() if "thumbnail" in asset.get("roles", ()))
        return html.table(rows) + html.thumbnail(next(thumbnails, ""))

    def download(self, folder: str | Path) -> list[Path]:
        """Fetch its files under ``<id's first digits>_<name>``; those that are there and whole are left alone.

        Raises
        ------
        DownloadError
            Where a file does not arrive whole.
        """
        into = Path(folder)
        into.mkdir(parents=True, exist_ok=True)
        return [fetch(asset["href"], into / self._name(name, asset)) for name, asset in self.assets.items()]

    def _name(self, name: str, asset: Mapping[str, Any]) -> str:
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
        return f"{self.id[:16]}_{plain}{Path(urlsplit(asset['href']).path).suffix}"


def items_of(pages: Iterator[dict[str, Any]], limit: int | None) -> Iterator[Item]:
    """The items of pages, at most so many."""
    n_items = 0
    for page in pages:
        for feature in page["features"]:
            if n_items == limit:
                return
            n_items += 1
            yield Item(feature)
