"""A product that stays where it is: its small files to upload, and ``elsewhere.json`` that says where the rest lies."""

from __future__ import annotations

import zipfile
from pathlib import Path

from orthoburst.errors import OrthoburstError
from orthocontracts.stubs import LEAST_BYTES, StubError, stub_of


def make_stub(product: Path, into: Path, *, store: str, root: Path, least_bytes: int = LEAST_BYTES) -> Path:
    """Make the uploadable part of a product, a folder or a zip, that lies in a store of the site.

    Parameters
    ----------
    product : Path
        Its folder or zip, below ``root``.
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
        Where the product does not lie below the root, has nothing large, or was made into a stub already.
    """
    try:
        stub = stub_of(product, store=store, root=root, least_bytes=least_bytes)
    except (StubError, zipfile.BadZipFile) as error:
        raise OrthoburstError(str(error)) from error
    target = into / stub.name
    if target.exists():
        raise OrthoburstError(f"{target} is there already")
    if stub.elsewhere is None:
        raise OrthoburstError(f"{product} has no file of {least_bytes} bytes or more: upload it as it is")
    for name, part in stub.parts():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(part)
    return target
