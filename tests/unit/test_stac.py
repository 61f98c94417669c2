"""The catalogue as people search it: over the ports in memory, with rows as commits make them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from orthocontracts import names
from orthocontracts.digests import output_digest
from orthocontracts.outputs import (
    CatalogueEntry,
    FileFacts,
    GridSpec,
    OutputIdentity,
    ResolvedTerrain,
    Source,
    file_kinds,
)
from orthocontracts.requests import Options
from orthocontracts.tasks import COPY
from orthocontracts.tiles import tile_bounds, tiles_intersecting
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.copies import copy_identity
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.search_areas import Area, box_area, parse_area
from orthofunctions.settings import Settings
from orthofunctions.usecases import search as search_module
from orthofunctions.usecases.index import forget_entry, index_entry, repair_index
from orthofunctions.usecases.search import NEWEST_FIRST, OLDEST_FIRST, Search, search

BASE = "http://127.0.0.1:7071"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_serial = itertools.count(1)


@pytest.fixture
def system() -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    return System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url=BASE)


def tile_of(name: str) -> GridSpec:
    bounds = tile_bounds(name)
    return GridSpec(
        epsg=bounds.epsg, left=bounds.left, top=bounds.top, spacing=10, n_rows=10980, n_cols=10980, tile=name
    )


def lonlat(west: float, south: float, east: float, north: float) -> GridSpec:
    n_cols, n_rows = round((east - west) * 100), round((north - south) * 100)
    return GridSpec(epsg=4326, left=west, top=north, spacing=0.01, n_rows=n_rows, n_cols=n_cols)


def put(
    system: System,
    grid: GridSpec,
    when: datetime = NOON,
    *,
    trust: str = "site",
    item: dict[str, Any] | bytes | None = None,
    product: str | None = None,
    on_site: bool = False,
    index: bool = True,
    radiometry: Any = "sigma0",
) -> CatalogueEntry:
    """An image in the catalogue, and in its index."""
    name = product or (
        f"S1A_IW_GRDH_1SDV_{when:%Y%m%dT%H%M%S}_{when + timedelta(seconds=25):%Y%m%dT%H%M%S}_"
        f"{next(_serial):06d}_043ED0_8255"
    )
    identity = OutputIdentity(
        process="orthorectify",
        products=(
            Source(ref=f"products/{name}.SAFE" if product is None else f"products/{name}", content="c", size_bytes=7),
        ),
        grid=grid,
        options=Options(radiometry=radiometry),
        terrain=ResolvedTerrain(height_m=0.0),
        trust=trust,
        result_version=1,
    )
    return put_entry(system, identity, item=item, on_site=on_site, index=index)


def put_entry(
    system: System, identity: OutputIdentity, *, item: Any = None, on_site: bool = False, index: bool = True
) -> CatalogueEntry:
    digest = output_digest(identity)
    files = {}
    for kind in file_kinds(identity.options):
        suffix = {"image": ".tif", "mask": "_mask.tif", "browse": ".png", "item": ".json"}.get(kind, f"_{kind}.tif")
        place = f"results/j1-1-1/1/{digest}{suffix}"
        stays = on_site and kind not in ("browse", "item")
        files[kind] = FileFacts(
            blob=f"site://archive/{place}" if stays else place, size_bytes=7, md5=hashlib.md5(kind.encode()).hexdigest()
        )
    entry = CatalogueEntry(
        digest=digest,
        identity=identity,
        files=files,
        task_id="j1-1",
        release=1,
        delivery=1,
        pool="hpc",
        agent="a1",
        committed_at="2026-05-01T00:00:00+00:00",
    )
    ports = system.ports
    if item is not None:
        data = item if isinstance(item, bytes) else json.dumps(item).replace("DIGEST", digest).encode()
        container, _, name = files["item"].blob.partition("/")
        ports.blobs.write(container, name, data)
    ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest), entry.to_json().encode())
    if index:
        index_entry(ports, entry)
    return entry


def found(client: AsgiClient, **parameters: Any) -> list[str]:
    """Ids of a search by POST, all its pages; by GET it is the same."""
    ids: list[str] = []
    url, body = "/stac/search", dict(parameters)
    while True:
        answer = client.post(url, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/geo+json"
        document = answer.json()
        ids += [one["id"] for one in document["features"]]
        following = [link for link in document["links"] if link["rel"] == "next"]
        if not following:
            break
        assert document["features"], "an empty page ends a client's walk"
        body = following[0]["body"]
    assert ids == by_get(client, parameters)
    assert len(ids) == len(set(ids)), "an Item came twice"
    return ids


def by_get(client: AsgiClient, parameters: dict[str, Any]) -> list[str]:
    texts = {
        "bbox": lambda value: ",".join(map(str, value)),
        "ids": ",".join,
        "collections": ",".join,
        "sortby": lambda value: ",".join(
            f"{'-' if one['direction'] == 'desc' else '+'}{one['field']}" for one in value
        ),
        "intersects": json.dumps,
        "filter": json.dumps,
    }
    plain: dict[str, Any] = {
        name: value if isinstance(value, str) else texts.get(name, str)(value) for name, value in parameters.items()
    }
    ids: list[str] = []
    answer = client.get("/stac/search", params=plain)
    while True:
        assert answer.status_code == 200, answer.text
        document = answer.json()
        ids += [one["id"] for one in document["features"]]
        following = [link["href"] for link in document["links"] if link["rel"] == "next"]
        if not following:
            return ids
        answer = client.get(following[0])


def refused(client: AsgiClient, **body: Any) -> str:
    answer = client.post("/stac/search", content=json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_a_tile_and_a_month(system: System, client: AsgiClient) -> None:
    march = [put(system, tile_of("33TTG"), NOON + timedelta(days=k)).digest for k in range(20)]
    put(system, tile_of("33TTG"), NOON - timedelta(days=30))
    put(system, tile_of("33TUG"), NOON)
    of_tile = {"op": "=", "args": [{"property": "grid:code"}, "MGRS-33TTG"]}
    wanted = {"filter": of_tile, "filter-lang": "cql2-json", "datetime": "2026-03-01T00:00:00Z/2026-03-31T23:59:59Z"}
    assert found(client, **wanted, limit=3) == march[::-1]
    assert found(client, **wanted, limit=7, sortby=[{"field": "datetime", "direction": "asc"}]) == march
    assert found(client, **wanted, limit=100, sortby=[{"field": "id", "direction": "desc"}]) == sorted(march)[::-1]
    assert (
        found(client, **wanted, limit=3, sortby=[{"field": "properties.grid:code", "direction": "asc"}]) == march[::-1]
    )


PLACES = [
    ("33TTG", tile_of("33TTG"), (12.5, 41.9)),
    ("01KAB", tile_of("01KAB"), (-179.9, -16.9)),
    ("60KYG", tile_of("60KYG"), (179.9, -16.9)),
    ("Fiji", lonlat(177, -19, 179, -16), (178, -17)),
    ("across", lonlat(178, -19, 182, -16), (-179, -17)),
    ("frame", lonlat(0, 40, 18, 52), (9, 46)),
    ("world", lonlat(-180, -90, 180, 90), (33, 3)),
    ("pole", lonlat(-180, 80, 180, 90), (77, 89)),
    ("small", lonlat(12.4, 41.8, 12.6, 42.0), (12.5, 41.9)),
]


def test_each_image_is_found_where_it_is_and_once(system: System, client: AsgiClient) -> None:
    made = {name: put(system, grid, NOON + timedelta(hours=k)) for k, (name, grid, _) in enumerate(PLACES)}
    names_of = {entry.digest: name for name, entry in made.items()}
    areas = {name: Indexed.of(entry, None)[0].footprint for name, entry in made.items()}
    for name, _, (lon, lat) in PLACES:
        point = {"type": "Point", "coordinates": [lon, lat]}
        here = {names_of[digest] for digest in found(client, intersects=point, limit=2)}
        assert name in here
        around = found(client, bbox=[lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01], limit=50)
        assert {names_of[one] for one in around} == here
    everywhere = {names_of[digest] for digest in found(client, bbox=[-180, -90, 180, 90], limit=4)}
    assert everywhere == set(made)
    pacific = {names_of[digest] for digest in found(client, bbox=[176, -20, -176, -15], limit=3)}
    assert pacific == {"01KAB", "60KYG", "Fiji", "across", "world"}
    assert all(areas.values())
    north = {names_of[digest] for digest in found(client, bbox=[0, 88, 10, 90])}
    assert north == {"pole", "world"}


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_hold_still_while_images_come_and_go(system: System, client: AsgiClient, limit: int) -> None:
    made = [
        put(system, tile_of(tile), NOON + timedelta(days=9 * k)).digest for tile in ("33TTG", "33TUG") for k in range(6)
    ]
    seen: list[str] = []
    body: dict[str, Any] = {"limit": limit}
    for _ in range(100):
        document = client.post("/stac/search", json=body).json()
        seen += [one["id"] for one in document["features"]]
        following = [link for link in document["links"] if link["rel"] == "next"]
        if not following:
            break
        put(system, tile_of("33TVG"), NOON + timedelta(days=400))  # newer than all that was seen
        body = following[0]["body"]
    assert set(made) <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_filter_that_nothing_passes_reads_no_more_than_a_page_may(
    system: System, client: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call read the whole catalogue, and held a month of it."""
    monkeypatch.setattr(search_module, "MOST_LOOKED_AT", 5)
    monkeypatch.setattr(search_module, "MOST_HELD", 5)
    made = [put(system, tile_of("33TTG"), NOON + timedelta(days=k)).digest for k in range(13)]
    last = {"op": "=", "args": [{"property": "id"}, made[0]]}
    says = refused(client, filter=last, **{"filter-lang": "cql2-json"})
    assert "narrow the search by place or time, or look until 2026-03-18T12:00:00Z" in says
    cql: dict[str, Any] = {"filter": last, "filter-lang": "cql2-json"}
    assert found(client, **cql, datetime="../2026-03-14T12:00:00Z") == [made[0]]
    either = {"op": "in", "args": [{"property": "id"}, [made[0], made[7], made[11]]]}
    cql["filter"] = either
    assert found(client, **cql) == [made[11], made[7], made[0]], "a page that is not full goes on"
    assert found(client, limit=3) == made[::-1]
    assert found(client, limit=5, bbox=[-180, -90, 180, 90]) == made[::-1]
    assert "narrow" in refused(client, sortby=[{"field": "datetime", "direction": "asc"}])
    assert "narrow" in refused(client, sortby=[{"field": "id", "direction": "asc"}])
    few = "2026-03-10T00:00:00Z/2026-03-12T23:00:00Z"
    assert found(client, datetime=few, sortby=[{"field": "datetime", "direction": "asc"}]) == made[:3]


