"""The file beside an image that holds its RPC: found the same way by the planner and for the ticket."""

from __future__ import annotations

from orthocontracts.products import rpc_sidecars
from orthofunctions.ports import BlobFacts, Reader


def named_sidecar(blobs: Reader, container: str, image: str) -> BlobFacts | None:
    """The best of the files named after the image. It wins over tags: that is where corrected coefficients are put."""
    folder, name = _folder(image), image.rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0]
    beside = {facts.name.upper(): facts for facts in blobs.list(container, folder + stem)}
    if stem.upper().startswith("IMG_"):
        beside |= {facts.name.upper(): facts for facts in blobs.list(container, f"{folder}RPC_")}
    found = (beside.get(f"{folder}{sidecar}".upper()) for sidecar in rpc_sidecars(image))
    return next((facts for facts in found if facts is not None), None)


def only_dimap(blobs: Reader, container: str, image: str) -> BlobFacts | None:
    """The folder's only ``RPC_*.XML``, for an image with neither tags nor a file of its name. None where more are."""
    folder = _folder(image)
    found = [
        facts
        for facts in blobs.list(container, f"{folder}RPC_")
        if "/" not in facts.name.removeprefix(folder) and facts.name.upper().endswith(".XML")
    ]
    return found[0] if len(found) == 1 else None


def _folder(image: str) -> str:
    folder, slash, _ = image.rpartition("/")
    return folder + slash
