"""`orthoburst campaigns` and `orthoburst archive` as typed, as processes, against the functions host, the emulator, a
broker and real agents whose kernel sleeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.products import LAST_RING, LAST_SLICE, NEXT_RING, NEXT_SLICE, ROME, ROME_RING, put_safe
from integration.storage import azure_ports
from localdev.stack import Stack, StackSpec
from orthocontracts import names
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.ports import Ports

LOCAL_DEV = Path(__file__).parents[2] / "local-dev"
COMMAND = Path(sys.executable).with_name("orthoburst")
SLICES = {ROME: ROME_RING, NEXT_SLICE: NEXT_RING, LAST_SLICE: LAST_RING}
REFS = [f"products/{stem}.SAFE" for stem in SLICES]
TILES = ["33TUG", "33TUH", "33TVG"]
PATIENCE_S = 120.0


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Site:
    url: str
    ports: Ports
    folder: Path

    def orthoburst(self, *words: str) -> Answer:
        environment = {**os.environ, "ORTHOBURST_URL": self.url, "COLUMNS": "120", "NO_COLOR": "1"}
        done = subprocess.run(
            [COMMAND, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def campaign(self, name: str) -> Any:
        return self.orthoburst("campaigns", "show", name, "--json").json

    def file(self, name: str, **members: Any) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"id": name, "terrain": {"height_m": 0}, "tiles": TILES, **members}))
        return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    # what a campaign is fed by comes every 15 s, here sooner
    spec = StackSpec(folder / "stack", agents=0, cloud_limit=0, functions={"LOCALDEV_TIMERS_S": "3"})
    with (
        Stack(spec) as stack,
        azure_ports(stack.azurite.connection_string) as ports,
    ):
        side = subprocess.Popen(
            [
                sys.executable, "-m", "localdev.bench._load_side", "0", "2", stack.azurite.connection_string,
                stack.broker.url, str(folder / "agents"), "2",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(LOCAL_DEV)},
        )  # fmt: skip
        try:
            pool = PoolSpec(name="hpc", kind="onprem", max_slots=2, queue_ahead=1)
            pools = SiteSpec(pools=(pool,)).to_json().encode()
            ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, pools)
            found = Site(stack.addresses()["api"], ports, folder)
            for stem, ring in SLICES.items():
                put_safe(ports.blobs, stem, ring)
            until(lambda: len(found.orthoburst("archive", "list", "--json").json) == len(SLICES), "three products")
            yield found
        finally:
            side.kill()
            side.communicate()


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(1.0)


def refused(answer: Answer, code: int, *words: str) -> None:
    """One line, on standard error, that says what is wrong."""
    assert (answer.code, answer.out) == (code, ""), answer
    (line,) = answer.err.splitlines()
    assert line.startswith("orthoburst: ")
    assert all(word in line for word in words), line


def test_a_campaign_from_its_plan_to_its_end(site: Site) -> None:
    file = site.file("again", max_eur=5)
    planned = site.orthoburst("campaigns", "plan", file)
    assert (planned.code, planned.err) == (0, "")
    assert planned.out.splitlines()[0] == "again: planned"
    assert "2 products, 2 to be made: all were looked at" in planned.out
    assert "3 images, 0 of them there or under way; " in planned.out
    assert "slot minutes" in planned.out
    assert planned.out.splitlines()[-1] == "start it: orthoburst campaigns start again"
    assert site.campaign("again")["state"] == "planned"
    assert site.orthoburst("campaigns", "start", "again").out.startswith("again: running\n")
    assert site.orthoburst("campaigns", "pause", "again").out.startswith("again: paused\n")
    assert site.orthoburst("campaigns", "resume", "again").out.startswith("again: running\n")
    until(lambda: bool(site.campaign("again")["state"] == "done"), "its end")
    shown = site.orthoburst("campaigns", "show", "again").out
    assert "2 done (0 were there), 0 failed, 0 do not fit, 0 under way\n" in shown
    assert "and 0.00 EUR so far, 0.00 reserved, of 5.00" in shown
    (listed,) = site.orthoburst("campaigns", "list", "--json").json
    assert (listed["id"], listed["state"], listed["progress"]["done"]) == ("again", "done", 2)
    for word in ("again", "done", "under way", "EUR"):
        assert word in site.orthoburst("campaigns").out
    assert site.orthoburst("campaigns", "plan", file).out.startswith("again: done\n"), "the same again is harmless"
    refused(site.orthoburst("campaigns", "start", "again"), 1, "campaign again is done: it cannot start, only retry")
    refused(site.orthoburst("campaigns", "plan", site.file("again", at_once=3)), 1, "take another id")


def test_one_that_is_cancelled_before_it_starts(site: Site) -> None:
    assert site.orthoburst("campaigns", "plan", site.file("never"), "--json").json["state"] == "planned"
    cancelled = site.orthoburst("campaigns", "cancel", "never")
    assert (cancelled.code, cancelled.out.splitlines()[0]) == (0, "never: cancelled")
    refused(site.orthoburst("campaigns", "start", "never"), 1, "cancelled")


def test_what_is_asked_for_in_a_wrong_way_is_told_in_a_line(site: Site) -> None:
    refused(site.orthoburst("campaigns", "show", "none"), 1, "there is no campaign none")
    refused(site.orthoburst("campaigns", "show"), 2, "name the file or id")
    refused(site.orthoburst("campaigns", "list", "x"), 2, "it takes no name")
    refused(site.orthoburst("campaigns", "plan", "nofile.json"), 1, "nofile.json")
    refused(
        site.orthoburst("campaigns", "plan", site.file("bad", tiles=["99X"])), 1, "tiles", "99X", "zones are 1 to 60"
    )
    refused(site.orthoburst("archive", "keep"), 2, "name the product")
    refused(site.orthoburst("archive", "keep", "products/none.SAFE"), 1, "products/none.SAFE is not there")
    refused(site.orthoburst("archive", "--by", "x"), 2, "--by x", "mission")
    nowhere = Site("http://127.0.0.1:9", site.ports, site.folder)
    refused(nowhere.orthoburst("campaigns"), 3, "127.0.0.1:9")


def test_the_archive_as_an_operator_sees_it(site: Site) -> None:
    summary = site.orthoburst("archive")
    assert (summary.code, summary.err) == (0, "")
    for word in ("here", "blobs", "sentinel-1", "GRD", " 3 ", "all products are kept"):
        assert word in summary.out
    (count,) = site.orthoburst("archive", "--by", "month,mission", "--json").json["counts"]
    assert (count["month"], count["mission"], count["products"]) == ("2021-12", "sentinel-1", 3)
    listed = site.orthoburst("archive", "list")
    first_column = [line.split("│")[1].strip() for line in listed.out.splitlines() if line.startswith("│")]
    assert all(ref in "".join(first_column) for ref in REFS)
    assert "…" not in listed.out, "a name that is cut short is good for nothing"
    features = site.orthoburst("archive", "list", "--json", "--limit", "2").json
    assert [one["properties"]["ref"] in REFS for one in features] == [True, True]
    assert site.orthoburst("archive", "list", "--state", "gone").out == "no such product\n"
    kept = site.orthoburst("archive", "keep", REFS[0])
    assert (kept.code, kept.out) == (0, f"{REFS[0]} is kept until it is released\n")
    assert site.orthoburst("archive", "release", REFS[0]).out == f"{REFS[0]} goes by the site's rules again\n"
    checked = site.orthoburst("archive", "check")
    assert (checked.code, checked.out) == (0, "3 listed and 3 stored products were looked at\n")
