"""What the storm is made of: troubles, clocks, counts. That it finds what is lost, doubled or wrong is checked here."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from localdev.chaos.outcome import LOST, committed_twice, quantiles, wrong_pixels
from localdev.chaos.site import clock_environment, clock_file
from localdev.chaos.trouble import Call, doubled_messages, errors, refused_links
from localdev.chaos.work import requests_for

SENT = Call("queue", "POST", "/devstoreaccount1/results/messages", is_link=False)
LINK = Call("blob", "GET", "/devstoreaccount1/products/a.zip", is_link=True)


def test_what_is_doubled_or_wrong_is_counted() -> None:
    assert committed_twice([(1.0, "a"), (2.0, "b"), (3.0, "a"), (4.0, "a")]) == 1
    assert wrong_pixels({"a": "1", "b": "2", "c": LOST, "d": "4"}, {"a": "1", "b": "3", "c": "5"}) == 2
    assert quantiles([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p99": 3.0}


def test_troubles_befall_what_they_concern() -> None:
    rng = random.Random(1)
    assert doubled_messages(1.0).befalls(SENT, rng)
    assert not doubled_messages(1.0).befalls(LINK, rng)
    assert refused_links(1.0).befalls(LINK, rng)
    assert not refused_links(1.0).befalls(SENT, rng)
    share = sum(errors(503, 0.3).befalls(SENT, rng) for _ in range(1000)) / 1000
    assert share == pytest.approx(0.3, abs=0.05)


def test_work_is_all_different_but_every_seventh() -> None:
    wanted = [
        request.model_dump(exclude={"request_id"})
        for request in requests_for(["products/a.zip", "products/b.zip", "products/c.tif"], 28)
    ]
    different = {json.dumps(one, default=str, sort_keys=True) for one in wanted}
    assert len(different) == 24
    assert len({request.request_id for request in requests_for(["products/a.zip", "products/c.tif"], 28)}) == 28


@pytest.mark.parametrize("offset_s", [86_400.0, -600.0])
def test_a_clock_that_jumps(tmp_path: Path, offset_s: float) -> None:
    """Wall clocks do, in what imports names as well as in what imports modules; the monotonic one does not."""
    clock_file(tmp_path, "node").write_text(str(offset_s))
    code = (
        "import time, datetime as module; from datetime import UTC, datetime; from pydantic import TypeAdapter; "
        "assert isinstance(TypeAdapter(datetime).validate_json('\"2026-01-01T00:00:00Z\"'), datetime); "
        "print(time.time(), datetime.now(UTC).timestamp(), module.datetime.now().timestamp(), time.monotonic())"
    )
    environment = {**os.environ, **clock_environment(tmp_path, "node")}
    plain = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    shifted = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    differences = [float(b) - float(a) for a, b in zip(plain.stdout.split(), shifted.stdout.split(), strict=True)]
    assert differences == pytest.approx([offset_s, offset_s, offset_s, 0.0], abs=30)
