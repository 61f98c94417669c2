"""The dashboard, the alerts and what they read: every name is one that the code has, every alert has its runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bicepfiles.variants import variants
from fakes.world import World
from grafana import dashboard, measures
from orthoagent.metrics import metrics_text
from orthoagent.status import StatusBoard
from orthoagent.vitals import Vitals
from orthocontracts import names
from orthofunctions.telemetry import Reading
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.gauges import read_gauges
from orthofunctions.usecases.rows import swap
from prometheus_text import families

TOP = Path(__file__).resolve().parents[2]
INFRA = TOP / "infra"
DOCUMENT: dict[str, Any] = json.loads(dashboard.PAGE.read_text())
PANELS = [panel for panel in DOCUMENT["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load((INFRA / "prometheus" / "rules.yml").read_text())["groups"][0]["rules"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
SCRAPED = {"instance", "job"}
_MATCHED = re.compile(r"(orthoburst_\w+|orthoagent_\w+)(?:\{([^}]*)\})?")


def worker_series() -> dict[str, set[str]]:
    """Names of the series on a worker's page, and their labels."""
    vitals = Vitals()
    for counter in (vitals.ended, vitals.returned, vitals.failed, vitals.renewals_failed, vitals.children_lost):
        counter["x"] += 1
    vitals.made_megapixels["x"] += 1
    vitals.time("fetch", "x", 1)
    board = StatusBoard(agent="a", pool="p", session="s", version="0", machine="m", min_s=10, every_s=30)
    return {
        series: {label for label, _ in labels}
        for family in families(metrics_text(vitals, board, broker_up=True)).values()
        for series, labels in family.samples
    }


def known() -> dict[str, set[str]]:
    ours = {name: {*one.labels, "le"} for one in measures.FUNCTIONS for name in one.series}
    return ours | worker_series()


def test_the_file_is_as_the_code_would_write_it() -> None:
    assert dashboard.PAGE.read_text() == dashboard.text(), (
        "write it again: PYTHONPATH=infra python -m grafana.dashboard"
    )


@pytest.mark.parametrize("expr", [*EXPRESSIONS, *(rule["expr"] for rule in RULES)])
def test_what_is_read_is_what_the_code_has(expr: str) -> None:
    used = _MATCHED.findall(expr)
    assert used or 'up{job="orthoburst-agents"}' in expr
    for name, matchers in used:
        assert name in known()
        assert set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", matchers)) <= known()[name] | SCRAPED
    variables = set(re.findall(r"\$(?:\{)?(\w+)", expr))
    assert variables <= {"__rate_interval", *(one["name"] for one in DOCUMENT["templating"]["list"])}


def test_series_are_called_by_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            assert not wanted or wanted <= set(re.split(r",\s*", grouped[0])), panel["title"]


def test_counters_are_rates_and_gauges_are_not() -> None:
    counters = {name for one in measures.FUNCTIONS if one.kind != "gauge" for name in one.series}
    counters |= {name for name in worker_series() if name.endswith(("_total", "_bucket", "_sum", "_count"))}
    for expr in EXPRESSIONS:
        for name, _ in _MATCHED.findall(expr):
            assert (f"rate({name}" in expr) == (name in counters), expr


