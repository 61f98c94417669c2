"""Parts of the lock, and bills of materials from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from packing import bom, lock

SCIENCE = {"numba", "llvmlite", "numpy", "rasterio", "pyproj", "h5py"}


@pytest.fixture(scope="module")
def pins() -> list[lock.Pin]:
    return lock.read_lock()


def names_of(pins: list[lock.Pin]) -> set[str]:
    return {pin.name for pin in pins}


def test_the_functions_part_has_no_science_and_the_worker_s_has_no_api(pins: list[lock.Pin]) -> None:
    functions = names_of(lock.part_for(["functions", "identity"], pins, without=["aiohttp"]))
    worker = names_of(lock.part_for(["agent", "identity", "telemetry"], pins))
    assert {"azure-functions", "fastapi", "starlette", "azure-identity", "cffi", "pydantic-core"} <= functions
    assert not functions & (SCIENCE | {"aiohttp", "attrs", "pytest", "httpx", "rich"})
    assert worker >= SCIENCE | {"aiohttp", "aiomqtt", "paho-mqtt", "azure-identity", "zstandard"}
    assert worker >= {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "protobuf"}
    assert not worker & {"fastapi", "azure-functions", "pytest", "scipy"}


def test_every_pin_of_a_part_stands_in_the_lock_with_all_its_hashes(pins: list[lock.Pin]) -> None:
    whole = (lock.ROOT / "requirements.lock").read_text(encoding="utf-8")
    for pin in lock.part_for(["agent"], pins):
        head, *hashes = pin.text.rstrip("\n").split(" \\\n    ")
        assert head.startswith(f"{pin.name}==")
        assert hashes == [f"--hash=sha256:{digest}" for digest in pin.hashes]
        assert all(f"    {digest}" in whole for digest in hashes)


def test_a_package_for_two_pythons_is_there_twice_and_its_bill_has_the_one(pins: list[lock.Pin]) -> None:
    part = lock.part_for(["functions"], pins)
    assert sum(pin.name == "azure-functions" for pin in part) == 2
    versions = []
    for python in ((3, 11), (3, 13)):
        bill = json.loads(bom.bill_of("x", part, python=python))
        versions += [one["version"] for one in bill["components"] if one["name"] == "azure-functions"]
    assert len(set(versions)) == 2


def test_a_bill_names_every_package_once_and_what_each_asks_for(pins: list[lock.Pin]) -> None:
    part = lock.part_for(["agent", "identity"], pins)
    text = bom.bill_of("orthoburst-worker", part, python=(3, 11))
    assert text == bom.bill_of("orthoburst-worker", part, python=(3, 11))
    bill: dict[str, Any] = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["serialNumber"].startswith("urn:uuid:")
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(refs) == len(set(refs)) == len(names_of(part)) + 1
    asked = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert asked.keys() == {*refs, "orthoburst-worker"}
    assert {ref for needed in asked.values() for ref in needed} == set(refs)  # nothing hangs in the air
    by_name = {one["name"]: one["bom-ref"] for one in bill["components"]}
    assert by_name["llvmlite"] in asked[by_name["numba"]]
    assert by_name["numba"] in asked[by_name["orthoburst"]]


def test_what_the_lock_cannot_give_is_refused(
    pins: list[lock.Pin], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(lock.LockError, match="no extra 'fuctions'; there are agent, client"):
        lock.part_for(["fuctions"], pins)
    assert lock.main(["fuctions"]) == 1
    assert "no extra 'fuctions'" in capsys.readouterr().err
    with pytest.raises(lock.LockError, match="does not pin fastapi: compile it again"):
        lock.part_for(["functions"], [pin for pin in pins if pin.name != "fastapi"])
    path = tmp_path / "requirements.lock"
    path.write_text("a==1 \\\n    --hash=sha256:" + "0" * 64 + "\n    # via b\nb==2\n")
    with pytest.raises(lock.LockError, match="b==2 has no hash: compile it with --generate-hashes"):
        lock.read_lock(path)
    path.write_text("-e .\n")
    with pytest.raises(lock.LockError, match=r"pins nothing: '-e \.'"):
        lock.read_lock(path)
