"""``orthoagent watch`` as a process, with a grant, on real storage: killed in the middle it goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient

from fakes.products import NEXT_SLICE, ROME, manifest, members
from integration.worker_kit import Storage, until
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.grants import WatchGrant, read_grant
from orthocontracts.stubs import LEAST_BYTES
from orthofunctions.grant import main

LARGE = bytes(LEAST_BYTES)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="module")
def products(azurite: Azurite) -> Iterator[ContainerClient]:
    storage = Storage(azurite)
    for container in (names.CONTAINER_PRODUCTS, names.CONTAINER_CATALOGUE):
        if not storage.blobs.get_container_client(container).exists():
            storage.blobs.create_container(container)
    yield storage.blobs.get_container_client(names.CONTAINER_PRODUCTS)
    storage.close()


@pytest.fixture
def grant(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchGrant:
    monkeypatch.setenv("ORTHOBURST_STORAGE", azurite.connection_string)
    assert main(["--watch", "--days", "1", "--out", str(tmp_path / "grant")]) == 0
    read = read_grant((tmp_path / "grant").read_bytes())
    assert isinstance(read, WatchGrant)
    return read


def put(folder: Path, stem: str) -> None:
    files = {**members(stem), f"measurement/{stem.lower()}-vh-002.tiff": LARGE}
    for path, data in files.items():
        (folder / f"{stem}.SAFE" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.SAFE" / path).write_bytes(data)
    (folder / f"{stem}.SAFE" / "manifest.safe").write_bytes(manifest(files))


def start(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    arguments = [str(tmp_path / "archive"), "--store", "site", "--state", str(tmp_path / "state"), "--settle", "0.3"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORTHOAGENT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "orthoagent", "watch", *arguments, *more],
        env={**kept, "ORTHOAGENT_GRANT": str(tmp_path / "grant")},
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], signum: int) -> list[str]:
    """What it did, by its log."""
    process.send_signal(signum)
    _, log = process.communicate(timeout=30)
    return [json.loads(line)["action"] for line in log.splitlines() if line.startswith("{")]


@pytest.mark.usefixtures("grant")
def test_it_announces_once_whatever_kills_it(products: ContainerClient, tmp_path: Path) -> None:
    put(tmp_path / "archive", ROME)
    process = start(tmp_path)
    until(lambda: products.get_blob_client(f"{ROME}.SAFE/manifest.safe").exists(), "the first product")
    end(process, signal.SIGKILL)
    first = products.get_blob_client(f"{ROME}.SAFE/manifest.safe").get_blob_properties()
    assert bytes(first.content_settings.content_md5 or b"")
    assert LARGE not in {products.download_blob(blob.name).readall() for blob in products.list_blobs()}
    put(tmp_path / "archive", NEXT_SLICE)
    process = start(tmp_path, "--prefix", "archive/")
    until(lambda: products.get_blob_client(f"archive/{NEXT_SLICE}.SAFE/manifest.safe").exists(), "the second product")
    done = end(process, signal.SIGTERM)
    assert process.returncode == 0
    assert done[-1] != "failed"
    again = products.get_blob_client(f"{ROME}.SAFE/manifest.safe").get_blob_properties()
    assert again.last_modified == first.last_modified


@pytest.mark.usefixtures("grant", "products")
def test_once_says_what_it_did_and_a_second_watcher_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    process = start(tmp_path)
    until((tmp_path / "state" / "site.journal").exists, "its journal")
    other = start(tmp_path, "--once")
    _, log = other.communicate(timeout=30)
    assert other.returncode == 1
    assert "is in use by another orthoagent watch" in log
    end(process, signal.SIGTERM)
    other = start(tmp_path, "--once")
    _, log = other.communicate(timeout=30)
    assert other.returncode == 0, log


def test_its_grant_is_for_products_and_neither_lists_nor_deletes(products: ContainerClient, grant: WatchGrant) -> None:
    def at(container: str, name: str) -> str:
        address, _, query = grant.products.partition("?")
        return f"{address.rpartition('/')[0]}/{container}/{name}?{query}"

    with BlobClient.from_blob_url(at("products", "x")) as blob:
        blob.upload_blob(b"1")
        blob.upload_blob(b"2", overwrite=True)
        assert blob.download_blob().readall() == b"2"
        with pytest.raises(HttpResponseError):
            blob.delete_blob()
    with ContainerClient.from_container_url(grant.products) as container, pytest.raises(HttpResponseError):
        list(container.list_blobs())
    with BlobClient.from_blob_url(at("catalogue", "x")) as blob, pytest.raises(HttpResponseError):
        blob.upload_blob(b"1")


def test_settings_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    process = start(tmp_path, "--root", str(tmp_path / "other"), "--prefix", "../")
    _, log = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "ORTHOAGENT_PREFIX" in log