def test_panels_are_whole_and_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in DOCUMENT["panels"]}) == len(DOCUMENT["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in DOCUMENT["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in PANELS:
        assert panel["description"]
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["options"]
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
        assert all(target["instant"] is not target["range"] for target in panel["targets"])


def test_it_shows_what_an_operator_asks_for() -> None:
    read = {name for expr in EXPRESSIONS for name, _ in _MATCHED.findall(expr)}
    for one in measures.FUNCTIONS:
        assert read & set(one.series), f"{one.prometheus} is on no panel"
    assert [one["name"] for one in DOCUMENT["templating"]["list"]] == ["datasource", "pool"]
    assert DOCUMENT["schemaVersion"] == 39
    for histogram in ("wait", "run"):
        shares = {expr[:24] for expr in EXPRESSIONS if f"orthoburst_task_{histogram}_seconds_bucket" in expr}
        assert shares == {"histogram_quantile(0.5, ", "histogram_quantile(0.95,"}


def test_every_alert_of_azure_has_its_like_and_every_alert_its_runbook() -> None:
    azure = {
        str(one.body["properties"]["displayName"]).partition(": ")[2]
        for one in variants()["prod"]
        if one.type.endswith("/scheduledQueryRules")
    }
    ours = {rule["alert"] for rule in RULES}
    assert {*azure, "undelivered", "budget"} <= ours
    text = (TOP / "docs" / "runbooks.md").read_text()
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert']}"
        assert rule["alert"] in anchors
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_poison_queues_are_those_the_functions_have() -> None:
    (pattern,) = {found for rule in RULES for found in re.findall(r'queue=~"([^"]*poison)"', rule["expr"])}
    assert all(re.fullmatch(pattern, names.poison_queue(queue)) for queue in names.QUEUES)
    assert not [queue for queue in names.QUEUES if re.fullmatch(pattern, queue)]
    watched = next(rule["expr"] for rule in RULES if rule["alert"] == "undelivered")
    assert f'"{names.QUEUE_UPLOADS}|{names.QUEUE_ANNOUNCED}"' in watched


def test_what_grafana_is_given_fits_the_dashboard() -> None:
    source = yaml.safe_load((INFRA / "grafana/provisioning/datasources/orthoburst.yaml").read_text())
    (prometheus,) = source["datasources"]
    assert (source["apiVersion"], prometheus["type"], prometheus["isDefault"]) == (1, "prometheus", True)
    scrape = yaml.safe_load((INFRA / "prometheus/prometheus.yml").read_text())
    assert prometheus["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    boards = yaml.safe_load((INFRA / "grafana/provisioning/dashboards/orthoburst.yaml").read_text())
    (provider,) = boards["providers"]
    assert (boards["apiVersion"], provider["type"]) == (1, "file")
    assert provider["options"]["path"].startswith("/")


def components(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            yield from ((kind, name) for name in pipeline[kind])
    yield from (("extensions", name) for name in config["service"]["extensions"])


def test_the_collector_s_pipelines_use_what_is_configured_and_all_of_it() -> None:
    config = yaml.safe_load((INFRA / "prometheus" / "collector.yaml").read_text())
    sections = ("extensions", "receivers", "processors", "exporters")
    assert set(components(config)) == {(section, name) for section in sections for name in config[section]}
    assert set(config["service"]["pipelines"]) == {"metrics", "traces"}
    scrape = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text())
    asked = {job["job_name"]: job for job in scrape["scrape_configs"]}["orthoburst-collector"]
    assert asked["static_configs"][0]["targets"] == [config["exporters"]["prometheus"]["endpoint"]]
    assert asked["honor_labels"] is True


class TestRules:
    """Alerts ring, and do not, over series of the day: by Prometheus' own tool."""

    CASES = (
        ("poison", 'orthoburst_queue_messages{queue="requests-poison"}', "0x5 1 0x20", "5m", False),
        ("poison", 'orthoburst_queue_messages{queue="requests-poison"}', "0x5 1 0x20", "7m", True),
        ("poison", 'orthoburst_queue_messages{queue="requests"}', "9x30", "10m", False),
        ("oldest-task", "orthoburst_task_oldest_seconds", "3599x30", "20m", False),
        ("oldest-task", "orthoburst_task_oldest_seconds", "3601x30", "2m", False),
        ("oldest-task", "orthoburst_task_oldest_seconds", "3601x30", "4m", True),
        ("agents-lost", 'orthoburst_agents{pool="hpc",state="online"}', "9x30", "10m", False),
        ("agents-lost", 'orthoburst_agents{pool="hpc",state="lost"}', "0x5 2x9", "8m", True),
        ("silence", "orthoburst_task_oldest_seconds", "0x60", "40m", False),
        ("silence", "orthoburst_task_oldest_seconds", "0x9", "40m", True),
        ("trouble", 'orthoburst_troubles_total{doing="sweep"}', "0x5 1x25", "10m", False),
        ("trouble", 'orthoburst_troubles_total{doing="sweep"}', "0x5 1+1x25", "20m", True),
        ("undelivered", 'orthoburst_queue_age_seconds{queue="uploads"}', "3601x30", "6m", True),
        ("undelivered", 'orthoburst_queue_age_seconds{queue="pool-hpc-r3"}', "9999x30", "20m", False),
        ("worker-page", 'up{job="orthoburst-agents",instance="n:1"}', "1x5 0x20", "8m", False),
        ("worker-page", 'up{job="orthoburst-agents",instance="n:1"}', "1x5 0x20", "12m", True),
        ("worker-storage", 'orthoagent_storage_answers{instance="n:1"}', "0x20", "6m", True),
        ("worker-storage", 'orthoagent_storage_answers{instance="n:1"}', "1x20", "6m", False),
    )

    @pytest.fixture
    def promtool(self) -> str:
        found = shutil.which("promtool")
        if found is None:
            pytest.skip("promtool is not installed (Debian: prometheus)")
        return found

    @pytest.mark.parametrize(("alert", "series", "values", "at", "rings"), CASES)
    def test_rings(
        self, promtool: str, tmp_path: Path, alert: str, series: str, values: str, at: str, rings: bool
    ) -> None:
        self.rings(promtool, tmp_path, alert, {series: values}, at, rings)

    @pytest.mark.parametrize(("spent", "rings"), [(79, False), (81, True)])
    def test_the_budget(self, promtool: str, tmp_path: Path, spent: int, rings: bool) -> None:
        money = {"orthoburst_spend_EUR": f"{spent}x30", "orthoburst_budget_EUR": "100x30"}
        self.rings(promtool, tmp_path, "budget", money, "5m", rings)

    def rings(self, promtool: str, tmp_path: Path, alert: str, series: dict[str, str], at: str, rings: bool) -> None:
        """Whether an alert rings; what it says is not looked at."""
        counted = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
        test = {
            "rule_files": [str(INFRA / "prometheus" / "rules.yml")],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "promql_expr_test": [
                        {"expr": counted, "eval_time": at, "exp_samples": [{"labels": "{}", "value": int(rings)}]}
                    ],
                }
            ],
        }
        path = tmp_path / "test.yml"
        path.write_text(yaml.safe_dump(test))
        done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_promtool_reads_rules_scrapes_and_every_query_of_the_dashboard(self, promtool: str, tmp_path: Path) -> None:
        shutil.copytree(INFRA / "prometheus", tmp_path, dirs_exist_ok=True)
        (tmp_path / "orthoburst.key").write_text("key")
        records = [
            {"record": f"q{number}", "expr": expr.replace("$__rate_interval", "2m").replace("$pool", ".*")}
            for number, expr in enumerate(EXPRESSIONS)
        ]
        (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": records}]}))
        for what in (["config", "prometheus.yml"], ["rules", "queries.yml"]):
            command = [promtool, "check", *what]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


class _Noting:
    """A meter that keeps under which name, kind, unit and labels it was told of something."""

    def __init__(self) -> None:
        self.told: set[tuple[str, str, str, tuple[str, ...]]] = set()

    def count(self, name: str, n: int = 1, **about: str) -> None:
        self.told.add((name, "counter", "", tuple(about)))

    def record(self, name: str, value: float, unit: str, **about: str) -> None:
        self.told.add((name, "histogram", unit, tuple(about)))

    def show(self, readings: Iterable[Reading]) -> None:
        self.told |= {(one.name, "gauge", one.unit, tuple(one.labels)) for one in readings}


def test_the_functions_measure_what_the_table_says_and_nothing_else() -> None:
    """A job that ends well after a first attempt that failed, and trouble."""
    meter, world = _Noting(), World()
    world.ports = replace(world.ports, meter=meter)
    world.job("one", "A", megapixels=1.0)
    (job,) = world.jobs()
    swap(world.ports.tables, job.changed(planned=True, n_outputs=1))
    world.status("node-1", slots=2)
    for ends_well in (False, True):
        world.clock.advance(60)
        world.round()
        delivery = world.take()
        assert delivery is not None
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(30)
        if ends_well:
            delivery.succeed({"fetched_bytes": 10.0, "local_bytes": 5.0})
        else:
            delivery.fail()
        world.deliver_results()
    with pytest.raises(OSError), apart("sweep", world.ports.meter) as each, each("a release"):  # noqa: PT011 (ours)
        raise OSError
    meter.show(read_gauges(world.ports, replace(world.rules, month_budget_eur=10.0)))
    table = {(one.name, one.kind, one.unit, one.labels) for one in measures.FUNCTIONS}
    assert meter.told == table
