"""Where EODAG finds a product's files, opened with its logins: one file over HTTP, files one by one, a bucket."""

from __future__ import annotations

import contextlib
import copy
import itertools
import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from orthoagent.procure.child.line import Line
from orthoagent.procure.child.parts import Opened, ReplacedError, fetch_file
from orthoagent.procure.child.words import FetchError, status_of

ASK_AGAIN_S: Final = 60.0
"""Between looks at a product that its provider has to bring from tape."""
_SILENCE_OF_ANSWER_S: Final = 60.0
_CHUNK_BYTES: Final = 1 << 16
"""Of one that breaks nothing is seen."""


class OneFile:
    """A product that its provider packs into one file, through EODAG's own stream, which orders it where need be."""

    def __init__(self, product: Any, line: Line, order_limit_s: float) -> None:
        self._product, self._line, self._order_limit_s = product, line, order_limit_s
        self._login = Login(product)
        self._until_s = time.monotonic() + order_limit_s

    def open(self, start: int, stop: int | None, etag: str) -> Opened:
        while True:
            product = copy.copy(self._product)  # EODAG keeps its stream in it
            try:
                answer = product.downloader.stream_download(product, auth=self._login.for_bytes(start, stop, etag))
            except Exception as error:
                if type(error).__name__ != "NotAvailableError" or start:
                    raise
            else:
                return _opened(product._stream, start, answer.content)
            if time.monotonic() > self._until_s:
                raise FetchError("it was not brought from its archive in time")
            self._line.tell("ordered")
            time.sleep(min(ASK_AGAIN_S, self._order_limit_s / 10))


class OneAsset:
    """One of the files that a provider lists for a product."""

    def __init__(self, product: Any, href: str, login: Login) -> None:
        self._config, self._href, self._login = product.downloader.config, href, login

    def open(self, start: int, stop: int | None, etag: str) -> Opened:
        import requests  # noqa: PLC0415

        answer = requests.get(
            self._href,
            stream=True,
            auth=self._login.for_bytes(start, stop, etag, self._href),
            params=getattr(self._config, "dl_url_params", {}),
            verify=getattr(self._config, "ssl_verify", True),
            timeout=_SILENCE_OF_ANSWER_S,
        )
        try:
            answer.raise_for_status()
        except requests.RequestException:
            answer.close()
            raise
        return _opened(answer, start, answer.iter_content(_CHUNK_BYTES))


class OneObject:
    """An object of a bucket, through boto3's client."""

    def __init__(self, client: Any, bucket: str, key: str, more: Mapping[str, Any]) -> None:
        self._client, self._asked = client, {"Bucket": bucket, "Key": key, **more}

    def open(self, start: int, stop: int | None, etag: str) -> Opened:
        asked = dict(self._asked)
        if start or stop is not None:
            asked["Range"] = _range(start, stop)
            asked |= {"IfMatch": etag} if etag else {}
        try:
            answer = self._client.get_object(**asked)
        except Exception as error:
            if status_of(error) == 412:
                raise ReplacedError from None
            raise
        body, told = answer["Body"], answer.get("ContentRange", "")
        total = str(told).rpartition("/")[2] if told else str(answer["ContentLength"])
        return Opened(
            at=start if told else 0,
            total=int(total) if total.isdecimal() else None,
            etag=_strong(answer.get("ETag", "")),
            chunks=body.iter_chunks(_CHUNK_BYTES),
            close=body.close,
        )


def is_one_file(product: Any) -> bool:
    """Whether its provider packs it, and does not list its files alone."""
    config = product.downloader.config
    of_collection = getattr(config, "products", {}).get(product.collection, {})
    return not product.assets or bool(of_collection.get("ignore_assets", getattr(config, "ignore_assets", False)))


