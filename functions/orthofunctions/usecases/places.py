"""Where a product that a request names is read for its plan, and where its worker will fetch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import format_datetime

from orthocontracts.inputs import InputFile
from orthocontracts.references import path_on_worker, scheme_of, split_reference
from orthocontracts.stores import site_url
from orthofunctions.domain.faults import NotAllowedError, UnknownProductError
from orthofunctions.domain.pools import REMOTE_STORE, SiteSpec
from orthofunctions.ports import BlobFacts, Blobs, Nowhere, Reader, Remote, RemoteRefusedError


@dataclass(frozen=True)
class Place:
    """A product's place.

    Attributes
    ----------
    ref : str
        As the request names it.
    reader, container, name
        Where the planner reads it.
    store : str or None
        The store it lies in, where that is not blob storage.
    lists : bool
        Whether a folder can be listed there.
    """

    ref: str
    reader: Reader
    container: str
    name: str
    store: str | None = None
    lists: bool = True

    @property
    def is_near(self) -> bool:
        """In blob storage: what a worker fetches is looked up when its task is released."""
        return self.store is None

    def facts(self) -> BlobFacts | None:
        return self.reader.facts(self.container, self.name)

    def member_file(self, facts: BlobFacts) -> InputFile:
        """As `input_file`, of a file below this place that a worker wants right below it."""
        found = self.input_file(facts)
        return found.model_copy(update={"path": f"{path_on_worker(self.ref)}/{facts.name.rpartition('/')[2]}"})

    def input_file(self, facts: BlobFacts, checksum: str | None = None) -> InputFile:
        """What a worker fetches of a file that lies at, below or beside this place."""
        folder = self.name.rpartition("/")[0]
        beside = facts.name.removeprefix(f"{folder}/") if folder else facts.name
        near_folder = path_on_worker(self.ref).rpartition("/")[0]
        path = f"{near_folder}/{beside}"
        if self.store != REMOTE_STORE:
            _, root = split_reference(self.ref)
            own_folder = root.rpartition("/")[0]
            name = f"{own_folder}/{beside}" if own_folder else beside
            url = site_url(str(self.store), name)
            return InputFile(path=path, url=url, size_bytes=facts.size_bytes, md5=facts.md5)
        strong = facts.etag and not facts.etag.startswith("W/")
        return InputFile(
            path=path,
            url=f"{self.container}/{facts.name}",
            size_bytes=facts.size_bytes,
            etag=facts.etag if strong else None,
            modified=None if strong else format_datetime(facts.last_modified.astimezone(UTC), usegmt=True),
            checksum=checksum or (f"md5:{facts.md5}" if facts.md5 else None),
            foreign=True,
        )


@dataclass(frozen=True)
class Places:
    """All places there are: blob storage, the servers a site allows, and its stores that a server shows."""

    blobs: Blobs
    remote: Remote = field(default_factory=Nowhere)
    addresses: Mapping[str, str | None] = field(default_factory=dict)
    """Of the stores of the site, by name."""

    @classmethod
    def of_site(cls, blobs: Blobs, remote: Remote, site: SiteSpec) -> Places:
        return cls(blobs, remote, {store.name: store.address for store in site.stores})

    def find(self, ref: str) -> Place:
        """The place of a reference.

        Raises
        ------
        NotAllowedError
            For a server that the site does not allow.
        UnknownProductError
            For a store that the site does not have, or that no server shows.
        """
        container, name = split_reference(ref)
        scheme = scheme_of(ref)
        if scheme is None:
            return Place(ref, self.blobs, container, name)
        store = REMOTE_STORE
        if scheme == "site":
            store = container.removeprefix("site://")
            if store not in self.addresses:
                known = ", ".join(sorted(self.addresses)) or "none"
                raise UnknownProductError(f"{ref}: there is no store {store} (settings/pools.yaml names {known})")
            address = self.addresses[store]
            if address is None:
                raise UnknownProductError(
                    f"{ref}: store {store} has no address in settings/pools.yaml from which a plan could read: upload "
                    "what `orthoburst stub` makes of the product, or set one"
                )
            container, root = split_reference(address.rstrip("/") + "/")
            name = f"{root}{name}"
        try:
            self.remote.check(container)
        except RemoteRefusedError as error:
            raise NotAllowedError(f"{ref}: {error}") from error
        return Place(ref, self.remote, container, name, store, lists=container.startswith("s3://"))
