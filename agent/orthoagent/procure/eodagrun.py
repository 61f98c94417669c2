"""One product by EODAG, in a process and if need be a Python of its own: this file needs nothing of orthoburst.

EODAG takes seconds to import and does not go with every version of what else is installed. What it says may quote
addresses with tokens and bodies of answers: none of that is passed on, only what kind of trouble it was. The order
comes on standard input, events go to standard output, each a line of JSON.

Files over HTTP are read through EODAG's own streams, with its own logins, but resumed here where they broke: EODAG
itself begins anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

ASK_AGAIN_S: Final = 60.0
"""Between looks at a product that its provider has to bring from tape."""
_CHUNKS_TOLD: Final = 16 * 1024 * 1024
_RETRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchError(Exception):
    """What is told instead of what EODAG said."""

    def __init__(self, message: str, kind: str = "FetchFailed") -> None:
        super().__init__(message)
        self.kind = kind


def main() -> int:
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints is no event
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [path for path in sys.path if path != here]  # our own modules are none of EODAG's

    def tell(event: str, **more: Any) -> None:
        events.write(json.dumps({"event": event, **more}) + "\n")
        events.flush()

    order = json.loads(sys.stdin.read())
    try:
        fetch(order, tell)
    except FetchError as error:
        tell("failed", kind=error.kind, message=str(error))
    except Exception as error:  # its text may hold a secret
        tell("failed", kind="FetchFailed", message=f"EODAG ended with {type(error).__name__}")
    return 0


def fetch(order: dict[str, Any], tell: Any) -> None:
    """The product, from the first provider that gives it."""
    try:
        from eodag import EODataAccessGateway  # noqa: PLC0415 (after the events have their way out)
    except ImportError as error:
        raise FetchError(f"EODAG is not installed there ({error.name} is missing)") from None
    gateway = EODataAccessGateway()
    providers = _providers(gateway, order)
    trouble = []
    for provider in providers:
        try:
            product = _listed(gateway, provider, order)
            if product is None:
                continue
            tell("found", provider=provider)
            _download(gateway, product, order, tell)
        except FetchError as error:
            trouble.append(f"{provider} {error}")
        except Exception as error:
            trouble.append(f"{provider} {_words_of(error)}")
        else:
            tell("done", provider=provider)
            return
        tell("provider_failed", provider=provider, why=trouble[-1])
        shutil.rmtree(order["folder"])
        Path(order["folder"]).mkdir()
    if trouble:
        raise FetchError("; ".join(trouble))
    raise FetchError(f"no provider lists it ({', '.join(providers)})", kind="ProductMissing")


def _providers(gateway: Any, order: dict[str, Any]) -> list[str]:
    """Those to ask, the best first."""
    collection, without = order["collection"], order["without"]
    known = [key for key, one in gateway.providers.items() if collection in one.collections_config]
    chosen = [one for one in (order["providers"] or known) if one in known and one not in without]
    if not chosen:
        among = f" among {', '.join(order['providers'])}" if order["providers"] else ""
        also = f", but for {', '.join(without)}" if without else ""
        raise FetchError(f"EODAG knows no provider of {collection}{among}{also}", kind="ProductMissing")
    return chosen


def _listed(gateway: Any, provider: str, order: dict[str, Any]) -> Any:
    """What a provider lists under the product's name; None where it lists nothing."""
    name = order["name"]
    found = gateway.search(id=name, collection=order["collection"], provider=provider, raise_errors=True)
    of_name = [one for one in found if name in (one.properties.get("id"), one.properties.get("title"))]
    return of_name[0] if of_name else None


def _download(gateway: Any, product: Any, order: dict[str, Any], tell: Any) -> None:
    from eodag.plugins.download.http import HTTPDownload  # noqa: PLC0415

    config = getattr(product.downloader, "config", None)
    is_one_file = not product.assets or getattr(config, "ignore_assets", False)
    if isinstance(product.downloader, HTTPDownload) and is_one_file:
        _Stream(product, order, tell).whole(Path(order["folder"]) / f"{order['name']}.zip")
    else:
        # A bucket, or files one by one: EODAG's own way, which begins a file that broke anew.
        gateway.download(product, output_dir=order["folder"], extract=False, timeout=order["order_limit_s"] / 60)