def test_times(system: System, client: AsgiClient) -> None:
    digest = put(system, tile_of("33TTG"), NOON).digest  # until 25 s later
    for text in (
        "2026-03-10T12:00:00Z", "2026-03-10T12:00:25Z", "2026-03-10T13:00:10+01:00", "2026-03-10t12:00:10.5z",
        "../2026-03-10T12:00:00Z", "/2026-03-10T12:00:00Z", "2026-03-10T12:00:25Z/..", "2026-03-10T12:00:25Z/",
        "2026-03-10T12:00:01Z/2026-03-10T12:00:02Z",
    ):  # fmt: skip
        assert found(client, datetime=text) == [digest], text
        assert found(client, datetime=text, bbox=[12, 41, 13, 42]) == [digest], text
        assert found(client, datetime=text, sortby=[{"field": "datetime", "direction": "asc"}]) == [digest], text
    for text in (
        "2026-03-10T12:00:26Z",
        "2026-03-10T11:59:59.9Z",
        "../2026-03-10T11:59:59Z",
        "2026-03-10T12:01:00Z/..",
    ):
        assert found(client, datetime=text) == [], text
        assert found(client, datetime=text, bbox=[12, 41, 13, 42]) == [], text
    for text in (
        "", "/", "../..", "2026-03-10", "2026-03-10T12:00:00", "2026-13-10T12:00:00Z", "yesterday", 7,
        "2026-03-10T12:00:00Z/2026-03-09T12:00:00Z", "2026-03-10T12:00:00Z/2026-03-10T12:00:00Z/..",
    ):  # fmt: skip
        assert "datetime" in refused(client, datetime=text), text


