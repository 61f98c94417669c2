"""A world for the worker's tests: real storage, tickets as the dispatcher writes them, agents as real processes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas
from azure.storage.queue import QueueServiceClient

from localdev.servers import Azurite
from localdev.servers.azurite import ACCOUNT, KEY
from orthocontracts import names
from orthocontracts.inputs import InputFile
from orthocontracts.messages import Fault, Release, Report
from orthocontracts.outputs import GridSpec, OutputSpec, ResolvedTerrain, Source, file_kinds
from orthocontracts.requests import Options
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import Delivery, OutputFile, Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION

T = TypeVar("T")
TESTS = Path(__file__).resolve().parents[1]
PLAIN = Options()
TOKEN = "5ea1" * 16
PATIENCE_S = 60.0
"""Long, for machines that do much else: no test takes it unless it fails."""


def until(found: Callable[[], T | None], what: str, limit_s: float = PATIENCE_S) -> T:
    """The first true answer; fails the test when none comes in time."""
    end = time.monotonic() + limit_s
    while True:
        is_last = time.monotonic() >= end  # before it looks: where the machine stood still there is one more look
        answer = found()
        if answer:
            return answer
        assert not is_last, f"waited {limit_s:g} s in vain for {what}"
        time.sleep(0.05)


def digest_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Storage:
    """One pool of its own in the shared emulator, seen as the functions see it."""

    def __init__(self, azurite: Azurite) -> None:
        self.azurite = azurite
        self.connection = azurite.connection_string
        """What agents are given: a test may put something in between."""
        self.pool = f"p{uuid4().hex[:8]}"
        self.queues = QueueServiceClient.from_connection_string(azurite.connection_string)
        self.blobs = BlobServiceClient.from_connection_string(azurite.connection_string)
        self.pool_queue = self.queues.get_queue_client(names.pool_queue(self.pool, KERNEL_RESULT_VERSION))
        self.reports: list[Report] = []
        self._results = self.queues.get_queue_client(names.QUEUE_RESULTS)
        self._tickets = self.blobs.get_container_client(names.ticket_container(self.pool))
        for make in (
            self.pool_queue.create_queue,
            self._results.create_queue,
            self.queues.get_queue_client(names.QUEUE_CAPACITY).create_queue,
            self._tickets.create_container,
            self.blobs.get_container_client(names.CONTAINER_PRODUCTS).create_container,
            self.blobs.get_container_client(names.CONTAINER_RESULTS).create_container,
        ):
            with contextlib.suppress(ResourceExistsError):
                make()

    def close(self) -> None:
        self.queues.close()
        self.blobs.close()

    def release(
        self,
        script: dict[str, object],
        *,
        tiles: tuple[str, ...] = ("33TTG",),
        release: int = 1,
        time_limit_s: float = 60,
        end_s: float | None = None,
        expected_s: float | None = None,
        links_s: float = 3600,
        deliveries: int = 8,
        md5: str | None = None,
        with_ticket: bool = True,
        options: Options = PLAIN,
        product: bytes | None = None,
        grid: GridSpec | None = None,
        traceparent: str | None = None,
        uploads_to: str | None = None,
    ) -> str:
        """Release a task; its id. Its one product is the script, unless there is a real one, for the real kernel.

        ``uploads_to`` is another server for the images than the storage.
        """
        task_id = f"j{uuid4().hex[:12]}-0001"
        body = json.dumps(script).encode() if product is None else product
        name = f"{task_id}/scene.tif"
        self.blobs.get_blob_client(names.CONTAINER_PRODUCTS, name).upload_blob(body)
        source = Source(ref=f"products/{name}", content="x", size_bytes=len(body))
        expires = datetime.now(UTC) + timedelta(seconds=links_s)
        outputs = tuple(
            OutputSpec(
                digest=digest_of(task_id + tile),
                title=tile,
                grid=grid or GridSpec(epsg=32633, left=3e5, top=5e6, spacing=10, n_rows=100, n_cols=100, tile=tile),
            )
            for tile in tiles
        )
        ticket = Ticket(
            spec=TaskSpec(
                task_id=task_id,
                job_id=task_id[:-5],
                user="local",
                process="orthorectify",
                result_version=KERNEL_RESULT_VERSION,
                products=(source,),
                terrain=ResolvedTerrain(height_m=0.0),
                options=options,
                outputs=outputs,
                created_at=datetime.now(UTC),
            ),
            release=release,
            pool=self.pool,
            token=TOKEN,
            wanted=tuple(output.digest for output in outputs),
            inputs=(
                InputFile(
                    path=source.ref,
                    url=self._link(names.CONTAINER_PRODUCTS, name, BlobSasPermissions(read=True), expires),
                    size_bytes=len(body),
                    md5=md5 or hashlib.md5(body).hexdigest(),
                ),
            ),
            deliveries=tuple(
                Delivery(
                    number=number,
                    files={
                        output.digest: {
                            kind: self._create_only(
                                names.result_blob(task_id, release, number, output.digest, kind), expires, uploads_to
                            )
                            for kind in file_kinds(options)
                        }
                        for output in outputs
                    },
                )
                for number in range(1, deliveries + 1)
            ),
            time_limit_s=time_limit_s,
            end_s=end_s,
            expected_s=expected_s,
            expires_at=expires,
        )
        if with_ticket:
            self._tickets.upload_blob(names.ticket_blob(task_id, release), ticket.to_json())
        self.send(Release(task_id=task_id, release=release, traceparent=traceparent).to_json())
        return task_id

    def send(self, body: str) -> None:
        self.send_raw(base64.b64encode(body.encode()).decode())

    def send_raw(self, text: str) -> None:
        self.pool_queue.send_message(text, time_to_live=-1)

    def withdraw_ticket(self, task_id: str, release: int = 1) -> None:
        self._tickets.delete_blob(names.ticket_blob(task_id, release))

    def messages_left(self) -> int:
        """Messages on the pool queue, hidden ones included."""
        return self.pool_queue.get_queue_properties().approximate_message_count or 0

    def reports_of(self, task_id: str) -> list[Report]:
        """All reports so far, in order of arrival."""
        for message in self._results.receive_messages(messages_per_page=32):
            self.reports.append(Report.model_validate_json(base64.b64decode(message.content)))
            self._results.delete_message(message)
        return [report for report in self.reports if report.task_id == task_id]

    def report(self, task_id: str, kind: str, limit_s: float = PATIENCE_S) -> Report:
        """The next report of a kind about a task; waits for it."""

        def found() -> Report | None:
            return next((report for report in self.reports_of(task_id) if report.kind == kind), None)

        return until(found, f"a report '{kind}' of {task_id}", limit_s)

    def faults(self, report: Report) -> list[Fault]:
        return [verdict.fault for verdict in report.verdicts if verdict.fault is not None]

    def blob(self, path: str) -> bytes:
        container, _, name = path.partition("/")
        body = self.blobs.get_blob_client(container, name).download_blob().readall()
        assert isinstance(body, bytes)
        return body

    def _create_only(self, name: str, expires: datetime, server: str | None) -> OutputFile:
        url = self._link(names.CONTAINER_RESULTS, name, BlobSasPermissions(create=True), expires)
        if server is not None:
            url = server + url[url.index("/", len("https://")) :]
        return OutputFile(blob=f"{names.CONTAINER_RESULTS}/{name}", url=url)

    def _link(self, container: str, name: str, permission: BlobSasPermissions, expires: datetime) -> str:
        sas = generate_blob_sas(ACCOUNT, container, name, account_key=KEY, permission=permission, expiry=expires)
        return f"{self.blobs.get_blob_client(container, name).url}?{sas}"


def orthoagent(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """The command as typed, until it ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORTHOAGENT_")}
    given = {f"ORTHOAGENT_{name.upper()}": str(value) for name, value in settings.items()}
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "orthoagent", *arguments],
        env=kept | given | {"PYTHONPATH": path},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


