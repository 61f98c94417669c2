"""The members of a product's folder: in blob storage, or where its ``elsewhere.json`` says."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from orthocontracts.stores import ELSEWHERE, Elsewhere, site_url
from orthofunctions.domain.faults import BrokenProductError
from orthofunctions.ports import BlobFacts, Reader

_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class SiteMember:
    """A member that lies in a store of a site. Nobody here can look at it: its worker finds out whether it is there."""

    store: str
    path: str
    size_bytes: int
    md5: str | None = None
    member: str | None = None
    """Of the zip that lies there."""

    @property
    def url(self) -> str:
        return site_url(self.store, self.path, self.member)


def members_of_folder(blobs: Reader, container: str, folder: str) -> dict[str, BlobFacts | SiteMember]:
    """By path inside the folder; what is uploaded counts before what is said to lie elsewhere.

    Raises
    ------
    BrokenProductError
        Where its ``elsewhere.json`` cannot be used.
    """
    found: dict[str, BlobFacts | SiteMember] = {
        facts.name.removeprefix(f"{folder}/"): facts for facts in blobs.list(container, f"{folder}/")
    }
    if found.pop(ELSEWHERE, None) is None:
        return found
    text = blobs.read(container, f"{folder}/{ELSEWHERE}", length=_MOST_BYTES)
    try:
        elsewhere = Elsewhere.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BrokenProductError(f"{folder}/{ELSEWHERE} is not usable: {where}: {first['msg']}") from error
    for path, member in elsewhere.files.items():
        found.setdefault(path, SiteMember(elsewhere.store, member.path, member.size_bytes, member.md5, member.member))
    return found
