"""``orthoburst submit NAME`` against the real functions host: found, or waited for until it has been brought."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.products import NEXT_RING, NEXT_SLICE, ROME, put_safe
from integration.client_kit import real_service, wait_until
from orthoburst import Client
from orthoburst.cli import main
from orthocontracts import names
from orthocontracts.procurement import Procured, Wanted


def test_a_product_is_named_and_the_command_says_where_it_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with real_service(tmp_path, ORTHOBURST_WANTED_LIMIT_S="600") as service, Client(service.url) as client:

        def run(*arguments: str) -> str:
            assert main(["--url", service.url, *arguments]) == 0
            return capsys.readouterr().out.strip()

        here, away = (run("submit", name, "--height", "0") for name in (f"{ROME}.SAFE", NEXT_SLICE))
        wait_until(lambda: bool(client.job(here).explain()))
        assert f"id:{ROME}: in the store, products/{ROME}.SAFE" in run("explain", here)
        wait_until(lambda: client.job(away).message == f"waits for {NEXT_SLICE}, to be fetched")
        assert "nobody has begun to fetch it" in run("explain", away)
        (body,) = service.ports.queues.drain(names.QUEUE_WANTED, 9)
        wanted = Wanted.model_validate_json(body)

        def say(kind: str) -> None:
            told = {"name": wanted.name, "ask": wanted.ask, "agent": "fetcher", "at": datetime.now(UTC), "kind": kind}
            service.ports.queues.send(names.QUEUE_PROCURED, Procured.model_validate(told).to_json())

        say("started")
        wait_until(lambda: "fetcher fetches it since" in str(client.job(away).whereabouts()))
        put_safe(service.ports.blobs, NEXT_SLICE, NEXT_RING)
        say("fetched")
        wait_until(lambda: bool(client.job(away).explain()))
        assert client.job(away).whereabouts() == [
            {"asked": f"id:{NEXT_SLICE}", "ref": f"products/{NEXT_SLICE}.SAFE", "how": "in the store"}
        ]
        assert not list(service.ports.tables.query(names.TABLE_WANTED))
