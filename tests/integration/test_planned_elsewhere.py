"""From products, tiles and orbits that lie anywhere over the plan and the fetch to an image: as if all lay here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from fakes.file_server import FileServer, cut
from fakes.memory_ports import memory_ports
from fakes.world import POOLS
from integration.elsewhere_kit import Made, make, planned, upload
from integration.planned_kit import pixels
from localdev.scene import Scene, SceneSpec, make_sentinel1
from orthocontracts import names
from orthocontracts.buckets import Bucket
from orthocontracts.demtiles import Cell, tile_name
from orthocontracts.hosts import Hosts
from orthofunctions.adapters.servers import Servers
from orthofunctions.ports import Ports

KEY = ("AKID", "very/secret+key")
SETTINGS = ("HOSTS", "HOSTS_INTERNAL")
SIZE = (300, 400)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two polarisations, an annotated orbit that is 5 m off, the true one in a file."""
    spec = SceneSpec(
        tmp_path_factory.mktemp("scene"), size_lines_samples=SIZE, flat_height_m=100.0, polarisations=("vv", "vh"),
        orbit_file=True, orbit_error_m=5.0, zip_it=True,
    )  # fmt: skip
    return make_sentinel1(spec)


@pytest.fixture(scope="module")
def folder(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same product, unpacked."""
    out = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(scene.path, out)
    return next(out.glob("*.SAFE"))


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(keys={"archive": KEY}) as running:
        yield running


def request(scene: Scene, **changes: Any) -> dict[str, Any]:
    lon, lat = scene.targets[0].lon_deg if scene.targets else 12.5, 42.0
    return {
        "grid": {"kind": "bounds", "epsg": 4326, "left": lon - 0.015, "right": lon + 0.015, "bottom": lat - 0.01,
                 "top": lat + 0.01, "spacing": 0.0002},
        "terrain": {"height_m": 100.0}, "options": {"bands": ["vv"]}, **changes,
    }  # fmt: skip


def ports_with(server: FileServer) -> tuple[Ports, dict[str, Any]]:
    """What functions and worker are told of the server."""
    bucket = Bucket.model_validate({"endpoint": server.address, "key_id": KEY[0], "secret": KEY[1]})
    known = {"hosts": Hosts(internal=(server.host,), settings=SETTINGS), "buckets": {"archive": bucket}}
    return replace(memory_ports(), remote=Servers(**known)), known


def here(scene: Scene, tmp_path: Path, **changes: Any) -> Made:
    """The image of the product in blob storage, to hold others against."""
    ports = memory_ports()
    upload(ports, f"products/{scene.path.name}", scene.path)
    plan = planned(ports, products=[f"products/{scene.path.name}"], **request(scene, **changes))
    return make(ports, plan.tasks[0], tmp_path / "here")


def same(one: Made, other: Made) -> None:
    values, _, _ = pixels(one.made)
    assert values.count() > 1000
    assert np.ma.allequal(values, pixels(other.made)[0])


def test_half_a_zip_from_a_server_that_breaks_off(scene: Scene, server: FileServer, tmp_path: Path) -> None:
    path = f"/2024/{scene.path.name}"
    body = server.files[path] = scene.path.read_bytes()
    ports, known = ports_with(server)
    plan = planned(ports, products=[f"{server.address}{path}"], **request(scene))
    assert server.sent_bytes < len(body) / 2
    server.troubles[path] = [cut(1000), cut(30_000)]
    made = make(ports, plan.tasks[0], tmp_path, part_bytes=100_000, **known)
    assert 0 < made.fetched.fetched_bytes < 0.75 * len(body)
    same(made, here(scene, tmp_path))


def test_some_members_of_a_folder_in_a_bucket(scene: Scene, folder: Path, server: FileServer, tmp_path: Path) -> None:
    for file in (one for one in folder.rglob("*") if one.is_file()):
        server.files[f"/archive/S1/{file.relative_to(folder.parent).as_posix()}"] = file.read_bytes()
    ports, known = ports_with(server)
    plan = planned(ports, products=[f"s3://archive/S1/{folder.name}"], **request(scene))
    made = make(ports, plan.tasks[0], tmp_path, **known)
    assert not any("-vh-" in path and "measurement" in path for path, headers in server.asked)
    assert server.refused == []
    same(made, here(scene, tmp_path))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_in_a_store_of_the_site_that_a_server_shows(
    scene: Scene, folder: Path, server: FileServer, tmp_path: Path, form: str
) -> None:
    archive = tmp_path / "archive"
    product = folder if form == "folder" else scene.path
    (archive / "2024").mkdir(parents=True)
    if form == "folder":
        shutil.copytree(folder, archive / "2024" / folder.name)
    else:
        shutil.copy(scene.path, archive / "2024" / scene.path.name)
    for file in (one for one in archive.rglob("*") if one.is_file()):
        server.files[f"/data/{file.relative_to(archive).as_posix()}"] = file.read_bytes()
    ports, known = ports_with(server)
    hpc, cloud = POOLS.pools
    site = {
        "stores": [{"name": "blobs"}, {"name": "archive", "address": f"{server.address}/data"}],
        "pools": [
            json.loads(hpc.model_copy(update={"local": ("blobs", "archive")}).to_json()), json.loads(cloud.to_json()),
        ],
    }  # fmt: skip
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(site).encode())
    plan = planned(ports, products=[f"site://archive/2024/{product.name}"], **request(scene))
    assert list(plan.tasks[0].input_bytes_at) == ["archive"]
    asked = len(server.asked)
    made = make(ports, plan.tasks[0], tmp_path, stores={"archive": archive}, **known)
    assert (len(server.asked), made.fetched.fetched_bytes) == (asked, 0)
    same(made, here(scene, tmp_path))


def test_the_best_orbit_file_of_a_folder_is_planned_and_used(scene: Scene, tmp_path: Path) -> None:
    assert scene.orbit_path is not None
    ref = f"products/{scene.path.name}"
    name = scene.orbit_path.name
    later = name.replace("POEORB", "RESORB").replace("_OPOD_20", "_OPOD_21")

    def plan_with(*orbits: str, **changes: Any) -> tuple[Ports, Any]:
        ports = memory_ports()
        upload(ports, ref, scene.path)
        for orbit in orbits:
            upload(ports, f"aux/orbits/2024/{orbit}", scene.orbit_path)  # type: ignore[arg-type]
        return ports, planned(ports, products=[ref], **request(scene, **changes))

    ports, plan = plan_with(name, later, name.replace("202403", "201403"), orbits="aux/orbits/")
    (task,) = plan.tasks
    assert [source.ref for source in task.orbits] == [f"aux/orbits/2024/{name}"]
    assert plan.outputs[0].identity.orbits == task.orbits
    made = make(ports, task, tmp_path / "precise")
    assert name in made.made.files["item"].read_text()
    _, without = plan_with(name)
    assert without.outputs[0].digest != plan.outputs[0].digest
    assert without.tasks[0].orbits is None
    _, elsewhen = plan_with(name.replace("202403", "201403"), orbits="aux/orbits")
    assert elsewhen.outputs[0].digest == without.outputs[0].digest, "none is of its time: its own orbit"
    values, _, _ = pixels(made.made)
    assert not np.ma.allequal(values, pixels(here(scene, tmp_path).made)[0]), "5 m are half a pixel"


def write_tile(path: Path, cell: Cell, height_m: float) -> bytes:
    """A coarse tile of one height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = rasterio.transform.from_origin(cell.lon_deg, cell.lat_deg + 1, 1 / 60, 1 / 60)
    profile = {"driver": "GTiff", "width": 60, "height": 60, "count": 1, "dtype": "float32", "crs": "EPSG:4326",
               "transform": transform}  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.full((60, 60), height_m, np.float32), 1)
    return path.read_bytes()


