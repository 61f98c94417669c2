"""Storage by an identity of this process, and a certificate that comes as text."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient, UserDelegationKey
from pydantic import ValidationError

from orthofunctions.adapters.account import by_identity
from orthofunctions.adapters.links import IdentityLinks
from orthofunctions.adapters.pem import as_file
from orthofunctions.adapters.transport import new_session
from orthofunctions.bootstrap import build
from orthofunctions.settings import Settings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ACCOUNT = "https://orthoburst.blob.core.windows.net"


class Storage:
    """What storage answers to whoever asks for a key of some days."""

    account_name = "orthoburst"
    url = ACCOUNT + "/"

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []

    def get_user_delegation_key(self, start: datetime, until: datetime) -> UserDelegationKey:
        self.asked.append((start, until))
        key = UserDelegationKey()
        key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = "OBJECT", "TENANT", "b", "2024-11-04"
        key.signed_start, key.signed_expiry = (f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in (start, until))
        key.value = "a2V5"
        return key


@pytest.fixture
def storage() -> Storage:
    return Storage()


def links(storage: Storage, moments: list[datetime]) -> IdentityLinks:
    return IdentityLinks(cast("BlobServiceClient", storage), lambda: moments[-1])


def test_a_link_is_for_one_blob_one_right_and_https(storage: Storage) -> None:
    ours = links(storage, [NOW])
    for url, right in (
        (ours.read_url("results", "a b/1.tif", NOW + timedelta(hours=1)), "r"),
        (ours.create_url("results", "a b/1.tif", NOW + timedelta(hours=1)), "c"),
    ):
        parts = urlsplit(url)
        said = parse_qs(parts.query)
        assert (parts.netloc, parts.path) == ("orthoburst.blob.core.windows.net", "/results/a%20b/1.tif")
        assert (said["sp"], said["sr"], said["spr"], said["se"]) == (
            [right],
            ["b"],
            ["https"],
            ["2026-05-01T13:00:00Z"],
        )
        assert (said["skoid"], said["ske"]) == (["OBJECT"], ["2026-05-08T11:45:00Z"])


def test_a_key_serves_until_a_link_would_outlive_it(storage: Storage) -> None:
    moments = [NOW]
    ours = links(storage, moments)
    for hours in (0, 24, 100):
        moments.append(NOW + timedelta(hours=hours))
        ours.read_url("results", "1.tif", moments[-1] + timedelta(hours=5))
    assert len(storage.asked) == 1
    moments.append(NOW + timedelta(days=6, hours=20))
    ours.read_url("results", "1.tif", moments[-1] + timedelta(hours=5))
    assert len(storage.asked) == 2
    assert all(until - start == timedelta(days=7) for start, until in storage.asked)


def test_no_link_outlives_every_key(storage: Storage) -> None:
    with pytest.raises(ValueError, match="7 days at most"):
        links(storage, [NOW]).read_url("results", "1.tif", NOW + timedelta(days=8))
    assert storage.asked == []


class Identity:
    """A credential that remembers what it was asked for."""

    def __init__(self) -> None:
        self.scopes: set[str] = set()

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes |= set(scopes)
        return AccessToken("TOKEN", int(datetime.now(UTC).timestamp()) + 3600)


def test_every_service_of_the_account_is_asked_with_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    session, identity = new_session(), Identity()
    asked: list[tuple[str, str]] = []

    def answer(_: Any, request: Any, **__: Any) -> Any:
        asked.append((request.url, request.headers["Authorization"]))
        raise ConnectionAbortedError  # who is asked and how is all we want to know

    monkeypatch.setattr("requests.Session.send", answer)
    account = by_identity(ACCOUNT, session, identity)
    for ask in (
        lambda: account.blobs.facts("results", "1.tif"),
        lambda: account.queues.length("results"),
        lambda: account.tables.get("jobs", "ana", "j1"),
        lambda: account.links.read_url("results", "1.tif", datetime.now(UTC)),
    ):
        with pytest.raises(ConnectionAbortedError):
            ask()
    hosts = [urlsplit(url).hostname for url, _ in asked]
    assert hosts == [f"orthoburst.{one}.core.windows.net" for one in ("blob", "queue", "table", "blob")]
    assert {how for _, how in asked} == {"Bearer TOKEN"}
    assert identity.scopes == {"https://storage.azure.com/.default"}
    session.close()


def test_the_settings_name_storage_one_way_or_the_other() -> None:
    assert Settings.model_validate({"ORTHOBURST_STORAGE_ACCOUNT": ACCOUNT, "storage_account": ACCOUNT}).storage is None
    with pytest.raises(ValidationError, match="set ORTHOBURST_STORAGE_ACCOUNT, or ORTHOBURST_STORAGE"):
        Settings.model_validate({})
    with pytest.raises(ValidationError, match="should match pattern"):
        Settings.model_validate({"storage_account": "http://orthoburst.blob.core.windows.net"})


def test_with_an_identity_nothing_is_asked_before_the_first_call() -> None:
    system = build(Settings.model_validate({"storage_account": ACCOUNT}))
    assert isinstance(system.ports.links, IdentityLinks)
    system.close()


def test_a_certificate_as_text_becomes_a_file_of_ours_alone() -> None:
    path = Path(as_file("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"))
    assert path.read_text().endswith("-----END CERTIFICATE-----\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()


def test_a_certificate_comes_with_its_key_and_one_way_only() -> None:
    text = {"AzureWebJobsStorage": "s", "broker_cert": "C", "broker_key": "K"}
    assert "'C'" not in repr(Settings.model_validate(text))
    with pytest.raises(ValidationError, match="set together"):
        Settings.model_validate({"AzureWebJobsStorage": "s", "broker_cert": "C"})
    with pytest.raises(ValidationError, match="as text or as files"):
        Settings.model_validate({**text, "broker_cert_file": "f"})
