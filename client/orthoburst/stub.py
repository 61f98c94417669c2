"""A product that stays where it is: its small files to upload, and ``elsewhere.json`` that says where the rest lies."""

from __future__ import annotations

import shutil
from pathlib import Path

from orthoburst.errors import OrthoburstError
from orthocontracts.stores import ELSEWHERE, Elsewhere, StoredMember, plain_path

MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
LEAST_BYTES = 1 << 20
"""Smaller files are uploaded: planning reads the manifest, and a worker is spared a look into the archive."""


def make_stub(product: Path, into: Path, *, store: str, root: Path, least_bytes: int = LEAST_BYTES) -> Path:
    """Make the uploadable part of a product folder that lies in a store of the site.

    Parameters
    ----------
    product : Path
        Its folder, below ``root``.
    into : Path
        Where to make the folder of the same name.
    store : str
        The store's name in ``settings/pools.yaml``.
    root : Path
        The store's folder as it is mounted here; workers may have it elsewhere.

    Returns
    -------
    Path
        The new folder. Upload it like any product, its manifest last.

    Raises
    ------
    OrthoburstError
        Where the product is no folder below the root, has nothing large, or was made into a stub already.
    """
    product, root = product.resolve(), root.resolve()
    if not product.is_dir() or not product.is_relative_to(root):
        raise OrthoburstError(f"{product} is not a folder below {root}")
    target = into / product.name
    if target.exists():
        raise OrthoburstError(f"{target} is there already")
    large: dict[str, StoredMember] = {}
    small: list[Path] = []
    for path in sorted(one for one in product.rglob("*") if one.is_file()):
        size_bytes = path.stat().st_size
        if size_bytes < least_bytes or path.name in MANIFESTS:
            small.append(path)
            continue
        try:
            below = plain_path(path.relative_to(root).as_posix())
        except ValueError as error:
            raise OrthoburstError(str(error)) from error
        large[path.relative_to(product).as_posix()] = StoredMember(path=below, size_bytes=size_bytes)
    if not large:
        raise OrthoburstError(f"{product} has no file of {least_bytes} bytes or more: upload it as it is")
    for path in small:
        copy = target / path.relative_to(product)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    target.mkdir(parents=True, exist_ok=True)
    (target / ELSEWHERE).write_text(Elsewhere(store=store, files=large).to_json())
    return target
