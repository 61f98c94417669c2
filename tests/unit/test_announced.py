"""Products of other people's archives: a push subscription, what the announcement comes to, and how often."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import requests
from pydantic import TypeAdapter, ValidationError

from fakes.asgi import AsgiClient
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import MemoryQueues, memory_ports
from fakes.products import ROME, S2_RINGS, S2_TILE, put_packed
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import ProductRef
from orthocontracts.wire import read_message
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain import stacitems
from orthofunctions.domain.announced import Announced, NotAnnouncedError, ring_of
from orthofunctions.domain.odata import announced_by
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.upload import take_upload

USER, PASSWORD = "push", "correct horse battery staple"
FOLDER = f"Sentinel-2/MSI/L1C/2023/06/05/{S2_TILE}.SAFE"
RING = [[-4.35, 48.22], [-2.87, 48.75], [-2.87, 47.77], [-4.33, 47.76], [-4.35, 48.22]]


def product(**changes: Any) -> dict[str, Any]:
    """As the Copernicus Data Space describes one, with fewer attributes."""
    return {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": "f867a59a-9336-46d0-93ae-e55bf29403f8",
        "Name": f"{S2_TILE}.SAFE",
        "ContentType": "application/octet-stream",
        "ContentLength": 132384463,
        "OriginDate": "2023-06-05T14:39:38.000Z",
        "PublicationDate": "2023-06-05T14:52:06.118Z",
        "ModificationDate": "2023-06-05T14:52:51.828Z",
        "Online": True,
        "EvictionDate": "9999-12-31T23:59:59.999Z",
        "S3Path": f"/eodata/{FOLDER}",
        "Checksum": [
            {"Value": "700a3f2014ab3670408b94e4310924dd", "Algorithm": "MD5", "ChecksumDate": "2023-06-05T14:52:51Z"},
            {"Value": "fd35ef962ec7a09b190dc4049fe98906cc89f16e1a4322b622a49fc62e3f6e43", "Algorithm": "BLAKE3"},
        ],
        "ContentDate": {"Start": "2023-06-05T11:06:19.024Z", "End": "2023-06-05T11:06:19.024Z"},
        "Footprint": "geography'SRID=4326;POLYGON ((…))'",
        "GeoFootprint": {"type": "Polygon", "coordinates": [RING]},
        "Attributes": [
            {"@odata.type": "#OData.CSC.DoubleAttribute", "Name": "cloudCover", "Value": 7.68, "ValueType": "Double"},
            {"Name": "relativeOrbitNumber", "Value": 137, "ValueType": "Integer"},
            {"Name": "orbitDirection", "Value": "DESCENDING", "ValueType": "String"},
        ],
        **changes,
    }


def notification(**changes: Any) -> dict[str, Any]:
    return {
        "@odata.context": "$metadata#Notification/$entity",
        "SubscriptionEvent": "created",
        "ProductId": "f867a59a-9336-46d0-93ae-e55bf29403f8",
        "ProductName": f"{S2_TILE}.SAFE",
        "SubscriptionId": "880c4e1a-cfc7-4956-bc4c-4434069a0aa7",
        "NotificationDate": "2023-06-05T14:52:52.000Z",
        "value": product(),
        **changes,
    }


def item(**properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": S2_TILE,
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {
            "datetime": "2023-06-05T11:06:19.024Z",
            "published": "2023-06-05T14:52:06.118Z",
            "eo:cloud_cover": 7.68,
            "sat:relative_orbit": 137,
            "sat:orbit_state": "descending",
            **properties,
        },
        "assets": {
            "Product": {"href": "https://download.example/odata/v1/Products(f867a59a)/$value"},
            "B02": {
                "href": f"https://download.example/{FOLDER}/GRANULE/B02.jp2",
                "alternate": {"s3": {"href": f"s3://eodata/{FOLDER}/GRANULE/B02.jp2"}},
            },
        },
    }


def _takes_remote() -> bool:
    try:
        TypeAdapter(ProductRef).validate_python(f"s3://eodata/{FOLDER}")
    except ValidationError:
        return False
    return True


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def system(ports: Ports, **settings: Any) -> System:
    given = {"cdse_user": USER, "cdse_password": PASSWORD, **settings}
    read = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", **given})
    return System(read, ports, read.rules(), read.limits(), requests.Session())


def push(
    ports: Ports, body: Any, *, password: str = PASSWORD, scheme: str = "Basic", **settings: Any
) -> httpx.Response:
    client = AsgiClient(create_app(lambda: system(ports, **settings)), base_url="https://functions.example")
    login = base64.b64encode(f"{USER}:{password}".encode()).decode()
    headers = {"Authorization": f"{scheme} {login}", "Content-Type": "application/json"}
    return client.post("/doors/cdse", content=body if isinstance(body, bytes) else json.dumps(body), headers=headers)


def waiting(ports: Ports) -> list[Announced]:
    assert isinstance(ports.queues, MemoryQueues)
    return [read_message(Announced, body) for body in ports.queues.bodies(names.QUEUE_ANNOUNCED)]


def listed(ports: Ports) -> list[InventoryRecord]:
    return list(all_products(ports))


class TestPush:
    def test_a_notification_is_queued_with_all_that_it_tells(self, ports: Ports) -> None:
        answer = push(ports, notification())
        assert (answer.status_code, answer.json()["status"]) == (200, "taken")
        (announced,) = waiting(ports)
        assert announced == Announced(
            catalogue="cdse",
            id="f867a59a-9336-46d0-93ae-e55bf29403f8",
            name=S2_TILE,
            ref=f"s3://eodata/{FOLDER}",
            footprint_lonlat=tuple((lon, lat) for lon, lat in RING[:-1]),
            start=datetime(2023, 6, 5, 11, 6, 19, 24000, UTC),
            stop=datetime(2023, 6, 5, 11, 6, 19, 24000, UTC),
            published_at=datetime(2023, 6, 5, 14, 52, 6, 118000, UTC),
            size_bytes=132384463,
            checksum="md5:700a3f2014ab3670408b94e4310924dd",
            orbit_direction="descending",
            relative_orbit=137,
            cloud_cover_percent=7.68,
        )
        old_spelling = notification()
        old_spelling["Value"] = old_spelling.pop("value")
        assert push(ports, old_spelling).json()["status"] == "taken"
        assert len(set(map(Announced.to_json, waiting(ports)))) == 1

    @pytest.mark.parametrize(
        "body",
        [
            notification(SubscriptionEvent="deleted"),
            notification(value=None),  # the catalogue has forgotten it
            notification(value=product(Name="S2B_MSIL2B_x.SAFE")),
            notification(value=product(Name=f"test-notification-{ROME}.SAFE")),
            notification(value=product(Name=ROME.replace("GRDH", "SLC_"))),
            notification(value=product(Online=False)),
            notification(value=product(S3Path="")),
            notification(value=product(S3Path="/eodata")),
            notification(value=product(S3Path=None)),
            notification(value=product(GeoFootprint=None)),
            notification(value=product(GeoFootprint={"type": "Point", "coordinates": [1, 2]})),
            notification(value=product(GeoFootprint={"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]})),
            notification(value=product(GeoFootprint={"type": "Polygon", "coordinates": [[[1, 200], [3, 4], [5, 6]]]})),
            notification(value=product(GeoFootprint={"type": "Polygon", "coordinates": [[["x", 2], [3, 4]]]})),
            notification(value=product(PublicationDate="yesterday")),
            notification(value=product(ContentDate={})),
            notification(value={}),
        ],
    )
    def test_what_is_no_product_of_ours_is_not_sent_again(self, ports: Ports, body: dict[str, Any]) -> None:
        answer = push(ports, body)
        assert (answer.status_code, answer.json()["status"]) == (200, "passed over"), answer.text
        assert answer.json()["why"]
        assert not waiting(ports)

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"", 400), (b"{", 400), (b"[]", 400), (b"{}", 400), (json.dumps(notification(ProductId=7)).encode(), 400),
         (json.dumps(notification(value="x")).encode(), 400), (b"[" * 100_000, 400), (b" " * 2_000_000, 413)],
    )  # fmt: skip
    def test_what_is_no_notification_is_refused(self, ports: Ports, body: bytes, status: int) -> None:
        assert push(ports, body).status_code == status
        assert not waiting(ports)

    @pytest.mark.parametrize("how", [{"password": "wrong"}, {"password": ""}, {"scheme": "Bearer"}, {"scheme": ""}])
    def test_without_the_password_nothing_is_read(self, ports: Ports, how: dict[str, str]) -> None:
        answer = push(ports, b"not even JSON", **how)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="doors"'
        assert PASSWORD not in answer.text

    @pytest.mark.parametrize("settings", [{"cdse_user": None}, {"cdse_password": None}])
    def test_the_door_is_shut_where_it_is_not_set_up(self, ports: Ports, settings: dict[str, None]) -> None:
        assert push(ports, notification(), **settings).status_code == 404  # type: ignore[arg-type]

    def test_no_short_password(self) -> None:
        with pytest.raises(ValidationError):
            system(memory_ports(), cdse_password="short")


class TestTakingIn:
    def test_it_is_listed_once_however_often_and_by_whomever_it_is_told(self, ports: Ports) -> None:
        for _ in range(2):
            take_announced(ports, announced_by("cdse", product()))
            take_announced(ports, stacitems.announced_by("stac", item(), "published"))
        (record,) = listed(ports)
        assert (record.ref, record.mission, record.product_type) == (f"s3://eodata/{FOLDER}", "sentinel-2", "L1C")
        assert record.arrived == ""
        assert record.arrived_at == datetime(2023, 6, 5, 14, 52, 6, 118000, UTC)
        client = AsgiClient(create_app(lambda: system(ports)), base_url="http://127.0.0.1:7071")
        for _ in range(2):  # looking at the list does not drop what lies elsewhere
            (feature,) = client.get("/products", params={"bbox": "-4,48,-3,48.5"}).json()["features"]
            assert feature["id"] == record.ref

    def test_what_lies_here_already_is_not_announced_again(self, ports: Ports) -> None:
        ref = put_packed(ports.blobs, S2_TILE, "2", S2_RINGS[S2_TILE])
        take_upload(ports, f"{ref.removeprefix('products/')}/manifest.safe")
        assert take_announced(ports, announced_by("cdse", product())) == []
        assert [record.ref for record in listed(ports)] == [ref]

    @pytest.mark.skipif(not _takes_remote(), reason="requests name no products of other archives yet")
    def test_every_order_that_it_fits_asks_once(self, ports: Ports) -> None:
        for order_id, wanted in (
            ("all", {}),
            ("clear", {"max_cloud_cover_percent": 8, "relative_orbits": [137], "product_types": ["L1C"]}),
            # as of an upload: Sentinel-2's manifest does not tell it, and which door it comes by must not matter
            ("descending", {"orbit_direction": "descending"}),
            ("clearer", {"max_cloud_cover_percent": 7}),
            ("rome", {"area": {"type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 41]]]}}),
        ):
            document = {"order_id": order_id, "user": "ana", "created_at": ports.clock.now(), "products": wanted}
            add_order(ports, StandingOrder.model_validate(document))
        first = take_announced(ports, announced_by("cdse", product()))
        again = take_announced(ports, stacitems.announced_by("stac", item(), "published"))
        assert len(first) == 2
        assert {job.job_id for job in first} == {job.job_id for job in again}

    def test_who_dies_at_any_write_is_repeated_to_the_same_end(self) -> None:
        wanted = None
        for at in range(20):
            ports = memory_ports()
            try:
                take_announced(fused(ports, Fuse(at)), announced_by("cdse", product()))
            except Crash:
                take_announced(ports, announced_by("cdse", product()))
            else:
                break
            rows = sorted((row.partition, row.key) for row in ports.tables.query(InventoryRecord.TABLE))
            wanted = wanted or rows
            assert rows == wanted
        assert at > 1


class TestReading:
    def test_stac_and_odata_tell_the_same(self) -> None:
        one, other = announced_by("c", product()), stacitems.announced_by("c", item(), "published")
        own = {"id", "stop", "size_bytes", "checksum"}
        assert one.model_dump(exclude=own) == other.model_dump(exclude=own)

    def test_an_item_that_lies_nowhere_is_passed_over(self) -> None:
        with pytest.raises(NotAnnouncedError, match="no asset lies in a folder or zip of its name"):
            stacitems.announced_by(
                "c", {**item(), "assets": {"B02": {"href": "https://x.example/B02.jp2"}}}, "published"
            )

    def test_a_footprint_cut_at_the_antimeridian_is_one_again(self) -> None:
        east = [[178, -20], [180, -20], [180, -16], [178, -16], [178, -20]]
        west = [[-180, -20], [-178, -20], [-178, -16], [-180, -16], [-180, -20]]
        ring = ring_of({"type": "MultiPolygon", "coordinates": [[east], [west]]})
        assert set(ring) == {(178, -20), (-178, -20), (-178, -16), (178, -16)}

    def test_a_long_outline_is_thinned(self) -> None:
        points = [[n / 100, 0] for n in range(1000)] + [[n / 100, 1] for n in range(1000, 0, -1)]
        assert 200 <= len(ring_of({"type": "Polygon", "coordinates": [points]})) <= 256
