"""A real Prometheus with the site's own configuration scrapes a real worker, and answers what the dashboard asks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from grafana import dashboard
from integration.worker_kit import Agent, Storage, agents, until
from localdev.servers import Azurite
from localdev.servers.process import free_ports

SITE = Path(__file__).resolve().parents[2] / "infra" / "prometheus"
Asked = dict[str, Any]


class Prometheus:
    """``prometheus`` as its service runs it, but that it looks every second."""

    def __init__(self, program: str, folder: Path, targets: list[str]) -> None:
        shutil.copytree(SITE, folder)
        (nobody, port) = free_ports(2)
        config = (SITE / "prometheus.yml").read_text()
        for was, now in (("FUNCTIONS_HOST", f"127.0.0.1:{nobody}"), ("interval: 30s", "interval: 1s"), ("20s", "1s")):
            assert was in config
            config = config.replace(was, now)
        (folder / "prometheus.yml").write_text(config)
        (folder / "orthoburst.key").write_text("key")
        for example in (folder / "agents").iterdir():
            example.unlink()
        (folder / "agents" / "site.yml").write_text(json.dumps([{"targets": targets, "labels": {"site": "north"}}]))
        command = [program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}"]
        command.append(f"--web.listen-address=127.0.0.1:{port}")
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=self._log)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False)
        until(lambda: self.answers() or None, f"Prometheus to answer: {folder / 'log'}")

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self._http.get("/status/runtimeinfo").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expr: str) -> list[Asked]:
        found: list[Asked] = self.get("/query", query=expr)["result"]
        return found

    def value(self, expr: str) -> float | None:
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def close(self) -> None:
        self._http.close()
        self.process.terminate()
        self.process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def seen(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Storage, Agent, Prometheus]]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    storage, (port,) = Storage(azurite), free_ports(1)
    folder = tmp_path_factory.mktemp("site")
    with agents(storage, folder) as start:
        agent = start(health_port=port)
        agent.wait_for("worker_ready")
        server = Prometheus(program, folder / "prometheus", [f"127.0.0.1:{port}"])
        try:
            yield storage, agent, server
        finally:
            server.close()
            storage.close()


def test_it_takes_every_line_of_the_worker_s_page(seen: tuple[Storage, Agent, Prometheus]) -> None:
    storage, agent, server = seen
    until(lambda: server.value('up{job="orthoburst-agents"}') == 1, "the page to be scraped")
    storage.report(storage.release({}), "finished")
    until(lambda: server.value('orthoagent_ended_total{how="done"}') == 1, "the count of the delivery")
    (target,) = [one for one in server.get("/targets")["activeTargets"] if one["scrapePool"] == "orthoburst-agents"]
    assert (target["health"], target["lastError"], target["labels"]["site"]) == ("up", "", "north")
    page = httpx.get(f"http://127.0.0.1:{agent.wait_for('health_page')['port']}/metrics", trust_env=False).text
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    assert server.value('scrape_samples_scraped{job="orthoburst-agents"}') == len(lines)
    kinds = server.get("/metadata")
    assert kinds["orthoagent_phase_seconds"][0]["type"] == "histogram"
    assert kinds["orthoagent_made_megapixels_total"][0] == {
        "type": "counter", "help": "megapixels delivered, by process", "unit": "",
    }  # fmt: skip


def asked_by(server: Prometheus, title: str, pool: str = ".*") -> list[Asked]:
    """What a panel shows, of all its queries."""
    (panel,) = [one for one in dashboard.document()["panels"] if one["title"] == title]
    exprs = [one["expr"].replace("$__rate_interval", "10s").replace("$pool", pool) for one in panel["targets"]]
    return [one for expr in exprs for one in server.query(expr)]


def test_the_dashboard_shows_what_the_worker_does(seen: tuple[Storage, Agent, Prometheus]) -> None:
    storage, _, server = seen
    for _ in range(3):
        storage.report(storage.release({"steps": [0.3]}), "finished")

    def made() -> list[Asked]:
        return [one for one in asked_by(server, "Megapixels", storage.pool) if float(one["value"][1]) > 0]

    (shown,) = until(made, "megapixels a second of its pool")
    assert shown["metric"] == {"pool": storage.pool}
    assert asked_by(server, "Megapixels", "another-pool") == []
    parts = asked_by(server, "Parts of a delivery")
    assert {one["metric"]["phase"] for one in parts} == {"fetch", "compute", "deliver"}
    assert 0 < max(float(one["value"][1]) for one in parts) < 10
    in_touch = [float(one["value"][1]) for one in asked_by(server, "In touch", storage.pool)]
    assert in_touch == [1, 1, 0]  # page, storage, and a broker that there is none of
    for panel in dashboard.document()["panels"]:
        if panel["type"] != "row":
            asked_by(server, panel["title"])  # whatever there is, each query is one that Prometheus answers


def test_silent_functions_and_a_lost_page_are_seen(seen: tuple[Storage, Agent, Prometheus]) -> None:
    _, agent, server = seen

    def ringing(name: str) -> list[Asked]:
        return [one for one in server.get("/alerts")["alerts"] if one["labels"]["alertname"] == name]

    rules = [rule for group in server.get("/rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    until(lambda: ringing("silence"), "the alert on the functions, of which there are none")
    assert not ringing("worker-page")
    agent.kill()
    (alert,) = until(lambda: ringing("worker-page"), "the alert on the worker's page")
    assert alert["annotations"]["runbook"] == "docs/runbooks.md#worker-page"
    assert alert["labels"]["instance"].startswith("127.0.0.1:")
