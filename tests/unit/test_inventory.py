"""The list of products in the store, over the ports in memory."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, affine_rpc, put_safe, rpc_tiff
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.cells import box_meets, cells_in, cells_of
from orthofunctions.settings import Settings
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.upload import take_upload

SEAM = "S1A_IW_GRDH_1SDV_20220101T051122_20220101T051147_041000_04DF00_0001"
SEAM_RING = ((178.0, -20.0), (-178.0, -20.0), (-178.0, -16.0), (178.0, -16.0))


@pytest.fixture
def system() -> System:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    return System(settings, memory_ports(), settings.rules(), settings.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def upload(system: System, stem: str = ROME, **how: Any) -> str:
    ref = put_safe(system.ports.blobs, stem, **how)
    take_upload(system.ports, f"{stem}.SAFE/manifest.safe")
    return ref


def refs(client: AsgiClient, **query: str) -> list[str]:
    answer = client.get("/products", params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["features"]]


def test_an_uploaded_product_is_listed_as_geojson_whether_or_not_it_is_ordered(
    client: AsgiClient, system: System
) -> None:
    ref = upload(system)
    assert upload(system) == ref  # events come twice
    found = client.get("/products").json()
    (feature,) = found["features"]
    assert (
        feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1] == [14.925448, 40.876698]
    )
    size_bytes = feature["properties"].pop("size_bytes")
    assert size_bytes > 60
    assert feature["properties"] == {
        "ref": ref,
        "name": ROME,
        "mission": "sentinel-1",
        "product_type": "GRD",
        "start": "2021-12-23T05:11:22Z",
        "stop": "2021-12-23T05:11:47Z",
        "state": "here",
        "where": "blobs",
        "arrived": "2026-05-01T12:00:00Z",
    }
    assert [link["rel"] for link in found["links"]] == ["self"]


def test_an_image_with_rpc_has_the_time_of_its_upload_and_a_broken_product_is_left_out(
    client: AsgiClient, system: System
) -> None:
    system.ports.blobs.write("products", "a.tif", rpc_tiff(affine_rpc()))
    system.ports.blobs.write("products", "b.tif", b"no TIFF")
    for name in ("a.tif", "b.tif"):
        take_upload(system.ports, name)
    (feature,) = client.get("/products").json()["features"]
    assert feature["id"] == "products/a.tif"
    assert (feature["properties"]["product_type"], feature["properties"]["start"]) == ("rpc", "2026-05-01T12:00:00Z")


def test_products_are_found_by_place_time_and_mission_newest_first(client: AsgiClient, system: System) -> None:
    rome, following = upload(system), upload(system, NEXT_SLICE, ring=NEXT_RING)
    seam = upload(system, SEAM, ring=SEAM_RING)
    assert refs(client) == [seam, following, rome]
    assert refs(client, bbox="12,41,12.5,41.5") == [rome]
    assert refs(client, bbox="11,41,16,44") == [following, rome]
    assert refs(client, bbox="179.9,-17,-179.9,-16.5") == [seam]
    assert refs(client, bbox="-180,-90,180,90") == [seam, following, rome]
    assert refs(client, bbox="30,41,31,42") == []
    assert refs(client, bbox="12,41,-1e3,12.5,41.5,1e3") == [rome]
    assert refs(client, datetime="2021-12-23T05:11:40Z") == [rome]
    assert refs(client, datetime="../2021-12-23T05:11:47Z") == [following, rome]
    assert refs(client, datetime="2021-12-23T05:11:48Z/..") == [seam, following]
    assert refs(client, mission="sentinel-1", datetime="2022-01-01T00:00:00Z/..") == [seam]
    assert refs(client, mission="sentinel-2") == []
    assert refs(client, datetime="0001-01-01T00:00:00Z/9999-12-31T23:59:59Z") == [seam, following, rome]


@pytest.mark.parametrize("bbox", [{}, {"bbox": "11,-40,16,44"}])
def test_pages_hold_every_product_once(client: AsgiClient, system: System, bbox: dict[str, str]) -> None:
    made = [upload(system, re.sub("T0511(?=[24])", f"T05{minute:02d}", ROME)) for minute in range(10, 15)]
    seen, path = [], "/products"
    query: dict[str, str] | None = {"limit": "2", **bbox}
    while path:
        page = client.get(path, params=query).json()
        seen += [one["id"] for one in page["features"]]
        assert len(page["features"]) <= 2
        following = [urlsplit(link["href"]) for link in page["links"] if link["rel"] == "next"]
        path, query = (f"{following[0].path}?{following[0].query}", None) if following else ("", None)
    assert seen == made[::-1]


def test_what_has_gone_from_the_store_is_listed_no_more(client: AsgiClient, system: System) -> None:
    upload(system)
    system.ports.blobs.delete("products", f"{ROME}.SAFE/manifest.safe")
    assert refs(client) == []
    assert list(all_products(system.ports)) == []
    (one,) = all_products(system.ports, "gone")
    assert (one.name, one.why) == (ROME, "it was deleted from the store")


def test_restricted_products_are_listed_for_their_readers_only(client: AsgiClient, system: System) -> None:
    upload(system)
    pools = "version: 1\npools: [{name: hpc, kind: onprem, max_slots: 1}]\n"
    restricted = "restricted: [{prefix: products/S1B, readers: [%s]}]\n"
    system.ports.blobs.write("settings", "pools.yaml", (pools + restricted % "ana").encode())
    assert refs(client) == []
    system.ports.blobs.write("settings", "pools.yaml", (pools + restricted % "local").encode())
    assert len(refs(client)) == 1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"bbox": "1,2,3"}, "bbox: expected four numbers west,south,east,north in degrees"),
        ({"bbox": "1,2,nan,4"}, "not '1,2,nan,4'"),
        ({"bbox": "1,2,3,91"}, "latitudes within -90 and 90"),
        ({"bbox": "1,5,3,4"}, "south below north"),
        ({"bbox": "-200,5,3,6"}, "longitudes within -180 and 180"),
        (
            {"datetime": "2021-12-23"},
            "with seconds and zone, for example 2026-05-01T12:00:00Z, not '2021-12-23'",
        ),
        ({"datetime": "2021-13-23T00:00:00Z"}, "moments that the calendar has"),
        ({"datetime": "2022-01-01T00:00:00Z/2021-01-01T00:00:00Z"}, "a start that is not after the stop"),
        ({"datetime": "../.."}, "of which one may be .."),
        ({"datetime": ".."}, "a moment, or two"),
        ({"mission": "landsat"}, "sentinel-1"),
        ({"limit": "0"}, "greater than or equal to 1"),
        ({"token": "x"}, "pattern"),
    ],
)
def test_queries_that_mean_nothing_are_refused_by_name(client: AsgiClient, query: dict[str, str], says: str) -> None:
    answer = client.get("/products", params=query)
    assert answer.status_code == 400
    assert says in answer.text


def test_cells() -> None:
    assert cells_in((0.0, 0.0, 4.9, 4.9)) == {"00-18"}
    assert cells_in((4.9, -0.1, 5.1, 0.1)) == {"00-17", "01-17", "00-18", "01-18"}
    assert cells_in((179.0, 0.0, -179.0, 1.0)) == cells_of([(179.0, 0.0), (181.0, 1.0)]) == {"35-18", "36-18"}
    assert len(cells_in((-180.0, -90.0, 180.0, 90.0))) == 72 * 36
    assert box_meets((179.0, 0.0, -179.0, 1.0), [(-179.5, 0.5), (-178.0, 2.0)])
    assert not box_meets((179.0, 0.0, -179.0, 1.0), [(-178.9, 0.5), (-178.0, 2.0)])
    assert box_meets((-180.0, -90.0, 180.0, 90.0), [(530.0, 0.5), (531.0, 2.0)])
