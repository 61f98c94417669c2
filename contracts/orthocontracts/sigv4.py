"""AWS Signature Version 4, of requests without a body: what S3 and its likes want of whoever reads.

Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class AccessKey:
    """Who asks. ``repr`` shows no secret."""

    key_id: str
    secret: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"AccessKey({self.key_id!r})"


def signed_headers(
    url: str,
    headers: Mapping[str, str],
    key: AccessKey,
    *,
    now: datetime,
    region: str,
    service: str = "s3",
    method: str = "GET",
) -> dict[str, str]:
    """The headers to send: those given, with time, content hash and ``Authorization``.

    Parameters
    ----------
    url : str
        As it will be asked: its path percent-encoded, its query in any order.
    headers : mapping
        All are signed; ``Host`` follows from the URL.
    """
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "x-amz-date": moment}
    if service == "s3":
        sent["x-amz-content-sha256"] = EMPTY_SHA256
    if key.session_token:
        sent["x-amz-security-token"] = key.session_token
    signed = {"host": parts.netloc} | {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    names = ";".join(sorted(signed))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    canonical = "\n".join(
        [
            method,
            parts.path or "/",
            _canonical_query(parts.query),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            EMPTY_SHA256,
        ]
    )
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing_key = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        signing_key = hmac.new(signing_key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={key.key_id}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "Authorization": authorization}


def object_url(endpoint: str, bucket: str, key: str) -> str:
    """Where an object lies, path style: every server with S3's interface understands it."""
    return f"{endpoint.rstrip('/')}/{bucket}/{quote(key, safe='/~')}"


def _canonical_query(query: str) -> str:
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in parse_qsl(query, True))
    return "&".join(f"{name}={value}" for name, value in pairs)
