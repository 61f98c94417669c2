"""Products that requests name by their official name alone: where they are found, and in which order it is looked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from fakes.asgi import AsgiClient
from fakes.catalogue import Catalogue, Entry
from fakes.file_server import FileServer
from fakes.memory_ports import memory_ports
from fakes.products import NEXT_SLICE, ROME, S2_RINGS, S2_TILE, manifest_of, packed, put_packed, put_safe, safe_zip
from orthoburst.execution import execution
from orthocontracts import names
from orthocontracts.buckets import Bucket
from orthocontracts.productids import with_prefix
from orthocontracts.requests import Request
from orthofunctions.adapters.pages import HttpPages
from orthofunctions.adapters.servers import Servers
from orthofunctions.adapters.transport import new_session
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.estimate import estimate
from orthofunctions.usecases.explain import whereabouts
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload

KEY = ("AKID", "very/secret+key")
RESTRICTED = """
pools: [{name: hpc, kind: onprem, max_slots: 4}]
restricted: [{prefix: products/secret/, readers: [eva]}]
"""


@pytest.fixture
def bucket() -> Iterator[FileServer]:
    with FileServer(keys={"eodata": KEY}) as server:
        yield server


@pytest.fixture
def ports(bucket: FileServer) -> Iterator[Ports]:
    known = {"eodata": Bucket.model_validate({"endpoint": bucket.address, "key_id": KEY[0], "secret": KEY[1]})}
    with new_session() as session:
        yield replace(memory_ports(), remote=Servers(buckets=known), pages=HttpPages(session, read_timeout_s=2))


@pytest.fixture(params=["odata", "stac"])
def catalogue(request: pytest.FixtureRequest, ports: Ports) -> Iterator[Catalogue]:
    with Catalogue(ports.clock.now) as served:
        spec = {"name": "far", "kind": request.param, "url": served.url, "looked_through": False}
        text = json.dumps({"catalogues": [spec]}).encode()
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_CATALOGUES, text)
        yield served


def request_of(*products: str, **more: Any) -> Request:
    return Request.model_validate({"request_id": "r1", "products": products, "terrain": {"height_m": 0}, **more})


def plan(ports: Ports, *products: str, **more: Any) -> JobRecord:
    return plan_request(ports, request_of(*products, **more), Limits(), Rules())


def sources(ports: Ports, job: JobRecord) -> list[str]:
    assert job.fault_message is None, job.fault_message
    made = read_plan(ports, job.job_id)
    assert made is not None
    return sorted({source.ref for task in made.tasks for source in task.products})


def put_in_bucket(bucket: FileServer) -> None:
    folder, files = packed(S2_TILE, "2")
    for path, data in {**files, "manifest.safe": manifest_of(files, S2_RINGS[S2_TILE], "2")}.items():
        bucket.files[f"/eodata/{folder}/{path}"] = data


class TestHowItIsWritten:
    @pytest.mark.parametrize("ending", ["", ".SAFE", ".zip", ".SAFE.zip"])
    def test_there_is_one_way_whatever_was_written(self, ending: str) -> None:
        assert request_of(f"id:{ROME}{ending}").products == (f"id:{ROME}",)

    @pytest.mark.parametrize(
        "wrong", ["id:", "id:S1B", f"id:x{ROME}", f"id:{ROME}/manifest.safe", f"id:{ROME}_COG", "id:../x", f"ID:{ROME}"]
    )
    def test_what_is_no_official_name_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValidationError):
            request_of(wrong)

    def test_the_same_product_twice_is_refused_however_it_is_written(self) -> None:
        with pytest.raises(ValidationError, match="named twice"):
            request_of(f"id:{ROME}", f"id:{ROME}.SAFE")

    def test_the_client_takes_a_bare_name_and_leaves_references_alone(self) -> None:
        refs = [
            f"{ROME}.zip",
            f"{S2_TILE}",
            "products/x.zip",
            f"products/{ROME}.SAFE",
            "image.tif",
            f"s3://b/{ROME}.zip",
        ]
        assert list(map(with_prefix, refs)) == [f"id:{ROME}", f"id:{S2_TILE}", *refs[2:]]
        assert execution(ROME)["inputs"]["products"] == [f"id:{ROME}"]


class TestWhereItIsFound:
    def test_an_upload_by_its_event_or_without(self, ports: Ports) -> None:
        put_safe(ports.blobs)
        before = plan(ports, f"id:{ROME}")
        take_upload(ports, f"{ROME}.SAFE/manifest.safe")
        after = plan(ports, f"id:{ROME}", request_id="r2")
        assert sources(ports, before) == sources(ports, after) == [f"products/{ROME}.SAFE"]
        (found,) = whereabouts(ports, after)
        assert found == {"asked": f"id:{ROME}", "ref": f"products/{ROME}.SAFE", "how": "in the store"}

    @pytest.mark.parametrize("blob", [f"{ROME}.zip", f"{ROME}.SAFE.zip", f"archive/{ROME}.zip"])
    def test_a_zip_and_one_in_a_folder_of_its_own(self, ports: Ports, blob: str) -> None:
        ports.blobs.write("products", blob, safe_zip())
        take_upload(ports, blob)
        assert sources(ports, plan(ports, f"id:{ROME}")) == [f"products/{blob}"]

    def test_it_makes_the_image_that_its_place_makes(self, ports: Ports) -> None:
        ref = put_safe(ports.blobs)
        by_id, by_place = plan(ports, f"id:{ROME}"), plan(ports, ref, request_id="r2")
        plans = [read_plan(ports, job.job_id) for job in (by_id, by_place)]
        assert plans[0] is not None
        assert plans[1] is not None
        assert [one.digest for one in plans[0].outputs] == [one.digest for one in plans[1].outputs]

    def test_named_by_id_and_by_place_it_is_one(self, ports: Ports) -> None:
        ref = put_safe(ports.blobs)
        assert sources(ports, plan(ports, f"id:{ROME}", ref)) == [ref]

    def test_what_was_listed_and_is_gone_is_not_found_there(self, ports: Ports) -> None:
        ports.blobs.write("products", f"old/{ROME}.zip", safe_zip())
        take_upload(ports, f"old/{ROME}.zip")
        ports.blobs.delete("products", f"old/{ROME}.zip")
        job = plan(ports, f"id:{ROME}")
        assert (job.fault_kind, job.final_state) == ("ProductMissing", "failed")
        assert f"id:{ROME} is not in the store" in str(job.fault_message)

    def test_a_catalogue_is_asked_where_the_store_has_none(
        self, ports: Ports, catalogue: Catalogue, bucket: FileServer
    ) -> None:
        put_in_bucket(bucket)
        catalogue.entries.append(Entry(S2_TILE, ports.clock.now(), ports.clock.now()))
        job = plan(ports, f"id:{S2_TILE}", terrain=None)
        assert sources(ports, job) == [f"s3://eodata/{S2_TILE}.SAFE"]
        assert whereabouts(ports, job)[0]["how"] == "in catalogue far"
        assert len(catalogue.requests) == 1

    def test_the_store_comes_first_and_costs_no_question(self, ports: Ports, catalogue: Catalogue) -> None:
        catalogue.entries.append(Entry(S2_TILE, ports.clock.now(), ports.clock.now()))
        put_packed(ports.blobs, S2_TILE, "2", S2_RINGS[S2_TILE])
        take_upload(ports, f"{S2_TILE}.SAFE/manifest.safe")
        assert sources(ports, plan(ports, f"id:{S2_TILE}", terrain=None)) == [f"products/{S2_TILE}.SAFE"]
        assert not catalogue.requests

    def test_a_place_that_the_site_does_not_read_from_is_said_and_not_asked(
        self, ports: Ports, catalogue: Catalogue, bucket: FileServer
    ) -> None:
        put_in_bucket(bucket)
        catalogue.entries.append(Entry(S2_TILE, ports.clock.now(), ports.clock.now()))
        shut = replace(ports, remote=Servers(buckets={}))
        job = plan(shut, f"id:{S2_TILE}", terrain=None)
        assert job.fault_kind == "ProductMissing"
        assert "in catalogue far as s3://eodata" in str(job.fault_message)
        assert "ORTHOBURST_PRODUCT_BUCKETS" in str(job.fault_message)
        assert not bucket.asked

    def test_a_catalogue_that_fails_or_lists_something_else_is_said(self, ports: Ports, catalogue: Catalogue) -> None:
        job = plan(ports, f"id:{S2_TILE}", terrain=None)
        assert "catalogue far does not list it" in str(job.fault_message)
        catalogue.fail = lambda _: 503
        job = plan(ports, f"id:{S2_TILE}", terrain=None, request_id="r2")
        assert "catalogue far does not answer: status 503" in str(job.fault_message)
        catalogue.fail, catalogue.body = lambda _: None, b'{"value": [7, {"Name": "x"}], "features": ["a"]}'
        job = plan(ports, f"id:{S2_TILE}", terrain=None, request_id="r3")
        assert "no product that images are made of" in str(job.fault_message)

    def test_a_restricted_copy_is_not_taken_where_another_is_for_everybody(self, ports: Ports) -> None:
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, RESTRICTED.encode())
        ports.blobs.write("products", f"secret/{ROME}.zip", safe_zip())
        take_upload(ports, f"secret/{ROME}.zip")
        assert plan(ports, f"id:{ROME}").fault_kind == "NoAccess"
        ports.blobs.write("products", f"zz/{ROME}.zip", safe_zip())
        take_upload(ports, f"zz/{ROME}.zip")
        assert sources(ports, plan(ports, f"id:{ROME}", request_id="r2")) == [f"products/zz/{ROME}.zip"]

    def test_of_a_kind_that_no_images_are_made_of_nothing_is_looked_for(
        self, ports: Ports, catalogue: Catalogue
    ) -> None:
        slc = "S1A_IW_SLC__1SDV_20210119T031653_20210119T031720_036201_043ED0_8255"
        assert plan(ports, f"id:{slc}").fault_kind == "UnknownProduct"
        assert not catalogue.requests

    def test_something_wrong_with_another_product_comes_first(self, ports: Ports) -> None:
        ports.blobs.write("products", f"{NEXT_SLICE}.zip", b"PK")
        job = plan(ports, f"id:{ROME}", f"products/{NEXT_SLICE}.zip")
        assert job.fault_kind == "BrokenProduct"

    def test_over_http_it_is_asked_for_and_explained(self, ports: Ports) -> None:
        settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "wanted_limit_s": 60})
        system = System(settings, ports, settings.rules(), settings.limits(), requests.Session())
        client = AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1")

        def explained(job_id: str) -> tuple[str, list[dict[str, str | None]]]:
            for body in ports.queues.drain(names.QUEUE_REQUESTS, 9):
                plan_request(ports, read_request(ports, body), Limits(), system.rules)
            said = client.get(f"/jobs/{job_id}/explain").json()["products"]
            return client.get(f"/jobs/{job_id}").json()["message"], said

        asked = {"inputs": execution(f"{ROME}.SAFE", terrain={"height_m": 0})["inputs"]}
        job_id = client.post("/processes/orthorectify/execution", json=asked).json()["jobID"]
        message, said = explained(job_id)
        assert message == f"waits for {ROME}, to be fetched"
        assert said[0]["asked"] == f"id:{ROME}"
        assert said[0]["ref"] is None
        put_safe(ports.blobs)
        take_upload(ports, f"{ROME}.SAFE/manifest.safe")
        message, said = explained(job_id)
        assert message.startswith("0 of ")
        assert said == [{"asked": f"id:{ROME}", "ref": f"products/{ROME}.SAFE", "how": "in the store"}]
        asked["inputs"]["products"] = ["id:S1A"]
        refused = client.post("/processes/orthorectify/execution", json=asked)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["at"].startswith("inputs.products")

    def test_an_estimate_says_so_too(self, ports: Ports) -> None:
        (none,) = estimate(ports, Rules(wanted_limit_s=60), Limits(), [request_of(f"id:{ROME}")])
        assert none.fault is not None
        assert none.fault.message.endswith("have it fetched by submitting the request")
        put_safe(ports.blobs)
        (found,) = estimate(ports, Rules(), Limits(), [request_of(f"id:{ROME}")])
        assert found.fault is None
        assert found.tasks