def test_what_is_asked_wrongly_is_refused(client: AsgiClient) -> None:
    bow = [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
    assert "bbox or intersects" in refused(
        client, bbox=[0, 0, 1, 1], intersects={"type": "Point", "coordinates": [0, 0]}
    )
    assert "crosses itself" in refused(client, intersects={"type": "Polygon", "coordinates": [bow]})
    assert "number" in refused(client, bbox=[0, 0, float("nan"), 1])
    assert "numbers" in refused(client, bbox="0,0,1,1")
    assert "south, then north" in refused(client, bbox=[0, 1, 1, 0])
    assert "limit" in refused(client, limit=0)
    assert "limit" in refused(client, limit="10")
    assert "ids" in refused(client, ids=7)
    assert "collections" in refused(client, collections=[7])
    assert "250" in refused(client, ids=["a"] * 251)
    assert "use filter" in refused(client, query={"eo:cloud_cover": {"lt": 10}})
    assert "no queryable" in refused(client, filter={"op": "=", "args": [{"property": "colour"}, "red"]})
    assert "no queryable" in refused(client, sortby=[{"field": "colour", "direction": "asc"}])
    assert "asc or desc" in refused(client, sortby=[{"field": "id", "direction": "up"}])
    assert "token" in refused(client, token="nonsense")
    assert client.post("/stac/search", content=b"[]").status_code == 400
    assert client.post("/stac/search", content=b"{").status_code == 400
    assert client.post("/stac/search", content=b"x" * 2_000_000).status_code == 413
    for query in ("bbox=0,0,1", "bbox=a,b,c,d", "bbox=0,0,nan,1", "intersects=POINT", "limit=-1", "limit=1e3", "box=1"):
        assert client.get(f"/stac/search?{query}").status_code == 400, query
    assert client.get("/stac/collections/sentinel-1-sigma0/items?box=1").status_code == 400
    assert client.get("/stac/search?limit=100000").status_code == 200


def test_an_item_is_what_its_worker_delivered_with_links_that_expire(system: System, client: AsgiClient) -> None:
    geometry = {"type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 42], [12, 41]]]}
    delivered = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/sar/v1.0.0/schema.json"],
        "id": "whatever",
        "bbox": [0, 0, 1, 1],
        "geometry": geometry,
        "properties": {"datetime": "2026-03-10T12:00:00Z", "sar:instrument_mode": "IW", "platform": "sentinel-1a"},
        "links": [{"rel": "about", "href": "https://example.org/a.pdf"}, {"rel": "self", "href": "./x.json"}],
        "assets": {
            "data": {"href": "./DIGEST.tif", "type": "image/tiff", "roles": ["data"], "title": "sigma0"},
            "foreign": {"href": "https://example.org/a.tif"},
        },
    }
    entry = put(system, tile_of("33TTG"), item=delivered)
    item = client.get(f"/stac/collections/sentinel-1-sigma0/items/{entry.digest}").json()
    assert (item["id"], item["collection"], item["geometry"]) == (entry.digest, "sentinel-1-sigma0", geometry)
    assert item["bbox"] == [12, 41, 13, 42]
    assert item["properties"]["grid:code"] == "MGRS-33TTG"
    assert item["properties"]["orthoburst:source_type"] == "GRDH"
    assert set(item["assets"]) == {"data", "mask", "thumbnail"}
    assert item["assets"]["data"]["title"] == "sigma0"
    assert item["assets"]["data"]["href"].startswith(f"memory://results/j1-1-1/1/{entry.digest}.tif?r&until=2026-05-01")
    rels = {link["rel"]: link["href"] for link in item["links"]}
    assert rels["self"] == f"{BASE}/stac/collections/sentinel-1-sigma0/items/{entry.digest}"
    assert rels["about"] == "https://example.org/a.pdf"
    (same,) = client.post("/stac/search", json={"ids": [entry.digest, "nothing"]}).json()["features"]
    assert same == item
    assert found(client, filter="sar:instrument_mode = 'IW' AND platform LIKE 'sentinel-1%'") == [entry.digest]
    assert client.get(f"/stac/collections/sentinel-1-gamma0/items/{entry.digest}").status_code == 404
    assert client.get("/stac/collections/sentinel-1-sigma0/items/nothing").status_code == 404
    assert client.get("/stac/collections/nothing/items").status_code == 404


@pytest.mark.parametrize(
    "delivered",
    [
        None, b"", b"{", b"[]", b"null", b'{"geometry": 7}', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}',
        b'{"geometry": {"type": "Point", "coordinates": [0, 0]}, "properties": {"datetime": "then"}, "assets": {}}',
        b'{"geometry": {"type": "Point", "coordinates": [0, 0]}, "properties": {"datetime": "2026-03-10T12:00:00Z", '
        b'"x": 1e999}, "assets": {}}',
        b'{"geometry": {"type": "Point", "coordinates": [0, 0]}, "properties": {"datetime": "2026-03-10T12:00:00Z"}, '
        b'"assets": 7}',
        b" " * 600_000,
    ],
)  # fmt: skip
def test_an_item_nobody_can_use_is_made_from_the_entry(
    system: System, client: AsgiClient, delivered: bytes | None
) -> None:
    entry = put(system, tile_of("33TTG"), item=delivered)
    (item,) = client.post("/stac/search", json={"bbox": [12.4, 41.8, 12.6, 42.0]}).json()["features"]
    assert item["id"] == entry.digest
    assert item["properties"]["datetime"] == "2026-03-10T12:00:00Z"
    assert item["properties"]["end_datetime"] == "2026-03-10T12:00:25Z"
    assert item["properties"]["orthoburst:item_is"] == "made from the catalogue entry"
    assert set(item["assets"]) == {"data", "mask", "thumbnail"}


