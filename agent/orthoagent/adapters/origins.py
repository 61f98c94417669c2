"""How a file is asked for: a signed link as it is, another's server with this worker's own login, a bucket signed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from orthoagent.adapters.pinned import check_literal
from orthoagent.errors import FaultError
from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import HostRefusedError, Hosts
from orthocontracts.inputs import InputFile
from orthocontracts.references import split_reference
from orthocontracts.sigv4 import object_url, signed_headers

MOST_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Abroad:
    """What this worker may ask of other people's servers, and how it logs in there.

    Attributes
    ----------
    http : aiohttp.ClientSession
        Whose resolver judges addresses, by `judged`.
    """

    http: aiohttp.ClientSession
    hosts: Hosts = field(default_factory=Hosts)
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    logins: Mapping[str, Login] = field(default_factory=dict)


def judged(hosts: Hosts, buckets: Mapping[str, Bucket]) -> Hosts:
    """By what addresses are judged: the servers of buckets are the site's own choice, whatever address they have."""
    endpoints = (URL(bucket.endpoint) for bucket in buckets.values())
    return replace(hosts, internal=(*hosts.internal, *(f"{one.host}:{one.port}" for one in endpoints)))


class Origins:
    """Opens what a ticket names."""

    def __init__(self, http: aiohttp.ClientSession, abroad: Abroad | None = None) -> None:
        self._http, self._abroad = http, abroad

    @contextlib.asynccontextmanager
    async def get(self, file: InputFile, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request for a file, whatever it is.

        Raises
        ------
        FaultError
            For a server this worker does not ask.
        """
        sent = {"Accept-Encoding": "identity", **headers}
        if not file.foreign:
            async with self._http.get(file.url, headers=sent) as answer:
                yield answer
            return
        if self._abroad is None:
            raise FaultError("HostNotAllowed", f"{file.path}: this worker asks no servers of others")
        place, name = split_reference(file.url)
        try:
            opened = _bucket(self._abroad, place, name, sent) if place.startswith("s3://") else None
            async with opened or _followed(self._abroad, file.url, sent) as answer:
                yield answer
        except HostRefusedError as error:
            raise FaultError("HostNotAllowed", f"{file.path}: {error}") from None


@contextlib.asynccontextmanager
async def _bucket(
    abroad: Abroad, place: str, key: str, headers: dict[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    name = place.removeprefix("s3://")
    bucket = abroad.buckets.get(name)
    if bucket is None:
        known = ", ".join(sorted(abroad.buckets)) or "none"
        raise HostRefusedError(f"this worker knows no bucket {name} (ORTHOAGENT_BUCKETS: {known})")
    url = object_url(bucket.endpoint, name, key)
    if bucket.access_key is not None:
        headers = signed_headers(url, headers, bucket.access_key, now=datetime.now(UTC), region=bucket.region)
    async with abroad.http.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer:
        if answer.status in _MOVED:
            raise HostRefusedError(f"the server of bucket {name} sends on to another: set that as its endpoint")
        yield answer


@contextlib.asynccontextmanager
async def _followed(abroad: Abroad, url: str, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
    """Redirects are followed by hand: to hosts that are allowed, and with the login of each alone."""
    at = URL(url, encoded=True)
    for _ in range(MOST_REDIRECTS + 1):
        abroad.hosts.check(str(at))
        check_literal(abroad.hosts, str(at.host), at.port or _PORTS[at.scheme])
        login = abroad.logins.get(urlsplit(str(at)).netloc)
        own = {**headers, "Authorization": login.authorization} if login else headers
        async with abroad.http.get(at, headers=own, allow_redirects=False) as answer:
            location = answer.headers.get("Location")
            if answer.status not in _MOVED or location is None:
                yield answer
                return
        at = at.join(URL(location, encoded=True))
    raise HostRefusedError(f"{urlsplit(url).hostname} sends on more than {MOST_REDIRECTS} times")
