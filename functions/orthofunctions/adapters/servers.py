"""Files on servers that a site allows: looked at and read by range, over https and from buckets."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urljoin, urlsplit
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import HostRefusedError, Hosts
from orthocontracts.sigv4 import object_url, signed_headers
from orthofunctions.adapters.pinned import Resolver, resolve
from orthofunctions.adapters.pinned_get import PORTS, Answer, get
from orthofunctions.ports import (
    BlobChangedError,
    BlobFacts,
    BlobMissingError,
    RemoteDownError,
    RemoteRefusedError,
)

TIMEOUT_S = 15.0
TRIES: Final = 3
LONGEST_PAUSE_S = 5.0
MOST_REDIRECTS: Final = 5
MOST_KEYS: Final = 20_000
_MOST_LIST_BYTES: Final = 8 * 1024 * 1024
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_S3: Final = "s3://"


@dataclass(frozen=True)
class Servers:
    """Implements ``ports.Remote``.

    Attributes
    ----------
    hosts : Hosts
    buckets : mapping
        By name; servers of buckets are the site's own choice, whatever address they have.
    logins : mapping
        What opens hosts, by ``host`` or ``host:port``.
    """

    hosts: Hosts = field(default_factory=Hosts)
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    logins: Mapping[str, Login] = field(default_factory=dict)
    resolver: Resolver = resolve
    timeout_s: float = TIMEOUT_S
    tls: ssl.SSLContext | None = None

    def check(self, container: str) -> None:
        if container.startswith(_S3):
            self._bucket(container)
            return
        try:
            self.hosts.check(container)
        except HostRefusedError as error:
            raise RemoteRefusedError(str(error)) from None

    def facts(self, container: str, name: str) -> BlobFacts | None:
        answer = self._ask(container, name, {"Range": "bytes=0-0"}, most_bytes=1)
        if answer.status == 404:
            return None
        if answer.status not in (206, 416):
            raise RemoteDownError(f"its server answers {answer.status} to a range of bytes: it must serve ranges")
        total = _total(answer)
        etag, modified = _etag(answer), _modified(answer)
        if total is None or not (etag or modified):
            raise RemoteDownError("its server tells no size, or neither ETag nor Last-Modified: versions are not told")
        return BlobFacts(container, name, total, etag, None, modified or datetime(1970, 1, 1, tzinfo=UTC))

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        if length is None or length == 0:
            return b"" if length == 0 else self.read(container, name, offset=offset, length=_MOST_LIST_BYTES, etag=etag)
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        if etag and not etag.startswith("W/"):
            headers["If-Match"] = f'"{etag}"'
        answer = self._ask(container, name, headers, most_bytes=length)
        if answer.status == 404:
            raise BlobMissingError(container, name)
        if answer.status == 412 or (etag and _etag(answer) not in ("", etag)):
            raise BlobChangedError(container, name)
        if answer.status == 416:
            return b""
        whole = answer.status == 200 and offset == 0 and _length(answer) == len(answer.body)
        if not whole and (answer.status != 206 or _start(answer) != offset):
            raise RemoteDownError(f"its server answers {answer.status} to a range of bytes: it must serve ranges")
        if len(answer.body) > length or (_length(answer) or 0) > length:
            raise RemoteDownError("its server sends more bytes than it was asked for")
        return answer.body

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        bucket = self._bucket(container)
        token, found = "", 0
        while True:
            query = f"list-type=2&prefix={quote(prefix, safe='~')}"
            query += f"&continuation-token={quote(token, safe='~')}" if token else ""
            url = f"{object_url(bucket.endpoint, container.removeprefix(_S3), '')}?{query}"
            answer = self._patiently(url, {}, _MOST_LIST_BYTES, bucket)
            if answer.status != 200:
                raise RemoteDownError(f"{container} cannot be listed: its server answers {answer.status}")
            page = _page(container, answer)
            for facts in (_facts(container, node) for node in page.iter() if _local(node) == "Contents"):
                found += 1
                if found > MOST_KEYS:
                    raise RemoteDownError(f"{container}/{prefix} holds more than {MOST_KEYS} objects")
                yield facts
            token = next((node.text or "" for node in page.iter() if _local(node) == "NextContinuationToken"), "")
            if not token:
                return

    def _bucket(self, container: str) -> Bucket:
        bucket = self.buckets.get(container.removeprefix(_S3))
        if bucket is None:
            known = ", ".join(sorted(self.buckets)) or "none"
            raise RemoteRefusedError(
                f"{container} is not among the buckets products are read from (ORTHOBURST_PRODUCT_BUCKETS: {known})"
            )
        return bucket

    def _ask(self, container: str, name: str, headers: Mapping[str, str], most_bytes: int) -> Answer:
        self.check(container)
        bucket = self._bucket(container) if container.startswith(_S3) else None
        url = object_url(bucket.endpoint, container.removeprefix(_S3), name) if bucket else f"{container}/{name}"
        answer = self._patiently(url, headers, most_bytes, bucket)
        if answer.status in (401, 403):
            setting = "ORTHOBURST_PRODUCT_BUCKETS" if bucket else "ORTHOBURST_PRODUCT_LOGINS"
            raise RemoteRefusedError(f"{urlsplit(url).hostname} lets us not in (status {answer.status}): see {setting}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise RemoteDownError("its server compresses what it sends, so that ranges mean nothing")
        return answer

    def _patiently(self, url: str, headers: Mapping[str, str], most_bytes: int, bucket: Bucket | None) -> Answer:
        pause_s = 0.5
        for left in reversed(range(TRIES)):
            try:
                answer = self._follow(url, headers, most_bytes, bucket)
            except RemoteDownError:
                if not left:
                    raise
            else:
                if answer.status not in _BUSY:
                    return answer
                if not left:
                    raise RemoteDownError(f"{urlsplit(url).hostname} cannot now (status {answer.status})")
                wait = answer.headers.get("retry-after", "")
                pause_s = max(pause_s, float(wait)) if wait.isdecimal() else pause_s
            time.sleep(min(pause_s, LONGEST_PAUSE_S))
            pause_s *= 2
        raise AssertionError("the last try returns or raises")

    def _follow(self, url: str, headers: Mapping[str, str], most_bytes: int, bucket: Bucket | None) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = get(
                url,
                self._with_login(url, headers, bucket),
                most_bytes=most_bytes,
                judge=(lambda _: None) if bucket else lambda address, url=url: self._judge(url, address),  # type: ignore[misc]
                timeout_s=self.timeout_s,
                resolver=self.resolver,
                tls=self.tls,
            )
            location = answer.headers.get("location")
            if answer.status not in _MOVED or location is None:
                return answer
            if bucket is not None:
                raise RemoteRefusedError(f"the server of the bucket sends on to {location[:200]}: set that as endpoint")
            url = urljoin(url, location)
            try:
                self.hosts.check(url)
            except HostRefusedError as error:
                raise RemoteRefusedError(f"it is sent on to another server, and {error}") from None
        raise RemoteDownError(f"it is sent on more than {MOST_REDIRECTS} times")

    def _judge(self, url: str, address: str) -> None:
        parts = urlsplit(url)
        try:
            self.hosts.check_address(str(parts.hostname), parts.port or PORTS[parts.scheme], address)
        except HostRefusedError as error:
            raise RemoteRefusedError(str(error)) from None

    def _with_login(self, url: str, headers: Mapping[str, str], bucket: Bucket | None) -> Mapping[str, str]:
        if bucket is not None:
            key = bucket.access_key
            return signed_headers(url, headers, key, now=datetime.now(UTC), region=bucket.region) if key else headers
        login = self.logins.get(urlsplit(url).netloc)
        return headers if login is None else {**headers, "Authorization": login.authorization}


def _etag(answer: Answer) -> str:
    text = answer.headers.get("etag", "").strip()
    return text if text.startswith("W/") else text.strip('"')


def _modified(answer: Answer) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers["last-modified"])
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _range(answer: Answer) -> re.Match[str] | None:
    return re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", answer.headers.get("content-range", ""))


def _total(answer: Answer) -> int | None:
    found = _range(answer)
    return int(found[3]) if found else None


def _start(answer: Answer) -> int | None:
    found = _range(answer)
    return int(found[1]) if found and found[1] is not None else None


def _length(answer: Answer) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _page(container: str, answer: Answer) -> Element:
    try:
        page: Element = fromstring(answer.body, forbid_dtd=True)
    except Exception as error:  # whatever of all that XML can be wrong in
        raise RemoteDownError(f"{container}: its server's list cannot be read ({type(error).__name__})") from None
    return page


def _facts(container: str, node: Element) -> BlobFacts:
    parts = {_local(child): child.text or "" for child in node}
    try:
        return BlobFacts(
            container=container,
            name=parts["Key"],
            size_bytes=int(parts["Size"]),
            etag=parts["ETag"].strip('"'),
            md5=None,
            last_modified=datetime.fromisoformat(parts["LastModified"]).astimezone(UTC),
        )
    except (KeyError, ValueError) as error:
        raise RemoteDownError(f"{container}: its server's list lacks {error}") from None


def _local(node: Element) -> str:
    return node.tag.rsplit("}", 1)[-1]
