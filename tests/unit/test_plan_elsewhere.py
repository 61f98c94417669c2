"""Products on servers that a site allows, planned from their metadata by range; and servers that mean no good."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.certificates import certificate
from fakes.file_server import FileServer, Trouble, cut, lying, moved, replaced, slow, status, whole
from fakes.memory_ports import memory_ports
from fakes.products import ROME, affine_rpc, manifest, members, rpc_tiff, safe_zip
from fakes.world import POOLS, World
from orthocontracts import names
from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import HostRefusedError, Hosts
from orthocontracts.references import path_on_worker
from orthocontracts.requests import Request
from orthocontracts.sigv4 import AccessKey, signed_headers
from orthocontracts.tasks import TaskSpec
from orthofunctions.adapters.servers import Servers
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, RemoteDownError, RemoteRefusedError
from orthofunctions.usecases.plan import plan_request, read_plan

pytestmark = pytest.mark.alone

KEY = ("AKID", "very/secret+key")
SETTINGS = ("HOSTS", "HOSTS_INTERNAL")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(keys={"archive": KEY}) as running:
        yield running


def servers(server: FileServer, **changes: Any) -> Servers:
    bucket = Bucket.model_validate({"endpoint": server.address, "key_id": KEY[0], "secret": KEY[1]})
    known: dict[str, Any] = {"hosts": Hosts(internal=(server.host,), settings=SETTINGS), "buckets": {"archive": bucket}}
    return Servers(**{**known, **changes})


def ports_with(remote: Servers) -> Ports:
    return replace(memory_ports(), remote=remote)


def plan(ports: Ports, ref: str, request_id: str = "r1", **changes: Any) -> JobRecord:
    grid = {"kind": "mgrs", "tiles": ["33TUG"]} if ROME in ref else None
    asked = {"request_id": request_id, "products": [ref], "terrain": {"height_m": 0}, "grid": grid, **changes}
    return plan_request(ports, Request.model_validate(asked), Limits(), Rules())


def task_of(ports: Ports, job: JobRecord) -> TaskSpec:
    assert job.fault_message is None, job.fault_message
    made = read_plan(ports, job.job_id)
    assert made is not None
    return made.tasks[0]


def put_folder(server: FileServer, at: str) -> None:
    files = members(ROME)
    for path, data in {**files, "manifest.safe": manifest(files)}.items():
        server.files[f"{at}/{path}"] = data


class TestWhatIsRead:
    def test_a_zip_on_a_server_is_planned_by_range_and_its_worker_told_which_version(self, server: FileServer) -> None:
        padding = {"measurement/pixels": bytes(range(256)) * 12_000}
        server.files[f"/2021/{ROME}.zip"] = body = safe_zip(extra=padding) + b""
        ref = f"{server.address}/2021/{ROME}.zip"
        ports = ports_with(servers(server))
        task = task_of(ports, plan(ports, ref))
        assert server.sent_bytes < 600_000
        assert task.elsewhere is not None
        (file,) = task.elsewhere
        assert (file.url, file.path, file.size_bytes) == (ref, path_on_worker(ref), len(body))
        assert file.etag is not None
        assert file.foreign
        assert task.input_bytes_at == {"remote": len(body)}
        # the same zip in blob storage has the same content
        near = memory_ports()
        near.blobs.write("products", f"{ROME}.zip", body)
        assert task_of(near, plan(near, f"products/{ROME}.zip")).products[0].content == task.products[0].content

    def test_a_folder_in_a_bucket_is_listed_and_its_members_have_the_manifests_checksums(
        self, server: FileServer
    ) -> None:
        put_folder(server, f"/archive/S1/2021/{ROME}.SAFE")
        server.page_keys = 2
        ports = ports_with(servers(server))
        ref = f"s3://archive/S1/2021/{ROME}.SAFE"
        task = task_of(ports, plan(ports, ref))
        assert not server.refused
        assert task.elsewhere is not None
        by_path = {file.path.removeprefix(path_on_worker(ref)): file for file in task.elsewhere}
        assert set(by_path) == {*(f"/{path}" for path in members(ROME)), "/manifest.safe"}
        tiff = next(file for path, file in by_path.items() if path.endswith(".tiff"))
        assert tiff.url == f"{ref}/{next(path for path in members(ROME) if path.endswith('.tiff'))}"
        assert str(tiff.checksum).startswith("md5:")
        assert task.products[0].kind == "folder"

    def test_an_image_with_its_sidecar_beside_it(self, server: FileServer) -> None:
        server.files |= {"/vhr/a.tif": rpc_tiff(affine_rpc()), "/vhr/a.RPB": b"nonsense"}
        ports = ports_with(servers(server))
        assert plan(ports, f"{server.address}/vhr/a.tif").fault_kind == "BrokenProduct"
        del server.files["/vhr/a.RPB"]
        job = plan(ports, f"{server.address}/vhr/a.tif", "r2")
        before = task_of(ports, job).products[0].content
        server.files["/vhr/a.tif"] += b" "
        assert task_of(ports, plan(ports, f"{server.address}/vhr/a.tif", "r3")).products[0].content != before

    def test_where_there_is_no_etag_the_time_it_was_written_tells_versions(self, server: FileServer) -> None:
        server.etag_of = lambda _: None
        server.files["/a.tif"] = rpc_tiff(affine_rpc())
        ports = ports_with(servers(server))
        (file,) = task_of(ports, plan(ports, f"{server.address}/a.tif")).elsewhere or ()
        assert (file.etag, file.modified) == (None, "Sun, 13 Sep 2020 12:26:40 GMT")
        server.modified_s = None
        assert plan(ports, f"{server.address}/a.tif", "r2").fault_kind == "Unreachable"

    def test_a_round_does_not_ask_servers(self, server: FileServer) -> None:
        server.files[f"/{ROME}.zip"] = safe_zip()
        world = World()
        world.ports = replace(world.ports, remote=servers(server))
        plan(world.ports, f"{server.address}/{ROME}.zip")
        before = len(server.asked)
        world.clock.advance(5)
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        (file,) = delivery.ticket.inputs
        assert file.foreign
        assert len(server.asked) == before


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("ref", "why"),
        [
            ("https://data.example.org/a.tif", "ORTHOBURST_PRODUCT_HOSTS"),
            ("s3://other/a.tif", "ORTHOBURST_PRODUCT_BUCKETS"),
            ("site://archive/a.tif", "there is no store archive"),
            ("site://blobs/a.tif", "an address in settings/pools.yaml"),
        ],
    )
    def test_nothing_is_allowed_that_no_setting_names(self, ref: str, why: str) -> None:
        for ports in (memory_ports(), ports_with(Servers())):
            job = plan(ports, ref)
            assert job.fault_kind in ("NotAllowed", "UnknownProduct", "ProductMissing")
            assert "is not " in str(job.fault_message) or why in str(job.fault_message)
        named = ports_with(Servers(Hosts(settings=("ORTHOBURST_PRODUCT_HOSTS", "X"))))
        assert why in str(plan(named, ref).fault_message)

    @pytest.mark.parametrize(
        "ref",
        [
            "https://user@data.example.org/a.tif", "https://data.example.org/a.tif?sig=x", "https://data.example.org",
            "https://data.example.org/a/../b.tif", "https://data.example.org//a.tif", "https://DATA.example.org/a.tif",
            "https://data.example.org:443/a.tif", "https://data.example.org./a.tif", "ftp://data.example.org/a.tif",
            "file:///etc/passwd", "s3://../a.tif", "site://Archive/a.tif", "https://[::1]/a.tif",
            "https://data.example.org/%2e%2e/a.tif",
        ],
    )  # fmt: skip
    def test_what_is_written_so_that_it_means_another_place(self, ref: str) -> None:
        with pytest.raises(ValueError, match="products"):
            Request.model_validate({"request_id": "r", "products": [ref]})

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1",
         "64:ff9b::a00:1", "0.0.0.0", "100.64.0.1", "168.63.129.16", "2002:7f00:1::"],
    )  # fmt: skip
    def test_a_name_that_resolves_to_a_neighbour_is_not_asked(self, server: FileServer, address: str) -> None:
        allowed = Hosts(patterns=(f"data.example.org:{server.port}",), settings=SETTINGS)
        remote = Servers(allowed, resolver=lambda host, port: [address])
        with pytest.raises(RemoteRefusedError, match="HOSTS_INTERNAL"):
            remote.facts(f"https://data.example.org:{server.port}", "a.tif")
        assert server.asked == []

    def test_plain_http_only_within(self) -> None:
        hosts = Hosts(patterns=("data.example.org",), internal=("in.example.org",), settings=SETTINGS)
        hosts.check("https://data.example.org/x")
        hosts.check("http://in.example.org/x")
        for url in ("http://data.example.org/x", "https://data.example.org:8443/x", "https://x.data.example.org/"):
            with pytest.raises(HostRefusedError):
                hosts.check(url)

    def test_who_is_sent_on_comes_only_where_it_might_have_gone_anyway(self, server: FileServer) -> None:
        server.files |= {"/a.tif": rpc_tiff(affine_rpc()), "/b.tif": rpc_tiff(affine_rpc())}
        remote = servers(server)
        for to in ("http://169.254.169.254/latest", "https://evil.example.org/", "http://localhost:1/", "file:///etc"):
            server.troubles["/a.tif"] = [moved(to)]
            with pytest.raises(RemoteRefusedError, match="sent on"):
                remote.facts(server.address, "a.tif")
        server.troubles["/a.tif"] = [moved("/b.tif")]
        assert remote.facts(server.address, "a.tif") is not None
        server.troubles["/a.tif"] = [moved("/a.tif")] * 50
        with pytest.raises(RemoteDownError, match="sent on more than"):
            remote.facts(server.address, "a.tif")

    def test_a_login_goes_to_its_own_host_only(self, server: FileServer) -> None:
        server.files["/a.tif"] = rpc_tiff(affine_rpc())
        with FileServer(files={"/a.tif": server.files["/a.tif"]}) as other:
            hosts = Hosts(internal=(server.host, other.host), settings=SETTINGS)
            remote = Servers(hosts, logins={server.host: Login.model_validate({"token": "s3cret"})})
            server.troubles["/a.tif"] = [moved(f"{other.address}/a.tif")]
            assert remote.facts(server.address, "a.tif") is not None
            assert server.asked[0][1]["Authorization"] == "Bearer s3cret"
            assert "Authorization" not in other.asked[0][1]
        assert "s3cret" not in repr(remote)


@pytest.mark.parametrize(("name", "good"), [("data.example.org", True), ("other.example.org", False)])
def test_over_tls_the_certificate_is_the_names_not_the_addresss(tmp_path: Path, name: str, good: bool) -> None:
    file = certificate(tmp_path, name)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(file)
    theirs = ssl.create_default_context(cafile=str(file))
    with FileServer(files={"/a.tif": rpc_tiff(affine_rpc())}, tls=ours) as server:
        host = f"data.example.org:{server.port}"
        hosts = Hosts(internal=(host,), settings=SETTINGS)
        remote = Servers(hosts, resolver=lambda host, port: ["127.0.0.1"], tls=theirs)
        if good:
            assert remote.facts(f"https://{host}", "a.tif") is not None
            assert server.asked[0][1]["Host"] == host
        else:
            with pytest.raises(RemoteDownError, match="CERTIFICATE_VERIFY_FAILED"):
                remote.facts(f"https://{host}", "a.tif")


class TestServersInTrouble:
    @pytest.mark.parametrize(
        ("troubles", "kind"),
        [
            ([status(503), status(429, Retry_After="0")], None),
            ([status(503)] * 9, "Unreachable"),
            ([cut(0)], None),
            ([whole()], "Unreachable"),
            ([status(401)], "NotAllowed"),
            ([status(403)], "NotAllowed"),
            ([status(404)], "ProductMissing"),
            ([status(500)] * 9, "Unreachable"),
        ],
    )
    def test_each_has_its_fault(self, server: FileServer, troubles: list[Trouble], kind: str | None) -> None:
        server.files["/a.tif"] = rpc_tiff(affine_rpc())
        server.troubles["/a.tif"] = list(troubles)
        job = plan(ports_with(servers(server)), f"{server.address}/a.tif")
        assert job.fault_kind == kind

    @pytest.mark.parametrize("told", ["bytes 5-14/100", "bytes 0-9/*", "nonsense", ""])
    def test_another_range_than_asked_for_is_no_answer(self, server: FileServer, told: str) -> None:
        server.files["/a.tif"] = rpc_tiff(affine_rpc())
        server.troubles["/a.tif"] = [lying(told)]
        with pytest.raises(RemoteDownError):
            servers(server).read(server.address, "a.tif", offset=0, length=10)
        assert servers(server).read(server.address, "a.tif", offset=0, length=10) == server.files["/a.tif"][:10]

    def test_what_changes_while_it_is_read_is_not_planned(self, server: FileServer) -> None:
        async def nothing(*_: object) -> None:
            return None

        server.files[f"/{ROME}.zip"] = safe_zip()
        server.troubles[f"/{ROME}.zip"] = [nothing, replaced(safe_zip(extra={"more": b"1"}))]
        job = plan(ports_with(servers(server)), f"{server.address}/{ROME}.zip")
        assert (job.fault_kind, "changed while it was read" in str(job.fault_message)) == ("BrokenProduct", True)

    def test_who_sends_a_byte_a_second_is_not_waited_for(self, server: FileServer) -> None:
        server.files["/a.tif"] = bytes(1000)
        server.troubles["/a.tif"] = [slow(b"", 0.05)] * 3
        began = time.monotonic()
        with pytest.raises(RemoteDownError, match="did not answer within"):
            servers(server, timeout_s=0.3).read(server.address, "a.tif", length=1000)
        assert time.monotonic() - began < 6

    def test_wrong_keys_are_told_apart_from_missing_objects(self, server: FileServer) -> None:
        server.files["/archive/a.tif"] = rpc_tiff(affine_rpc())
        wrong = Bucket.model_validate({"endpoint": server.address, "key_id": KEY[0], "secret": "other"})
        for bucket in (wrong, Bucket(endpoint=server.address)):
            job = plan(ports_with(servers(server, buckets={"archive": bucket})), "s3://archive/a.tif")
            assert job.fault_kind == "NotAllowed"
            assert "ORTHOBURST_PRODUCT_BUCKETS" in str(job.fault_message)
        assert plan(ports_with(servers(server)), "s3://archive/b.tif").fault_kind == "ProductMissing"


class TestStoresOfASite:
    def set_site(self, ports: Ports, address: str | None) -> None:
        hpc, cloud = POOLS.pools
        hpc = hpc.model_copy(update={"local": ("blobs", "archive")})
        stores = [{"name": "blobs"}, {"name": "archive", **({"address": address} if address else {})}]
        site = {"stores": stores, "pools": [json.loads(pool.to_json()) for pool in (hpc, cloud)]}
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(site).encode())

    @pytest.mark.parametrize("scheme", ["http", "s3"])
    def test_planned_through_a_server_and_fetched_where_it_lies(self, server: FileServer, scheme: str) -> None:
        put_folder(server, f"/archive/data/2021/{ROME}.SAFE")
        server.files[f"/archive/data/2021/{ROME}.zip"] = safe_zip()
        if scheme == "http":
            server.keys = {}
        ports = ports_with(servers(server))
        self.set_site(ports, "s3://archive/data" if scheme == "s3" else f"{server.address}/archive/data/")
        ref = f"site://archive/2021/{ROME}"
        folder = task_of(ports, plan(ports, f"{ref}.SAFE"))
        urls = {file.url for file in folder.elsewhere or ()}
        assert f"{ref}.SAFE/manifest.safe" in urls
        assert {f"{ref}.SAFE/{path}" for path in members(ROME) if not path.startswith("preview/")} <= urls
        assert list(folder.input_bytes_at) == ["archive"]
        (file,) = task_of(ports, plan(ports, f"{ref}.zip", "r2")).elsewhere or ()
        assert (file.url, file.foreign) == (f"{ref}.zip", None)

    def test_without_a_server_by_what_was_uploaded_of_it(self) -> None:
        ports = memory_ports()
        self.set_site(ports, None)
        files = members(ROME)
        ref = f"site://archive/2021/{ROME}.SAFE"
        assert plan(ports, ref).fault_kind == "ProductMissing"
        away = {path: {"path": f"2021/{ROME}.SAFE/{path}", "size_bytes": len(data)} for path, data in files.items()}
        text = json.dumps({"store": "archive", "files": away})
        ports.blobs.write("products", f"{ROME}.SAFE/elsewhere.json", text.encode())
        ports.blobs.write("products", f"{ROME}.SAFE/manifest.safe", manifest(files))
        task = task_of(ports, plan(ports, ref, "r2"))
        assert task.products[0].ref == f"products/{ROME}.SAFE"
        assert plan(ports, f"site://archive/1999/{ROME}.SAFE", "r3").fault_kind == "ProductMissing"
        packed = {
            path: {"path": f"2021/{ROME}.zip", "member": f"{ROME}.SAFE/{path}", "size_bytes": len(data)}
            for path, data in files.items()
        }
        text = json.dumps({"store": "archive", "files": packed})
        ports.blobs.write("products", f"{ROME}.SAFE/elsewhere.json", text.encode())
        task = task_of(ports, plan(ports, f"site://archive/2021/{ROME}.zip", "r4"))
        assert task.products[0].ref == f"products/{ROME}.SAFE"
        assert plan(ports, ref, "r5").fault_kind == "ProductMissing"

    def test_what_is_restricted_is_so_by_whatever_name_it_is_asked_for(self, server: FileServer) -> None:
        server.files["/secret/a.tif"] = rpc_tiff(affine_rpc())
        ports = ports_with(servers(server))
        site = {"pools": [json.loads(pool.to_json()) for pool in POOLS.pools], "stores": [{"name": "blobs"}]}
        site["restricted"] = [{"prefix": f"{server.address}/secret/", "readers": ["eva"]}]
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(site).encode())
        assert plan(ports, f"{server.address}/secret/a.tif").fault_kind == "NoAccess"
        assert plan(ports, f"{server.address}/secret/a.tif", user="eva").fault_kind is None


# Source: "Examples: Signature Calculations in AWS Signature Version 4", Amazon S3 API Reference
EXAMPLE = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("path", "headers", "signature"),
    [
        ("test.txt", {"Range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signatures_are_amazons(path: str, headers: dict[str, str], signature: str) -> None:
    url = f"https://examplebucket.s3.amazonaws.com/{path}"
    made = signed_headers(url, headers, EXAMPLE, now=datetime(2013, 5, 24, tzinfo=UTC), region="us-east-1")
    assert made["Authorization"].endswith(f"Signature={signature}")
    assert EXAMPLE.secret not in repr(EXAMPLE)