def fetch_assets(product: Any, folder: Path, line: Line, files: Executor) -> None:
    """All files that a provider lists for a product, below what their addresses have in common."""
    login = Login(product)
    hrefs = [asset["href"] for asset in product.assets.values() if str(asset.get("href", "")).startswith("http")]
    paths = [[one for one in unquote(urlsplit(href).path).split("/") if one not in ("", ".", "..")] for href in hrefs]
    if not hrefs or not all(paths):
        raise FetchError("lists no file of it that can be fetched")
    depth = _common([names[:-1] for names in paths])

    def fetch_one(href: str, names: list[str]) -> None:
        path = folder.joinpath(*names[depth:])
        path.parent.mkdir(parents=True, exist_ok=True)
        name = fetch_file(OneAsset(product, href, login), path, line)
        if name and not path.suffix:  # the address did not say
            path.rename(path.with_name(name))

    list(files.map(fetch_one, hrefs, paths))


@contextlib.contextmanager
def objects_by(line: Line, folder: Path) -> Iterator[None]:
    """EODAG lays a bucket's objects out below a folder; what it has boto3 fetch goes over this line for the block."""
    from boto3.s3 import inject  # noqa: PLC0415

    def download_file(
        self: Any,
        Key: str,
        Filename: str,
        ExtraArgs: Any = None,
        Callback: Any = None,
        Config: Any = None,
    ) -> None:
        if not Path(Filename).resolve().is_relative_to(folder.resolve()):
            raise FetchError("lists an object whose name leaves the product's folder")
        fetch_file(OneObject(self.meta.client, self.name, Key, ExtraArgs or {}), Path(Filename), line)

    before = inject.bucket_download_file
    inject.bucket_download_file = download_file
    try:
        yield
    finally:
        inject.bucket_download_file = before


class Login:
    """EODAG's login to a product's files."""

    def __init__(self, product: Any) -> None:
        self._plugin, self._lock = product.downloader_auth, threading.Lock()

    def for_bytes(self, start: int, stop: int | None, etag: str, href: str | None = None) -> Any:
        """What opens the file, or one at an address of its own, and asks for these bytes alone."""
        from requests.auth import AuthBase  # noqa: PLC0415

        with self._lock:  # it may fetch a token
            login = self._plugin.authenticate() if self._plugin is not None and self._is_for(href) else None

        class ForBytes(AuthBase):  # type: ignore[misc,unused-ignore]
            def __call__(self, request: Any) -> Any:
                request = login(request) if login is not None else request
                request.headers["Accept-Encoding"] = "identity"
                if start or stop is not None:
                    request.headers["Range"] = _range(start, stop)
                    if etag:
                        request.headers["If-Range"] = etag
                return request

        return ForBytes()

    def _is_for(self, href: str | None) -> bool:
        """A login is shown to the addresses that it is meant for."""
        config = self._plugin.config
        matching = getattr(config, "matching_url", "")
        return href is None or bool(getattr(config, "matching_conf", None) or (matching and re.match(matching, href)))


def _opened(answer: Any, start: int, chunks: Iterator[bytes]) -> Opened:
    headers = answer.headers
    told, length = str(headers.get("Content-Range", "")), str(headers.get("Content-Length", ""))
    is_part = answer.status_code == 206
    first, total = told.removeprefix("bytes ").partition("-")[0], told.rpartition("/")[2]
    if not is_part:
        total = length
    return Opened(
        at=int(first) if is_part and first.isdecimal() else start if is_part else 0,
        total=int(total) if total.isdecimal() else None,
        etag=_strong(headers.get("ETag", "")),
        chunks=chunks,
        close=answer.close,
        name=_name_in(str(headers.get("Content-Disposition", ""))),
    )


def _range(start: int, stop: int | None) -> str:
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def _strong(etag: str) -> str:
    return "" if etag.startswith("W/") else etag


def _name_in(disposition: str) -> str:
    """The bare name of a file that a server sends."""
    found = re.search(r'filename="?([^";/\\]+)', disposition)
    return found[1].strip() if found and found[1].strip() not in (".", "..") else ""


def _common(folders: list[list[str]]) -> int:
    """How many folders all have in common."""
    return sum(1 for _ in itertools.takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False)))
