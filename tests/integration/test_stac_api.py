"""The STAC API as others' tools use it: pystac-client and stac-api-validator, over the functions host and Azurite.

The network is closed. Schemas of STAC and GeoJSON are those that pystac carries; those of extensions no package brings,
so what they say is not checked here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac
import pytest
import requests
from pystac_client import Client
from stac_api_validator.validations import QueryConfig, validate_api
from stac_validator import utilities

from integration.storage import azure_ports
from localdev.bench._items import FIRST, delivered
from localdev.servers import Azurite, FunctionsHost
from orthocontracts import names
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.index import index_entry

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
TILES = ("33TTG", "33TUG", "31TCJ", "01KAB")
N_ITEMS = 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a catalogue of some Items."""
    folder = tmp_path_factory.mktemp("stac")
    with Azurite(folder / "azurite") as azurite:
        provision(azurite.connection_string)
        with azure_ports(azurite.connection_string) as ports:
            for number, tile in zip(range(N_ITEMS), itertools.cycle(TILES), strict=False):
                put(ports, tile, number)
        settings = {"AzureWebJobsStorage": azurite.connection_string, "ORTHOBURST_STORAGE": azurite.connection_string}
        with FunctionsHost(FUNCTIONS, folder, settings) as host:
            yield f"{host.url}/stac"


def put(ports: Ports, tile: str, number: int) -> None:
    made = delivered(tile, FIRST + timedelta(days=number), number)
    for kind in ("item", "image", "mask", "browse"):
        write(ports, made.entry.files[kind].blob, made.item if kind == "item" else b"pixels")
    digest = made.entry.digest
    ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest), made.entry.to_json().encode())
    index_entry(ports, made.entry)


def write(ports: Ports, place: str, data: bytes) -> None:
    container, _, name = place.partition("/")
    ports.blobs.write(container, name, data)


def test_pystac_client_walks_searches_and_downloads(root: str) -> None:
    client = Client.open(root)
    collection = client.get_collection("sentinel-1-sigma0")
    assert collection is not None
    every = list(collection.get_items())
    assert len(every) == N_ITEMS
    assert {item.properties["grid:code"] for item in every} == {f"MGRS-{tile}" for tile in TILES}
    of_tile = {"op": "=", "args": [{"property": "grid:code"}, "MGRS-33TTG"]}
    for method, wanted in (("GET", "grid:code = 'MGRS-33TTG'"), ("POST", of_tile)):
        search = client.search(
            method=method, bbox=[12.4, 41.8, 12.6, 42.0], datetime="2024-01-01/2024-01-20", limit=2,
            collections=["sentinel-1-sigma0"], filter=wanted, sortby="+properties.datetime",
        )  # fmt: skip
        found = list(search.items())
        assert len(found) == 5
        assert [item.datetime for item in found] == sorted(item.datetime for item in found)  # type: ignore[type-var]
    area = {"type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 42], [12, 41]]]}
    assert {item.id for item in client.search(intersects=area).items()} >= {item.id for item in found}
    fiji = client.search(bbox=[179.5, -18, -179.5, -16])
    assert {item.properties["grid:code"] for item in fiji.items()} == {"MGRS-01KAB"}
    item = found[0]
    assert client.search(ids=[item.id]).item_collection().items[0].id == item.id
    answer = requests.get(item.assets["data"].href, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"pixels")
    queryables = client.get_queryables()
    assert "grid:code" in queryables["properties"]


class LocalSchemas:
    """``requests`` as stac-validator has it, but for schemas: none comes over a network."""

    exceptions = requests.exceptions

    def __init__(self) -> None:
        self.not_here: set[str] = set()

    def get(self, url: str, **arguments: Any) -> Any:
        if urlsplit(url).hostname == "127.0.0.1":
            return requests.get(url, **{"timeout": 10, **arguments})
        answer = requests.Response()
        answer.status_code = 200
        answer._content = json.dumps(self.schema(url)).encode()
        return answer

    def schema(self, url: str) -> dict[str, Any]:
        name = url.rpartition("/")[2]
        folder = resources.files("pystac.validation.jsonschemas")
        if "geojson.org" in url:
            path = folder / "geojson" / name
        elif "stacspec.org" in url or "staclint.com" in url:
            path = folder / "stac-spec" / "v1.1.0" / name
        else:
            self.not_here.add(url)
            return {"$id": url}
        # 1.1.0 refuses what says it is 1.0.0, and is else what 1.0.0 is, but for bands in properties
        text = path.read_text().replace('"const": "1.1.0"', '"const": "1.0.0"')
        return {**json.loads(text), "$id": url}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:unclosed:ResourceWarning")
def test_the_validator_finds_nothing(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = LocalSchemas()
    monkeypatch.setattr(utilities, "requests", schemas)

    def closed(*_: Any, **__: Any) -> None:
        raise OSError("the network is closed")

    monkeypatch.setattr(utilities, "urlopen", closed)  # links of documents, which are not opened
    warnings, errors = validate_api(
        root_url=root,
        ccs_to_validate=[
            "core", "collections", "features", "features#sort", "features#filter", "item-search", "item-search#sort",
            "item-search#filter",
        ],
        collection="sentinel-1-sigma0",
        geometry=json.dumps({"type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 42], [12, 41]]]}),
        auth_bearer_token=None,
        auth_query_parameter=None,
        fields_nested_property=None,
        validate_pagination=True,
        query_config=QueryConfig(*[None] * len(QueryConfig.__dataclass_fields__)),
        transaction_collection=None,
        headers=None,
        open_assets_urls=False,
    )  # fmt: skip
    assert list(errors) == []
    kinds = {str(warning).partition("http")[0] for warning in warnings}
    assert len(kinds) <= 3, kinds  # no service-doc, many properties, nothing at 20 E 20 N
    assert {urlsplit(url).hostname for url in schemas.not_here} == {"stac-extensions.github.io"}


def test_items_and_collections_are_valid_stac(root: str) -> None:
    document = requests.get(f"{root}/search", timeout=10).json()
    item = pystac.Item.from_dict(document["features"][0])
    assert item.ext.has("proj")
