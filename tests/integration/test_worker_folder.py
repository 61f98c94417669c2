"""The worker's image, by its own steps in a plain folder: read-only, for another user, with nothing left to compile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyproj
import pytest

from fakes.otlp import collecting, facts
from integration.worker_kit import Storage, until
from localdev.scene import RpcSpec, SceneSpec, make_rpc_image, make_sentinel1
from localdev.servers.process import free_ports
from orthocontracts.outputs import GridSpec
from orthocontracts.version import KERNEL_RESULT_VERSION
from packing import lock

pytestmark = [pytest.mark.slow, pytest.mark.parallel]

IMAGE = lock.ROOT / "infra" / "image"
NOBODY = 65534
PATH = "/usr/local/bin:/usr/bin:/bin"


def usable_python(user: int | None) -> str | None:
    """An interpreter that the worker's user may run: root's own is often out of other users' reach."""
    candidates = [getattr(sys, "_base_executable", sys.executable)]
    candidates += [f"/usr/bin/python3.{minor}" for minor in (11, 12, 13)]
    for candidate in candidates:
        try:
            subprocess.run([candidate, "-c", "import json"], user=user, check=True, capture_output=True, cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(candidate)
    return None


class WorkerFolder:
    """``infra/image/folder``'s work, and a scratch folder, both of which the worker's user may look into."""

    def __init__(self, top: Path) -> None:
        self.home, self.scratch = top / "home", top / "scratch"
        # Root builds for another; who is not root already is somebody else.
        self.user = NOBODY if os.geteuid() == 0 else None
        python = usable_python(self.user)
        if python is None:
            pytest.skip("no Python 3.11 to 3.13 here that a user without rights may run")
        done = subprocess.run(
            [str(IMAGE / "folder"), str(self.home), python],
            env={**os.environ, "TOOLS_PYTHON": sys.executable}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.scratch.mkdir()
        if self.user is not None:
            os.chown(self.scratch, NOBODY, NOBODY)

    def start(
        self, *arguments: str, environ: Mapping[str, str] | None = None, **settings: object
    ) -> subprocess.Popen[str]:
        """What a container does, with nothing of this environment."""
        given = {
            "scratch": self.scratch / "tasks",
            "cache": self.scratch / "compiled",
            "agent": "folder-worker",
            **settings,
        }
        env = {"PATH": PATH, "HOME": str(self.scratch), **(environ or {})}
        env |= {f"ORTHOAGENT_{name.upper()}": str(value) for name, value in given.items()}
        return self._popen([str(self.home / "bin" / "start"), *arguments], env)

    def healthy(self, port: int, *arguments: str) -> int:
        command = [str(self.home / "bin" / "healthy"), *arguments]
        process = self._popen(command, {"PATH": PATH, "ORTHOAGENT_HEALTH_PORT": str(port)})
        process.communicate(timeout=30)
        return process.returncode

    def compiled(self) -> set[str]:
        """Names of pieces of machine code in the worker's own copy."""
        return {path.name for path in (self.scratch / "compiled").rglob("*.nbc")}

    def _popen(self, command: list[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        groups: dict[str, Any] = (
            {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        )
        return subprocess.Popen(
            command, env=env, cwd=self.scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **groups
        )


@pytest.fixture(scope="module")
def folder() -> Iterator[WorkerFolder]:
    # Not pytest's own folder, which is closed to other users.
    top = Path(tempfile.mkdtemp(prefix="orthoburst-worker-"))
    top.chmod(0o755)
    try:
        yield WorkerFolder(top)
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(top)], check=True)
        shutil.rmtree(top)


def snapshot(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in home.rglob("*")}


def test_the_folder_is_read_only_and_dated_to_the_second_as_layers_are(folder: WorkerFolder) -> None:
    inside = [folder.home, *folder.home.rglob("*")]
    assert not [path for path in inside if not path.is_symlink() and path.stat().st_mode & 0o222]
    sources = list(folder.home.glob("lib/python3*/site-packages/orthokernel/**/*.py"))
    assert sources
    assert {path.stat().st_mtime_ns % 10**9 for path in sources} == {0}
    installed = {lock.normal(path.name.split("-")[0]) for path in folder.home.rglob("*.dist-info")}
    bill = json.loads((folder.home / "share" / "bom.json").read_text())
    assert installed == {one["name"] for one in bill["components"]}


def test_a_user_without_rights_works_in_it_and_compiles_nothing(folder: WorkerFolder, storage: Storage) -> None:
    before = snapshot(folder.home)
    image = folder.scratch.parent / "image.tif"
    make_rpc_image(RpcSpec(out_file=image, centre_lonlat_deg=(12.5, 42.0), size_lines_samples=(700, 700), threads=1))
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(12.5, 42.0)
    grid = GridSpec(epsg=32633, left=round(x) - 120, top=round(y) + 150, spacing=2, n_rows=150, n_cols=120)
    task = storage.release({}, product=image.read_bytes(), grid=grid, time_limit_s=300)

    (port,) = free_ports(1)
    place = {"storage": storage.connection, "pool": storage.pool}
    worker = folder.start("run", "--until-empty", "--linger", "3", **place, poll_down_s=0.5, health_port=port)
    try:
        until(lambda: worker.poll() is not None or folder.healthy(port) == 0, "the worker to be ready", 120)
        assert worker.poll() is None, worker.communicate()[1][-3000:]
        process = psutil.Process(worker.pid)
        assert folder.user is None or set(process.uids()) == {folder.user}
        assert storage.faults(storage.report(task, "finished", 240)) == []
        assert worker.wait(60) == 0  # its queue stayed empty
    finally:
        worker.kill()
        worker.communicate()
    assert folder.healthy(port) == folder.healthy(port, "--alive") == 1

    assert folder.compiled() == {path.name for path in (folder.home / "compiled").rglob("*.nbc")}
    assert snapshot(folder.home) == before


def test_products_of_sentinel_1_compile_nothing_either(folder: WorkerFolder, tmp_path: Path) -> None:
    cache = tmp_path / "compiled"
    shutil.copytree(folder.home / "compiled", cache)
    subprocess.run(["chmod", "-R", "u+w", str(cache)], check=True)
    before = {path.name for path in cache.rglob("*.nbc")}
    assert {"warp_part", "ground_to_image", "image_to_ground"} <= {name.split("-")[0].split(".")[-1] for name in before}
    environment = {"PATH": PATH, "NUMBA_CACHE_DIR": str(cache / f"numba-r{KERNEL_RESULT_VERSION}")}
    command = ["sh", "-c", '. "$0/share/processor"; exec "$0/bin/orthokernel" ortho "$@"', str(folder.home)]
    spec = SceneSpec(tmp_path, size_lines_samples=(200, 200), fractal_seed=1, zip_it=True)
    for resampling, ipf_version in (("bilinear", "003.40"), ("average", "002.72")):
        scene = make_sentinel1(replace(spec, ipf_version=ipf_version))
        asked = [str(scene.path), "-o", str(tmp_path / "out.tif"), "--tile", "33TTG", "--dem", str(scene.dem_path)]
        for radiometry in ("sigma0", "gamma0_rtc"):
            how = ["--resampling", resampling, "--radiometry", radiometry]
            subprocess.run([*command, *asked, *how], env=environment, check=True, capture_output=True, timeout=300)
    assert {path.name for path in cache.rglob("*.nbc")} == before


def test_traces_of_a_delivery_leave_it(folder: WorkerFolder, storage: Storage) -> None:
    image = folder.scratch.parent / "another.tif"
    make_rpc_image(RpcSpec(out_file=image, centre_lonlat_deg=(12.5, 42.0), size_lines_samples=(300, 300), threads=1))
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(12.5, 42.0)
    grid = GridSpec(epsg=32633, left=round(x) - 40, top=round(y) + 50, spacing=2, n_rows=50, n_cols=40)
    storage.release({}, product=image.read_bytes(), grid=grid, time_limit_s=300)
    place = {"storage": storage.connection, "pool": storage.pool}
    with collecting() as server:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
        worker = folder.start("run", "--until-empty", "--linger", "1", environ=environ, **place, poll_down_s=0.5)
        try:
            assert worker.wait(240) == 0, worker.communicate()[1][-3000:]
        finally:
            worker.kill()
            worker.communicate()
        assert {span.name for span in server.whole} == {"delivery", "fetch", "compute", "deliver"}
        assert [facts(span)["orthoburst.outcome"] for span in server.whole_named("delivery")] == ["done"]


def test_a_worker_that_waits_for_storage_is_alive_and_not_ready(folder: WorkerFolder) -> None:
    port, nothing = free_ports(2)
    nowhere = (
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
        f"BlobEndpoint=http://127.0.0.1:{nothing}/a;QueueEndpoint=http://127.0.0.1:{nothing}/a;"
    )
    worker = folder.start("run", storage=nowhere, pool="cloud", warm="false", health_port=port)
    try:
        until(lambda: worker.poll() is not None or folder.healthy(port, "--alive") == 0, "it to be alive")
        time.sleep(1)
        assert folder.healthy(port) == 1
        assert folder.healthy(port, "--alive") == 0
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.communicate()


def test_the_doctor_finds_the_kernel_compiled(folder: WorkerFolder, storage: Storage) -> None:
    examined = folder.start("doctor", "--json", storage=storage.connection, pool=storage.pool)
    said, complaint = examined.communicate(timeout=240)
    assert examined.returncode == 0, complaint
    findings = {one["check"]: one for one in json.loads(said)}
    assert {one["mark"] for one in findings.values()} <= {"ok", "warn"}
    assert findings["kernel"]["mark"] == "ok"
    assert folder.compiled() == {path.name for path in (folder.home / "compiled").rglob("*.nbc")}
