"""Which way a worker goes into storage, before anything is sent there."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from orthoagent.adapters.clients import open_storage
from orthoagent.settings import Settings, StorageSettings
from orthocontracts.grants import PoolGrant, PresenceGrant, read_grant
from orthocontracts.wire import NotUnderstoodError

ACCOUNT = "https://orthoburst.blob.core.windows.net"
GRANT = (
    '{"v":1,"kind":"pool","pool":"hpc","result_version":2,"queue":"https://a.queue.core.windows.net/q?sig=1",'
    '"tickets":"https://a.blob.core.windows.net/t?sig=2","results":"https://a.queue.core.windows.net/results?sig=3",'
    '"expires_at":"2026-05-01T00:00:00Z"}'
)


def test_an_identity_goes_to_both_services_of_the_account() -> None:
    async def urls() -> tuple[str, str]:
        async with open_storage(StorageSettings(storage_account=ACCOUNT)) as storage:
            return storage.queue("results").url, storage.container("tickets-hpc").url

    assert asyncio.run(urls()) == (
        "https://orthoburst.queue.core.windows.net/results",
        "https://orthoburst.blob.core.windows.net/tickets-hpc",
    )


@pytest.mark.parametrize("account", ["orthoburst", "http://orthoburst.blob.core.windows.net", f"{ACCOUNT}/?sv=1&sig=x"])
def test_an_account_is_named_by_its_address(account: str) -> None:
    with pytest.raises(ValidationError, match="storage_account"):
        StorageSettings(storage_account=account)


def test_a_certificate_is_never_left_unused() -> None:
    with pytest.raises(ValidationError, match="certificates need mqtts://"):
        Settings(storage="x", pool="hpc", broker="mqtt://broker.site", broker_ca_file=__file__)  # type: ignore[arg-type]


def test_a_grant_is_read_as_what_it_says_it_is() -> None:
    grant = read_grant(GRANT.encode())
    assert isinstance(grant, PoolGrant)
    assert grant.signed_urls == (grant.queue, grant.tickets, grant.results)
    presence = b'{"v":1,"kind":"presence","capacity":"http://h/capacity?sig=1","expires_at":"2026-05-01T00:00:00Z"}'
    assert isinstance(read_grant(presence), PresenceGrant)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"v":1', '"v":2'),
        ('"v":1,', ""),
        ('"kind":"pool"', '"kind":"presence"'),
        ('"kind":"pool"', '"kind":"root"'),
        ("/q?sig=1", "/q"),
        ('"pool":"hpc"', '"pool":"hpc","catalogue":"https://a/catalogue?sig=4"'),
        ("00Z", "00"),
    ],
)
def test_what_is_no_grant_is_not_used_and_not_quoted(old: str, new: str) -> None:
    assert old in GRANT
    with pytest.raises(NotUnderstoodError) as caught:
        read_grant(GRANT.replace(old, new).encode())
    assert "sig=" not in str(caught.value)