def test_strange_words_of_an_item_do_no_harm(system: System, client: AsgiClient) -> None:
    item = {
        "geometry": {"type": "Point", "coordinates": [12.5, 41.9]},
        "properties": {
            "datetime": "2026-03-10T12:00:00Z",
            "platform": "x" * 100_000,
            "eo:cloud_cover": [1],
            "u": "\ud800",
        },
        "assets": {"data": {"href": 7}, "other": {"href": None}},
    }
    put(system, tile_of("33TTG"), item=item)
    answer = client.post("/stac/search", json={"filter": "eo:cloud_cover < 10"})
    assert (answer.status_code, answer.json()["features"]) == (200, [])
    assert len(client.post("/stac/search", json={}).json()["features"]) == 1


def test_an_image_on_site_says_so_until_there_is_a_copy(system: System, client: AsgiClient) -> None:
    entry = put(system, tile_of("33TTG"), on_site=True)
    (item,) = client.post("/stac/search", json={}).json()["features"]
    place = f"site://archive/results/j1-1-1/1/{entry.digest}.tif"
    assert item["assets"]["data"]["href"] == place
    assert item["assets"]["data"]["alternate"]["site"]["href"] == place
    assert item["assets"]["thumbnail"]["href"].startswith("memory://")
    copy = put_entry(system, copy_identity(entry))
    assert copy.identity.process == COPY
    (item,) = client.post("/stac/search", json={}).json()["features"]  # and no second Item
    assert item["id"] == entry.digest
    assert item["assets"]["data"]["href"].startswith(f"memory://results/j1-1-1/1/{copy.digest}.tif")
    assert item["assets"]["data"]["alternate"]["site"]["href"] == place
    assert found(client, ids=[copy.digest]) == []


