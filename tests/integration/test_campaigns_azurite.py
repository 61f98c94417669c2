"""A small campaign on the real storage emulator: planned, started, fed, made by a worker in miniature, done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from azure.core.pipeline.transport import RequestsTransport

from fakes.crash import Fuse
from fakes.memory_ports import ManualClock
from fakes.products import put_safe
from integration.azurite_world import AzuriteWorld
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.requests import TerrainRequest
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.domain.campaigns import CampaignAction, CampaignState
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.provision import provision
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.campaign_price import Price
from orthofunctions.usecases.campaign_rows import find_campaign
from orthofunctions.usecases.campaigns import change_state, plan_campaign
from orthofunctions.usecases.ledger import Account, account, books_of, month_of
from orthofunctions.usecases.repair import repair
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.upload import take_upload

STEMS = [
    f"S1B_IW_GRDH_1SDV_202112{day:02d}T051122_202112{day:02d}T051147_0301{day:02d}_039993_53{day:02d}"
    for day in range(10, 14)
]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteWorld]:
    with Azurite(tmp_path_factory.mktemp("azurite")) as server, requests.Session() as session:
        provision(server.connection_string)
        with azure_ports(server.connection_string) as ports:
            yield AzuriteWorld(
                real=ports,
                connection_string=server.connection_string,
                transport=RequestsTransport(session=session, session_owner=False),
                clock=ManualClock(SystemClock().now()),
            )


def test_a_campaign_is_done_product_by_product_though_a_look_dies(world: AzuriteWorld) -> None:
    for stem in STEMS:
        put_safe(world.ports.blobs, stem)
        take_upload(world.ports, f"{stem}.SAFE/manifest.safe")
    world.clock.advance(60)
    order = CampaignOrder(
        campaign_id="old", user="operator", tiles=("33TUG",), terrain=TerrainRequest(height_m=0), at_once=3,
        created_at=world.clock.now(),
    )  # fmt: skip
    record = plan_campaign(world.ports, world.rules, Limits(), order)
    price = Price.model_validate_json(record.price)
    assert (price.products, price.images, price.exact) == (4, 4, True)
    change_state(world.ports, record, CampaignAction.START)
    world.fuse = Fuse(6)
    for _ in range(20):
        world.call(feed_campaigns, world.rules, Limits())
        world.status("node-1", slots=2)
        world.round()
        while (delivery := world.take()) is not None:
            delivery.report("started")
            delivery.succeed()
        world.deliver_results()
        world.sweep()
        world.clock.advance(20)
        record = find_campaign(world.ports, "old") or record
        if record.state is CampaignState.DONE:
            break
    assert world.crashed
    assert (record.state, record.n_taken, record.n_done, record.n_failed) == (CampaignState.DONE, 4, 4, 0)
    assert len(list(find(world.ports.tables, JobRecord, partition="operator"))) == 4
    assert len(world.catalogue()) == 4


def test_its_money_is_reserved_and_settled_though_rounds_and_reports_die(world: AzuriteWorld) -> None:
    """Two of three runs can be paid for at the same time; the first round and a report's function die on their way."""
    world.rules = Rules(patience_s=20, backoff_s=1, time_limit_s=600, run_grace_s=60, parallel_releases=1)
    a_run_eur = 0.3 * (10 + 660) / 3600
    for stem in STEMS[:3]:
        put_safe(world.ports.blobs, stem)
        take_upload(world.ports, f"{stem}.SAFE/manifest.safe")
    world.clock.advance(60)
    order = CampaignOrder(
        campaign_id="old", user="operator", tiles=("33TUG",), terrain=TerrainRequest(height_m=0), at_once=3,
        max_eur=2.2 * a_run_eur, patience_s=0, created_at=world.clock.now(),
    )  # fmt: skip
    record = plan_campaign(world.ports, world.rules, Limits(), order)
    change_state(world.ports, record, CampaignAction.START)
    world.call(feed_campaigns, world.rules, Limits())
    most_eur = 0.0

    def books() -> Account:
        nonlocal most_eur
        found = account(world.ports, books_of("old"))
        most_eur = max(most_eur, found.committed_eur)
        return found

    for fuse_at in (8, 11, None, None, None, None, None, None, None, None, None, None):
        world.fuse, world.crashed = None if fuse_at is None else Fuse(fuse_at), False
        world.round()
        books()
        while (delivery := world.take("cloud")) is not None:
            delivery.report("started")
            world.deliver_results()
            world.clock.advance(50)
            delivery.succeed()
            world.deliver_results()
            books()
        world.sweep()
        world.call(repair, world.rules)
        world.clock.advance(150)
        world.call(feed_campaigns, world.rules, Limits())
        record = find_campaign(world.ports, "old") or record
        if record.state is CampaignState.DONE:
            break
    assert (record.state, record.n_done) == (CampaignState.DONE, 3)
    assert a_run_eur <= most_eur <= 2.2 * a_run_eur + 1e-6
    last = books()
    assert last.reserved_eur == 0
    rows = world.ports.tables.query(names.TABLE_LEDGER, partition=books_of("old"), key_from="s-", key_below="s.")
    assert last.spent_eur == pytest.approx(sum(float(str(row.values["eur"])) for row in rows))
    assert last.spent_eur >= 3 * 0.3 * (10 + 50) / 3600 - 1e-6
    assert account(world.ports, month_of(world.clock.now())).committed_eur == 0
