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
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.requests import TerrainRequest
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.domain.campaigns import CampaignAction, CampaignState
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.provision import provision
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.campaign_price import Price
from orthofunctions.usecases.campaign_rows import find_campaign
from orthofunctions.usecases.campaigns import change_state, plan_campaign
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
