"""Ways out of a site that lets little out: through its HTTP proxy, over WebSocket, with a certificate and a grant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integration.proxy_kit import proxy
from integration.site_kit import Client, SiteBroker, Way
from integration.worker_kit import Storage, agents
from localdev.servers.broker import default_kind, mosquitto_command
from localdev.servers.process import Server, free_ports
from orthocontracts import names
from orthocontracts.messages import Control, Doorbell
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.adapters.bell import MqttBell
from orthofunctions.adapters.grants import AccountKeyGrants
from orthofunctions.grant import write_private

needs_mosquitto = pytest.mark.skipif(default_kind() != "mosquitto", reason="mosquitto is not installed")
DIRECT = {
    name: "" for way in ("http", "https", "no", "all", "mqtt") for name in (f"{way}_proxy", f"{way}_PROXY".upper())
}


def grant(storage: Storage, folder: Path) -> Path:
    path = folder / "grant"
    with AccountKeyGrants(storage.azurite.connection_string) as grants:
        ends = datetime.now(UTC) + timedelta(hours=1)
        write_private(path, grants.for_pool(storage.pool, KERNEL_RESULT_VERSION, ends).to_json())
    return path


def certificate(site: SiteBroker, name: str) -> dict[str, object]:
    cert, key = site.certificates[name]
    return {"broker_ca_file": site.authority.ca, "broker_cert_file": cert, "broker_key_file": key}


def test_everything_of_storage_goes_through_the_proxy(storage: Storage, tmp_path: Path) -> None:
    with proxy() as way_out, agents(storage, tmp_path) as starter:
        starter(
            environ=DIRECT | {"HTTP_PROXY": way_out.url, "http_proxy": way_out.url},
            grant=grant(storage, tmp_path),
            storage=None,
        )
        task = storage.release({})
        storage.report(task, "finished")
        blobs, queues = (
            f"http://127.0.0.1:{port}/devstoreaccount1"
            for port in (storage.azurite.blob_port, storage.azurite.queue_port)
        )
        for asked in (
            f"GET {queues}/{storage.pool_queue.queue_name}/messages",
            f"GET {blobs}/{names.ticket_container(storage.pool)}/{task}-1.json",
            f"GET {blobs}/products/{task}/scene.tif",
            f"POST {queues}/results/messages",
        ):
            assert asked in way_out.asked
        written = [one for one in way_out.asked if one.startswith(f"PUT {blobs}/results/{task}-1/1/")]
        assert len(written) == 4, "image, mask, browse image, item"


def test_what_needs_no_proxy_does_not_go_through_it(storage: Storage, tmp_path: Path) -> None:
    with proxy() as way_out, agents(storage, tmp_path) as starter:
        environ = DIRECT | {
            "HTTP_PROXY": way_out.url,
            "http_proxy": way_out.url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        starter(environ=environ)
        storage.report(storage.release({}), "finished")
        assert way_out.asked == []


@needs_mosquitto
@pytest.mark.parametrize("way", ["tls", "websocket"])
def test_a_worker_with_a_certificate_and_a_grant_does_its_work(
    storage: Storage, site: SiteBroker, way: Way, tmp_path: Path
) -> None:
    """Through a proxy too: the broker by a tunnel. Rung by the functions' own publisher, drained by an operator."""
    bell = MqttBell(site.address(way, "functions"))
    operator = Client(site.address(way, "operator"))
    with proxy() as way_out, agents(storage, tmp_path) as starter:
        worker = starter(
            name="victim",
            storage=None,
            grant=grant(storage, tmp_path),
            broker=site.url(way),
            **certificate(site, "victim"),
            poll_up_s=300,
            lease_s=60,
            environ=DIRECT | {"MQTT_PROXY": way_out.url, "mqtt_proxy": way_out.url},
        )
        try:
            worker.wait_for("broker_up")
            worker.wait_for("worker_ready")
            assert f"CONNECT 127.0.0.1:{site.ports[way]}" in way_out.asked
            impostor = Client(site.address(way, "rogue"), identifier="orthoagent-victim")
            task = storage.release({})
            bell.publish(names.topic_doorbell("victim"), Doorbell(pool=storage.pool).to_json())
            storage.report(task, "finished")
            operator.say(names.topic_control("victim"), Control(action="drain").to_json())
            worker.wait_for("drains")
            impostor.close()
            assert worker.events("broker_down") == [], "nobody ends its session by taking up its name"
            assert worker.end() == 0
        finally:
            operator.close()
            bell.close()


@needs_mosquitto
def test_websocket_in_the_clear_behind_something_that_ends_tls(storage: Storage, tmp_path: Path) -> None:
    plain, websocket = free_ports(2)  # mosquitto 2.0 does not start with a WebSocket alone
    text = f"allow_anonymous true\nlistener {plain} 127.0.0.1\nlistener {websocket} 127.0.0.1\nprotocol websockets\n"
    command = mosquitto_command(tmp_path / "mosquitto.conf", text)
    broker = Server("mosquitto", command, log=tmp_path / "mosquitto.log", ready=r"mosquitto version \S+ running")
    with broker, agents(storage, tmp_path) as starter:
        worker = starter(broker=f"ws://127.0.0.1:{websocket}/some/path")
        worker.wait_for("broker_up")
        assert worker.end() == 0


@needs_mosquitto
def test_presence_and_workers_are_known_by_their_certificates(
    storage: Storage, site: SiteBroker, tmp_path: Path
) -> None:
    """A worker that has another's certificate is denied, and says so; presence hears with its own."""
    with agents(storage, tmp_path) as starter:
        forwarder = starter("presence", broker=site.url("tls"), **certificate(site, "presence"))
        forwarder.wait_for("presence_listens")
        stranger = starter(name="victim", broker=site.url("tls"), **certificate(site, "rogue"), echo_timeout_s=2)
        assert stranger.process.wait(60) == 3
        assert "does not come back" in stranger.log_path.read_text()
        unused = starter(broker=site.url("plain"), **certificate(site, "rogue"), scratch=tmp_path / "other")
        assert unused.process.wait(60) == 2
        assert "certificates need mqtts://" in unused.log_path.read_text()