class Agent:
    """``python -m orthoagent`` as a process of its own; its log is read as events."""

    def __init__(
        self,
        storage: Storage,
        folder: Path,
        /,
        *arguments: str,
        name: str | None = None,
        environ: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        self.name = name or f"a{uuid4().hex[:8]}"
        self.folder = folder
        self.log_path = folder / f"{self.name}-{uuid4().hex[:4]}.log"
        hidden = {name for name in os.environ if name.startswith("ORTHOAGENT_")}
        given = {
            "storage": storage.connection,
            "agent": self.name,
            "pool": storage.pool,
            "scratch": folder / "scratch",
            "cache": folder / "cache",
            "compute": "integration.worker_compute:act",
            "lease_s": 3,
            "poll_down_s": 0.3,
            "status_min_s": 0.2,
            "log_level": "DEBUG",
            **settings,
        }
        environment = {name: value for name, value in os.environ.items() if name not in hidden} | {
            f"ORTHOAGENT_{name.upper()}": str(value) for name, value in given.items() if value is not None
        }
        environment |= environ or {}
        # what the caller imports, the agent imports: a checkout beside the installed one tests itself
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orthoagent", *(arguments or ("run",))], env=environment, stderr=log
            )

    def events(self, action: str) -> list[dict[str, object]]:
        found = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("action") == action:
                    found.append(event)
        return found

    def wait_for(self, action: str, limit_s: float = PATIENCE_S, **fields: object) -> dict[str, object]:
        def found() -> dict[str, object] | None:
            for event in self.events(action):
                if all(event.get(name) == value for name, value in fields.items()):
                    return event
            assert self.process.poll() is None or limit_s < 2, f"{self.name} ended:\n{self.log_path.read_text()}"
            return None

        try:
            return until(found, f"'{action}' {fields} of {self.name}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_path.read_text()[-4000:]}") from None

    def child_pid(self, task_id: str, delivery: int = 1, release: int = 1) -> int:
        """Process id of the compute child that works on a task."""
        path = self.folder / "scratch" / self.name / f"{task_id}-{release}-{delivery}" / "out" / "pid"

        def found() -> str | None:
            return path.read_text() if path.exists() else None

        return int(until(found, f"a child of {self.name} at work on {task_id}"))

    def end(self, limit_s: float = PATIENCE_S) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.process.wait(limit_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextlib.contextmanager
def agents(storage: Storage, folder: Path) -> Iterator[Callable[..., Agent]]:
    """Starts agents; none outlives the block."""
    started: list[Agent] = []

    def start(*arguments: str, **settings: object) -> Agent:
        agent = Agent(storage, folder, *arguments, **settings)  # type: ignore[arg-type]
        started.append(agent)
        return agent

    try:
        yield start
    finally:
        for agent in started:
            agent.kill()