def test_images_of_restricted_products_are_their_users_alone(system: System, client: AsgiClient) -> None:
    mine = put(system, tile_of("33TTG"), trust="user:local")
    other = put(system, tile_of("33TTG"), trust="user:other")
    assert found(client) == [mine.digest]
    assert found(client, bbox=[12, 41, 13, 42]) == [mine.digest]
    assert found(client, ids=[mine.digest, other.digest]) == [mine.digest]
    assert client.get(f"/stac/collections/sentinel-1-sigma0/items/{other.digest}").status_code == 404


def test_an_image_of_more_slices_takes_the_place_of_one_of_fewer(system: System, client: AsgiClient) -> None:
    """Whichever was made first; other options, other grids, other readers and whole images are none of its business."""
    one = put(system, tile_of("33TTG"))
    (first,) = one.identity.products
    second = first.model_copy(update={"ref": first.ref.replace("T120025", "T120050").replace("T120000", "T120025")})

    def also(*products: Source, index: bool = True, item: Any = None, **changes: Any) -> CatalogueEntry:
        identity = one.identity.model_copy(update={"products": products, **changes})
        return put_entry(system, identity, index=index, item=item)

    others = [
        also(first, second, options=Options(radiometry="gamma0")),
        also(first, second, grid=tile_of("33TUG")),
        also(first, second, trust="user:ben"),
        also(first, first.model_copy(update={"content": "d"})),  # of it there is one of more slices, too
    ]

    def document(entry: CatalogueEntry) -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/stac/collections/sentinel-1-sigma0/items/{entry.digest}").json()
        return found

    assert "deprecated" in document(one)["properties"]
    system.ports.blobs.delete(names.CONTAINER_CATALOGUE, names.catalogue_blob(others[-1].digest))
    forget_entry(system.ports, others.pop())
    assert "deprecated" not in document(one)["properties"]
    both = also(first, second)
    after = also(second)
    assert document(one)["properties"]["deprecated"] is True
    assert "https://stac-extensions.github.io/version/v1.2.0/schema.json" in document(one)["stac_extensions"]
    (link,) = [one for one in document(one)["links"] if one["rel"] == "successor-version"]
    assert client.get(link["href"].removeprefix(BASE)).json()["id"] == both.digest
    features = client.get("/stac/search?limit=100").json()["features"]
    marked = {item["id"] for item in features if item["properties"].get("deprecated")}
    assert marked == {one.digest, after.digest}
    assert {both.digest, *(other.digest for other in others[:2])} <= {item["id"] for item in features} - marked
    forget_entry(system.ports, both)  # it has expired
    assert "deprecated" not in document(one)["properties"]


