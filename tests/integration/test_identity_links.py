"""Links of an identity against the emulator, which takes tokens over TLS and gives keys for some days as Azure does."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
import requests
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient

from localdev.servers import Azurite
from localdev.servers.azurite import ACCOUNT
from orthofunctions.adapters.links import IdentityLinks

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")


class TokenStorage(Azurite):
    """The emulator behind a certificate of its own, with tokens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"),
                *("-keyout", str(key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        self._tls = ["--oauth", "basic", "--cert", str(self.certificate), "--key", str(key)]
        super().__init__(folder)

    def _place(self, ports: tuple[int, int, int]) -> None:
        super()._place(ports)
        self.command += self._tls


class Identity:
    """A token as Entra would give one; the emulator reads it and does not check who signed it."""

    def get_token(self, *_scopes: str, **_: Any) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
            "oid": "22222222-2222-2222-2222-222222222222",
            "tid": "11111111-1111-1111-1111-111111111111",
            "nbf": now - 60,
            "iat": now - 60,
            "exp": now + 3600,
        }
        return AccessToken(jwt.encode(claims, "k" * 32, algorithm="HS256"), now + 3600)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenStorage]:
    with TokenStorage(tmp_path_factory.mktemp("tokens")) as server:
        yield server


@pytest.fixture(scope="module")
def blobs(storage: TokenStorage) -> Iterator[BlobServiceClient]:
    url = f"https://127.0.0.1:{storage.blob_port}/{ACCOUNT}"
    with BlobServiceClient(url, Identity(), connection_verify=str(storage.certificate)) as service:
        yield service


@pytest.fixture
def call(storage: TokenStorage) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # another certificate may be named there
        session.verify = str(storage.certificate)
        yield session


def test_links_create_once_and_read_and_end(blobs: BlobServiceClient, call: requests.Session) -> None:
    container, name = f"results-{uuid4().hex[:8]}", "task-1/1/a b.tif"
    blobs.create_container(container)
    links, soon = IdentityLinks(blobs), datetime.now(UTC) + timedelta(minutes=5)
    create, read = links.create_url(container, name, soon), links.read_url(container, name, soon)
    header = {"x-ms-blob-type": "BlockBlob"}

    assert call.put(create, b"image", headers=header).status_code == 201
    assert call.get(read).content == b"image"
    assert call.put(create, b"another", headers=header).status_code in (403, 409)
    assert call.put(read, b"another", headers=header).status_code == 403
    assert call.get(create).status_code == 403
    assert call.delete(create).status_code == 403
    assert call.get(read.replace("task-1", "task-2")).status_code == 403
    assert call.get(read).content == b"image"
    ended = links.read_url(container, name, datetime.now(UTC) - timedelta(seconds=5))
    assert call.get(ended).status_code == 403
