"""The package that Azure deploys: complete by itself, without the science, quick to import, and it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobClient

from fakes.otlp import collecting
from fakes.products import affine_rpc, rpc_tiff
from integration.host_stack import wait_for
from localdev.servers import Azurite, FunctionsHost
from orthocontracts import names
from orthofunctions.provision import provision
from packing import functions, lock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.version_info[:2] != functions.PYTHON and shutil.which("python3.11") is None,
        reason="the function app runs on Python 3.11, which is not here",
    ),
]

SCIENCE = {"numba", "llvmlite", "numpy", "rasterio", "pyproj", "h5py", "scipy", "aiohttp"}
PEERS = (
    "import azure.functions, azurefunctions.extensions.bindings.blob, azure.storage.queue, azure.data.tables, pydantic"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "app"
    functions.build_folder(folder)
    return folder


def packages_in(folder: Path) -> set[str]:
    return {lock.normal(path.name.split("-")[0]) for path in folder.glob("*.dist-info")}


def test_the_folder_has_what_the_lock_says_and_nothing_of_the_science(package: Path) -> None:
    installed = packages_in(package / functions.SITE_PACKAGES)
    wanted = {one["name"] for one in json.loads((package / "bom.json").read_text())["components"]}
    assert installed == wanted
    assert not installed & SCIENCE
    assert sorted(path.name for path in package.iterdir() if path.name != "__pycache__") == [
        ".python_packages", "bom.json", "function_app.py", "host.json",
    ]  # fmt: skip
    compiled = [path for path in package.rglob("*.so*") if ".so" in path.suffixes]
    assert compiled
    assert all("x86_64" in path.name or "abi3" in path.name for path in compiled)


def test_the_zip_holds_the_folder_and_is_the_same_every_time(package: Path, tmp_path: Path) -> None:
    for name in ("first.zip", "second.zip"):
        functions.write_zip(package, tmp_path / name)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert {"function_app.py", "host.json"} <= set(archive.namelist())
        archive.extractall(tmp_path / "unzipped")
    # What was zipped is not compiled again where it lands, read-only and with other times.
    said = subprocess.run(
        [functions.find_python(), "-I", "-S", "-v", "-c",
         "import sys; sys.path[:0] = sys.argv[1:]; import orthofunctions.ports",
         str(tmp_path / "unzipped" / functions.SITE_PACKAGES)],
        capture_output=True, text=True, check=True, timeout=60,
    ).stderr  # fmt: skip
    assert "matches" in said
    assert "wrote" not in said


def test_importing_the_app_takes_little_more_than_the_clients_it_is_made_of(package: Path) -> None:
    """What is promised, 1.5 s, is measured by ``./local-dev/bench package``; here others use the machine too.

    Turn by turn, so that a machine which slows down slows both, and until the best of each say it: of five they are 1.7
    to 2.0 apart.
    """
    command = [
        functions.find_python(), "-I", "-S", "-B", "-c",
        f"import sys, time; sys.path.insert(0, sys.argv[1]); {PEERS}; print(time.process_time())",
        str(package / functions.SITE_PACKAGES),
    ]  # fmt: skip
    ours: list[float] = []
    peers: list[float] = []
    while len(ours) < 5 or (min(ours) >= 2.1 * min(peers) and len(ours) < 15):
        peers.append(float(subprocess.run(command, capture_output=True, check=True).stdout))
        ours += [run.cpu_s for run in functions.cold_imports(package, 1)]
    assert min(ours) < 2.1 * min(peers), f"{min(ours):.2f} s of processor, the clients alone take {min(peers):.2f}"


def test_importing_the_app_loads_nothing_that_only_some_calls_need(package: Path) -> None:
    said = subprocess.run(
        [functions.find_python(), "-I", "-S", "-B", "-c",
         "import sys; sys.path[:0] = sys.argv[1:]; import function_app; print(*sys.modules)",
         str(package / functions.SITE_PACKAGES), str(package)],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    found = set(said)
    assert "orthofunctions.triggers.requests" in found
    assert not found & {"fastapi", "starlette", "azure.monitor", "opentelemetry.sdk", "google.protobuf", "aiohttp"}


def test_the_package_sends_telemetry_both_ways(package: Path) -> None:
    """By nothing but what is in it, Azure's exporter too, whose asynchronous half is not."""
    script = (
        "import sys, logging; sys.path[:0] = sys.argv[1:]\n"
        "from orthofunctions.bootstrap import system\n"
        "with system().ports.tracer.span('plan'):\n"
        "    logging.getLogger('orthofunctions').warning('a line', extra={'action': 'tried'})\n"
        "assert system().telemetry.flush(30)\n"
        "system().close()\n"
    )
    with collecting() as collector:
        where = f"InstrumentationKey=00000000-0000-0000-0000-0000feedbeef;IngestionEndpoint={collector.url}/"
        environ = {
            "PATH": "/usr/bin:/bin",
            "ORTHOBURST_STORAGE": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aaaa",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": where,
        }
        subprocess.run(
            [functions.find_python(), "-I", "-S", "-B", "-c", script,
             str(package / functions.SITE_PACKAGES), str(package)],
            check=True, timeout=60, env=environ,
        )  # fmt: skip
        assert [span.name for span in collector.spans] == ["plan"]
        assert [line.about["action"] for line in collector.logs] == ["tried"]
        assert {item["data"]["baseType"] for item in collector.items} == {"RequestData", "MessageData"}


@pytest.fixture(scope="module")
def host(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FunctionsHost, Azurite]]:
    """Our host, on the standard library, the package and what of aiohttp the host itself needs; no site-packages."""
    folder = tmp_path_factory.mktemp("packaged")
    pins = lock.read_lock()
    ours = {pin.name for pin in lock.part_for(functions.EXTRAS, pins, without=functions.WITHOUT)}
    own = [pin.text for pin in lock.part_for(functions.EXTRAS, pins) if pin.name not in ours]
    (folder / "own.lock").write_text("".join(own))
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*uv, "--target", str(folder / "own"), "--require-hashes", "-r", str(folder / "own.lock")], check=True
    )
    with Azurite(folder / "azurite") as azurite:
        provision(azurite.connection_string)
        host = FunctionsHost(
            package,
            folder,
            {"AzureWebJobsStorage": azurite.connection_string, "PYTHONDONTWRITEBYTECODE": "1"},
            python=[functions.find_python(), "-S"],
            python_path=[package / functions.SITE_PACKAGES, folder / "own"],
        )
        with host:
            yield host, azurite


def test_the_package_answers_http_and_takes_messages(host: tuple[FunctionsHost, Azurite]) -> None:
    functions_host, azurite = host
    image = BlobClient.from_connection_string(azurite.connection_string, names.CONTAINER_PRODUCTS, "b.tif")
    image.upload_blob(rpc_tiff(affine_rpc()))
    inputs = {"products": ["products/b.tif"], "grid": {"kind": "footprint", "spacing_m": 2}, "terrain": {"height_m": 1}}
    with httpx.Client(base_url=functions_host.url, timeout=60) as http:
        accepted = http.post("/processes/orthorectify/execution", json={"inputs": inputs})
        assert accepted.status_code == 201, accepted.text
        job = f"/jobs/{accepted.json()['jobID']}"
        # The message on queue `requests` has been planned: only then it is known how many images there will be.
        wait_for(lambda: http.get(job).json().get("message") == "0 of 1 images are there")