def test_collections(system: System, client: AsgiClient) -> None:
    s1 = put(system, tile_of("33TTG"))
    s2 = put(
        system, tile_of("33TTG"), radiometry="reflectance",
        product="S2A_MSIL1C_20260310T101021_N0509_R022_T33TTG_20260310T122222.SAFE",
    )  # fmt: skip
    rpc = put(system, lonlat(12, 41, 13, 42), product="image.tif", radiometry=None)
    assert found(client, collections=["sentinel-1-sigma0"]) == [s1.digest]
    assert found(client, collections=["sentinel-2-reflectance", "rpc-dn"]) == [rpc.digest, s2.digest]
    assert found(client, collections=["nothing"]) == []
    assert found(client, filter="orthoburst:source_type = 'L1C'") == [s2.digest]
    listed = client.get("/stac/collections").json()["collections"]
    assert {"sentinel-1-gamma0-rtc", "sentinel-2-reflectance", "sentinel-3-physical", "rpc-dn"} <= {
        one["id"] for one in listed
    }
    for one in listed:
        assert client.get(f"/stac/collections/{one['id']}").json() == one
        answer = client.get(f"/stac/collections/{one['id']}/items")
        expected = {"sentinel-1-sigma0": [s1], "sentinel-2-reflectance": [s2], "rpc-dn": [rpc]}.get(one["id"], [])
        assert [item["id"] for item in answer.json()["features"]] == [entry.digest for entry in expected]
    for query, expected in (("", [s1]), ("sentinel-1-sigma0,rpc-dn", [s1]), ("rpc-dn", [])):
        answer = client.get("/stac/collections/sentinel-1-sigma0/items", params={"collections": query} if query else {})
        assert [item["id"] for item in answer.json()["features"]] == [entry.digest for entry in expected]
    root = client.get("/stac").json()
    assert {link["href"] for link in root["links"] if link["rel"] == "child"} == {
        f"{BASE}/stac/collections/{one['id']}" for one in listed
    }


def row_keys(system: System) -> list[tuple[str, str]]:
    return [(row.partition, row.key) for row in system.ports.tables.query(names.TABLE_ITEMS)]


GRIDS = [tile_of("33TTG"), lonlat(0, 40, 18, 52), lonlat(-180, -90, 180, 90)]


@pytest.mark.parametrize("grid", GRIDS)
def test_the_index_is_made_again_and_rid_of_what_is_left_over(
    system: System, client: AsgiClient, grid: GridSpec
) -> None:
    entry = put(system, grid)
    copy = put_entry(system, copy_identity(entry))
    whole = row_keys(system)
    assert repair_index(system.ports) == 0
    for row in whole:
        system.ports.tables.delete(names.TABLE_ITEMS, *row)
        if len([key for key in row_keys(system) if key[1] == row[1]]) in (0, 1):
            assert repair_index(system.ports) == 1
            assert row_keys(system) == whole
        else:  # an Item of several cells: each is made again with the others
            index_entry(system.ports, entry)
    system.ports.blobs.delete(names.CONTAINER_CATALOGUE, names.catalogue_blob(entry.digest))
    assert repair_index(system.ports) > 0
    assert {key[1].rpartition("-")[2] for key in row_keys(system)} == {copy.digest}
    assert found(client) == []