@pytest.mark.parametrize("at", ["aux", "https", "s3", "site"])
def test_just_the_tiles_under_a_product(scene: Scene, server: FileServer, tmp_path: Path, at: str) -> None:
    cells = [Cell(lon, lat) for lon in range(10, 16) for lat in range(40, 45)]
    bodies = {tile_name(cell, "10"): write_tile(tmp_path / "tiles" / f"{cell}.tif", cell, 100.0) for cell in cells}
    ports, known = ports_with(server)
    store = tmp_path / "store"
    for name, body in bodies.items():
        if at == "aux":
            ports.blobs.write("aux", f"glo30/{name}/{name}.tif", body)
            continue
        server.files[f"/archive/glo30/{name}/{name}.tif"] = body
        (store / "glo30" / name).mkdir(parents=True)
        (store / "glo30" / name / f"{name}.tif").write_bytes(body)
    if at in ("https", "site"):
        server.keys = {}
    dem = {
        "aux": "aux/glo30/", "https": f"{server.address}/archive/glo30", "s3": "s3://archive/glo30",
        "site": "site://centre/glo30",
    }[at]  # fmt: skip
    hpc, cloud = POOLS.pools
    site = {
        "stores": [{"name": "blobs"}, {"name": "centre", "address": f"{server.address}/archive"}],
        "pools": [
            json.loads(hpc.model_copy(update={"local": ("blobs", "centre")}).to_json()), json.loads(cloud.to_json()),
        ],
    }  # fmt: skip
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(site).encode())
    upload(ports, f"products/{scene.path.name}", scene.path)
    asked = {"products": [f"products/{scene.path.name}"], **request(scene, terrain={"dem": dem})}
    plan = planned(ports, **asked)
    tiles = plan.tasks[0].terrain.tiles
    assert tiles is not None
    assert 1 <= len(tiles) <= 4
    assert any("N42_00_E012" in tile.ref or "N41_00_E012" in tile.ref for tile in tiles)
    made = make(ports, plan.tasks[0], tmp_path / "made", stores={"centre": store}, **known)
    same(made, here(scene, tmp_path))
    assert made.made.figures["dem_coverage"] == 1.0

    # one tile changes: the image has another name; a tile elsewhere does not matter
    def put(name: str, body: bytes) -> None:
        if at == "aux":
            ports.blobs.write("aux", f"glo30/{name}/{name}.tif", body)
        else:
            server.files[f"/archive/glo30/{name}/{name}.tif"] = body

    far = tile_name(Cell(15, 44), "10")
    put(far, bodies[far] + b" ")
    assert planned(ports, **{**asked, "request_id": "r2"}).outputs[0].digest == plan.outputs[0].digest
    near = tiles[0].ref.rpartition("/")[2].removesuffix(".tif")
    put(near, bodies[near] + b" ")
    assert planned(ports, **{**asked, "request_id": "r3"}).outputs[0].digest != plan.outputs[0].digest
