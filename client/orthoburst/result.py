"""Finished images: their files, and how they come down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthoburst import html
from orthoburst.download import fetch
from orthocontracts.outputs import FILE_SUFFIX, FileKind


@dataclass(frozen=True)
class ResultFile:
    """One file of an image. Its link is signed and expires; ask for the results again for a fresh one.

    ``url`` is empty for a file that was left on site and of which there is no copy yet, see `Job.copy`.
    """

    url: str
    size_bytes: int
    md5: str


@dataclass(frozen=True)
class Result:
    """One finished image: ``image``, ``mask``, ``browse``, ``item``, and the extras that were asked for."""

    digest: str
    title: str
    files: dict[FileKind, ResultFile]

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> Result:
        """As the service tells of it."""
        files = {
            kind: ResultFile(output[kind].get("href", ""), int(output[kind]["size_bytes"]), output[kind]["md5"])
            for kind in FILE_SUFFIX
            if kind in output
        }
        return cls(digest=output["digest"], title=output["title"], files=files)

    @property
    def image_url(self) -> str:
        return self.files["image"].url

    @property
    def size_bytes(self) -> int:
        """Of the image alone."""
        return self.files["image"].size_bytes

    @property
    def file_stem(self) -> str:
        """A file name for people that stays unique: the title, and the first digits of the digest."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.title)
        return f"{readable}_{self.digest[:8]}"

    def _repr_html_(self) -> str:
        files = ", ".join(f"{kind} ({file.size_bytes / 1e6:.1f} MB)" for kind, file in self.files.items())
        rows = [("image", html.text(self.title)), ("digest", html.text(self.digest[:16])), ("files", html.text(files))]
        browse = self.files.get("browse")
        return html.table(rows) + (html.thumbnail(browse.url) if browse else "")


def download(results: Sequence[Result], into: Path, parallel: int) -> list[Path]:
    """Fetch all files of images, as many at a time; those that are there and whole are left alone.

    Returns
    -------
    list of Path
        The images, in their order.

    Raises
    ------
    DownloadError
        Where a file does not arrive whole.
    """
    into.mkdir(parents=True, exist_ok=True)
    images = [into / f"{result.file_stem}.tif" for result in results]
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        waiting = []
        for result in results:
            for kind, file in result.files.items():
                path = into / f"{result.file_stem}{FILE_SUFFIX[kind]}"
                waiting.append(pool.submit(fetch, file.url, path, md5=file.md5))
        for each in waiting:
            each.result()
    for result, image in zip(results, images, strict=True):
        _rename_assets(image.with_suffix(".json"), result.digest, image.stem)
    return images


def _rename_assets(item: Path, digest: str, stem: str) -> None:
    """Let a downloaded STAC Item name the files as they lie beside it, not as the store names them."""
    document = json.loads(item.read_text())
    for asset in document.get("assets", {}).values():
        asset["href"] = asset["href"].replace(digest, stem)
    item.write_text(json.dumps(document, indent=1))