@pytest.mark.parametrize("grid", GRIDS)
def test_an_image_made_again_keeps_its_rows_whoever_forgets_the_old_one(system: System, grid: GridSpec) -> None:
    old = put(system, grid)
    new = old.model_copy(update={"task_id": "j2-1"})
    system.ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(new.digest), new.to_json().encode())
    index_entry(system.ports, new)
    whole = row_keys(system)
    forget_entry(system.ports, old)
    assert row_keys(system) == whole
    index_entry(system.ports, old)  # held up for very long: it finds that another has taken its place
    assert all(key[1].endswith(new.digest) for key in row_keys(system))
    repair_index(system.ports)
    assert row_keys(system) == whole
    forget_entry(system.ports, new)
    assert row_keys(system) == []


def walk(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        if "rel" in document:
            yield document
        for value in document.values():
            yield from walk(value)
    elif isinstance(document, list):
        for value in document:
            yield from walk(value)


def test_every_link_leads_somewhere(system: System, client: AsgiClient) -> None:
    put(system, tile_of("33TTG"))
    seen: set[str] = set()
    waiting = [f"{BASE}/stac"]
    while waiting:
        url = waiting.pop()
        if url in seen or not url.startswith(BASE):
            continue
        seen.add(url)
        answer = client.get(url)
        assert answer.status_code == 200, url
        for link in walk(answer.json()):
            waiting.append(str(link["href"]))
            if (
                str(link["href"]).startswith(f"{BASE}/stac")
                and link["rel"] != "service-desc"
                and link.get("method", "GET") == "GET"
            ):
                said = client.get(str(link["href"])).headers["content-type"].partition(";")[0]
                assert said == link["type"], link
    assert len(seen) > 20


def some_grid(chance: random.Random) -> GridSpec:
    """A tile, or a rectangle of any size anywhere, across the antimeridian and up to the poles."""
    lon, lat = chance.uniform(-180, 180), math.degrees(math.asin(chance.uniform(-1, 1)))
    if chance.random() < 0.5 and -79 < lat < 83:
        tiles = tiles_intersecting([(lon, lat), (lon + 0.01, lat), (lon, lat + 0.01)])
        return tile_of(chance.choice(tiles))
    width, height = 10 ** chance.uniform(-1, 2), 10 ** chance.uniform(-1, 1.5)
    return lonlat(lon, max(-90.0, lat - height), lon + width, min(90.0, lat + height))


def some_area(chance: random.Random) -> Area:
    size = 10 ** chance.uniform(-2, 2.2)
    lon, lat = chance.choice([chance.uniform(-180, 180), 179.9, -180.0, 180.0]), chance.uniform(-90, 90)
    if chance.random() < 0.2:
        return parse_area({"type": "Point", "coordinates": [lon, chance.choice([lat, 90, -90, 84.2, -80.3])]})
    if chance.random() < 0.3:
        corners = [[lon + size * x, max(-90, min(90, lat + size * y))] for x, y in ((0, 0), (1, 0.2), (0.4, 1), (0, 0))]
        return parse_area({"type": "Polygon", "coordinates": [corners]}, strict=False)
    east = (lon + size + 180) % 360 - 180
    return box_area([lon, max(-90, lat - size / 2), east, min(90, lat + size / 2)])


@pytest.mark.parametrize("seed", range(2))
def test_the_index_finds_what_looking_at_every_item_finds(system: System, seed: int) -> None:
    chance = random.Random(seed)
    entries = [put(system, some_grid(chance), NOON + timedelta(hours=chance.uniform(-5000, 5000))) for _ in range(120)]
    every = [Indexed.of(entry, None)[0] for entry in entries]
    sizes = set()
    for _ in range(80):
        earliest = NOON + timedelta(hours=chance.uniform(-6000, 4000))
        area = some_area(chance)
        wanted = Search(
            user="local",
            area=area,
            earliest=chance.choice([None, earliest]),
            latest=chance.choice([None, earliest + timedelta(hours=10 ** chance.uniform(0, 4))]),
            order=chance.choice([NEWEST_FIRST, OLDEST_FIRST, ("+datetime", "-id")]),
            limit=chance.choice([1, 3, 200]),
        )
        expected = sorted((one for one in every if wanted.finds(one)), key=lambda one: one.key)
        if wanted.order != NEWEST_FIRST:
            expected.reverse()
        seen: list[str] = []
        while True:
            page = search(system.ports, wanted)
            seen += [one.digest for one in page.items]
            if page.token is None:
                break
            wanted = replace(wanted, token=page.token)
        assert seen == [one.digest for one in expected], wanted
        sizes.add(len(seen))
    assert len(sizes) > 4