class _Stream:
    """A product's one file, from wherever it broke."""

    def __init__(self, product: Any, order: dict[str, Any], tell: Any) -> None:
        self._product, self._order, self._tell = product, order, tell
        self._total: int | None = None
        self._etag: str | None = None
        self._began_s = time.monotonic()
        self._taken = 0

    def whole(self, path: Path) -> None:
        at, last_byte_s, pause_s = 0, time.monotonic(), 0.5
        ordered_until_s = time.monotonic() + self._order["order_limit_s"]
        while True:
            before = at
            try:
                at = self._rest(path, at)
                if self._total is None or at == self._total:
                    return
                why = f"it ended after {at} of {self._total} bytes"
            except FetchError:
                raise
            except Exception as error:
                at = path.stat().st_size if path.exists() else 0
                why, wait_s = _words_of(error), _wait_of(error)
                if type(error).__name__ == "NotAvailableError" and at == 0:
                    if time.monotonic() > ordered_until_s:
                        raise FetchError("it was not brought from its archive in time") from None
                    self._tell("ordered")
                    time.sleep(min(ASK_AGAIN_S, self._order["order_limit_s"] / 10))
                    last_byte_s = time.monotonic()
                    continue
                if wait_s is None:
                    raise FetchError(why) from None
                pause_s = max(pause_s, wait_s)
            if at > before:
                last_byte_s, pause_s = time.monotonic(), 0.5
            if time.monotonic() + pause_s - last_byte_s > self._order["silence_s"]:
                raise FetchError(f"nothing arrived for {self._order['silence_s']:.0f} s; last: {why}")
            self._tell("resumes", at=at, why=why)
            time.sleep(pause_s)
            pause_s = min(10.0, pause_s * 2)

    def _rest(self, path: Path, at: int) -> int:
        """The rest of the file. Returns how long it is now."""
        login = self._product.downloader_auth
        auth = _from_byte(login.authenticate() if login is not None else None, at, self._etag)
        answer = self._product.downloader.stream_download(self._product, auth=auth)
        stream = self._product._stream
        if at and stream.status_code != 206:  # from the beginning: another version, or no ranges there
            at = 0
        self._total = _total_of(stream.headers, at)
        etag = stream.headers.get("ETag", "")
        self._etag = etag if etag and not etag.startswith("W/") else None
        told = at
        with path.open("r+b" if at else "wb") as file:
            file.truncate(at)
            file.seek(at)
            for chunk in answer.content:
                file.write(chunk)
                at += len(chunk)
                self._pace(len(chunk))
                if at - told >= _CHUNKS_TOLD:
                    told = at
                    self._tell("bytes", at=at, total=self._total)
        return at

    def _pace(self, n_bytes: int) -> None:
        """No faster than this order may be."""
        self._taken += n_bytes
        limit = self._order["mb_per_s"]
        if limit is not None:
            early_s = self._began_s + self._taken / (limit * 1e6) - time.monotonic()
            if early_s > 0:
                time.sleep(early_s)


def _from_byte(login: Any, at: int, etag: str | None) -> Any:
    """EODAG's login, which also asks for the rest of a file."""
    from requests.auth import AuthBase  # noqa: PLC0415

    class FromByte(AuthBase):  # type: ignore[misc,unused-ignore]
        def __call__(self, request: Any) -> Any:
            request = login(request) if login is not None else request
            request.headers["Accept-Encoding"] = "identity"
            if at:
                request.headers["Range"] = f"bytes={at}-"
                if etag is not None:
                    request.headers["If-Range"] = etag
            return request

    return FromByte()


def _total_of(headers: Any, at: int) -> int | None:
    total = str(headers.get("Content-Range", "")).rpartition("/")[2]
    if total.isdecimal():
        return int(total)
    length = str(headers.get("Content-Length", ""))
    return at + int(length) if length.isdecimal() else None


def _status_of(error: BaseException | None) -> Any:
    """The answer that an error is about, however deep; None where there is none."""
    for _ in range(5):
        if error is None:
            break
        response = getattr(error, "response", None)
        if getattr(response, "status_code", None) is not None:
            return response
        error = error.__cause__ or error.__context__
    return None


def _words_of(error: BaseException) -> str:
    """What went wrong in words of ours: nothing of what was sent or answered."""
    response = _status_of(error)
    status = response.status_code if response is not None else None
    kind = type(error).__name__
    if kind == "AuthenticationError" or status in (401, 403):
        return "refuses the login: look at EODAG's settings"
    if kind == "MisconfiguredError":
        return "needs a login, or more settings: look at EODAG's settings"
    if status in (404, 410):
        return f"lists it and has it no longer (status {status})"
    if kind == "QuotaExceededError":
        return "says that this account's quota is used up"
    if status is not None:
        return f"answers with status {status}"
    if kind == "NotAvailableError":
        return "has it offline"
    return f"broke off ({kind})"


def _wait_of(error: BaseException) -> float | None:
    """How long to wait at least before the rest is asked for; None where it would be in vain."""
    response = _status_of(error)
    if response is not None:
        if response.status_code not in _RETRY:
            return None
        after = str(response.headers.get("Retry-After", ""))
        return float(after) if after.isdecimal() and len(after) < 6 else 0.0
    return None if type(error).__name__ in ("AuthenticationError", "MisconfiguredError") else 0.0


if __name__ == "__main__":
    sys.exit(main())
