"""Start and stop everything, in the order that lets each part find what it needs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from localdev.servers import Azurite, Broker, Server
from localdev.servers.process import free_ports
from localdev.stack.cloud import CloudPool
from localdev.stack.settings import SITE_STORE, write_pools
from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION

TOP = Path(__file__).resolve().parents[3]
SOURCE_ROOTS = ("contracts", "kernel", "agent", "functions", "client", "local-dev")
HPC_POOL = "hpc"
CLOUD_POOL = "cloud"


@dataclass(frozen=True)
class StackSpec:
    """What to start.

    Attributes
    ----------
    folder : Path
        Data, scratch and logs.
    agents, slots : int
        On-prem agents, and the tasks each runs at a time.
    cloud_limit : int
        Most cloud workers at a time; 0 starts none.
    cloud_startup_s, cloud_linger_s : float
        How long a cloud worker takes to come, and how long it waits for more work before it leaves.
    patience_s : float
        How long a task without deadline waits for the on-prem pool before the cloud may take it.
    lease_s : int
        Visibility timeout of a running task's message.
    host_lease_s : float
        How long messages that a killed functions host had taken stay hidden (Azure: 10 minutes).
    api_port : int, optional
        Loopback port of the HTTP door; a free one by default.
    site_store : Path, optional
        A folder that on-prem agents have as store "site", and where their images stay.
    blob_database : str, optional
        Where the emulator keeps what it knows of blobs, for loads that it has not enough time for (see `Azurite`).
    worker, functions : mapping
        Further environment of workers and functions host (tests shorten intervals with it).
    worker_of : mapping
        Further environment of single workers, by name.
    functions_from, workers_from : Path, optional
        Other source trees than this one that functions host and workers run from: of another release.
    """

    folder: Path
    agents: int = 2
    slots: int = 1
    cloud_limit: int = 2
    cloud_startup_s: float = 3.0
    cloud_linger_s: float = 5.0
    patience_s: float = 15.0
    lease_s: int = 60
    host_lease_s: float = 60.0
    api_port: int | None = None
    site_store: Path | None = None
    blob_database: str | None = None
    worker: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    worker_of: dict[str, dict[str, str]] = field(default_factory=dict)
    functions_from: Path = TOP
    workers_from: Path = TOP


Between = Callable[[Azurite], AbstractContextManager[str]]
"""Something that functions and workers reach storage through: the connection string they are given instead."""


class Stack:
    """The running system. A context manager: leaving it stops every process it started."""

    def __init__(self, spec: StackSpec, between: Between | None = None) -> None:
        self.spec = spec
        self._between = between
        self._storage = ""
        self.logs = spec.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.azurite = Azurite(spec.folder / "azurite", blob_database=spec.blob_database)
        self.broker = Broker(spec.folder / "broker")
        self.api_port = spec.api_port or free_ports(1)[0]
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self._host: Server | None = None
        self.presence: Server | None = None
        self.agents: list[Server] = []
        self.cloud: CloudPool | None = None
        self.functions_from, self.workers_from = spec.functions_from, spec.workers_from
        self._exits = contextlib.ExitStack()

    @property
    def host(self) -> Server:
        """The functions host."""
        if self._host is None:
            raise RuntimeError("the stack is not started")
        return self._host

    def addresses(self) -> dict[str, str]:
        """Where it listens: for people and programs that use it."""
        return {"api": self.api_url, "storage": self.azurite.connection_string, "broker": self.broker.url}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _start(self) -> None:
        self._enter(self.azurite)
        self._storage = self.azurite.connection_string
        if self._between is not None:
            self._storage = self._exits.enter_context(self._between(self.azurite))
        self._enter(self.broker)
        write_pools(self.azurite.connection_string, self.spec)
        self.provision()
        # Storage and broker have their ports only once they run; the rest starts side by side.
        self._host = self._make_host()
        self.presence = self._make_presence()
        self.agents = [self.make_worker(f"node-{number}", HPC_POOL) for number in range(1, self.spec.agents + 1)]
        programs = [self._host, self.presence, *self.agents]
        self._exits.callback(self._stop_programs)
        with ThreadPoolExecutor(len(programs)) as pool:
            for started in [pool.submit(program.start) for program in programs]:
                started.result()
        if self.spec.cloud_limit:
            self.cloud = CloudPool(
                connection=self.azurite.connection_string,
                queue=names.pool_queue(CLOUD_POOL, KERNEL_RESULT_VERSION),
                limit=self.spec.cloud_limit,
                startup_s=self.spec.cloud_startup_s,
                make_worker=lambda number: self.make_worker(f"container-{number}", CLOUD_POOL),
            )
            self._exits.callback(self.cloud.stop)
            self.cloud.start()

    def _enter(self, server: Server) -> None:
        self._exits.callback(server.stop)
        server.start()

    def _stop_programs(self) -> None:
        for program in (*reversed(self.agents), self.presence, self._host):
            if program is not None:
                program.stop()

    def provision(self) -> None:
        """Make what the functions' release needs in storage; what is there stays."""
        subprocess.run(
            [sys.executable, "-m", "orthofunctions.provision"],
            env={
                **os.environ,
                "AzureWebJobsStorage": self.azurite.connection_string,
                **_imports_from(self.functions_from),
            },
            check=True,
            stdout=subprocess.DEVNULL,
        )

    # Each in the place of one that has been stopped: from then on it is of the release that was chosen meanwhile.

    def renew_agent(self, number: int) -> Server:
        """Not yet started."""
        self.agents[number] = self.make_worker(self.agents[number].name, HPC_POOL)
        return self.agents[number]

    def renew_presence(self) -> Server:
        self.presence = self._make_presence()
        return self.presence

    def renew_host(self) -> Server:
        self._host = self._make_host()
        return self._host

    def _make_host(self) -> Server:
        return Server(
            "functions-host",
            [
                *(sys.executable, "-m", "localdev.host"),
                *("--app", str(self.functions_from / "functions")),
                *("--port", str(self.api_port)),
                *("--queue-lease-s", str(self.spec.host_lease_s)),
            ],
            log=self.logs / "functions-host.log",
            ready=r'"api"',
            env={
                "PYTHONPATH": f"{TOP / 'local-dev'}",
                **_imports_from(self.functions_from),
                "AzureWebJobsStorage": self._storage,
                "ORTHOBURST_BROKER": self.broker.url,
                "ORTHOBURST_LOCAL_USER": "true",  # beside API keys that somebody tries here
                "ORTHOBURST_PATIENCE_S": str(self.spec.patience_s),
                "ORTHOBURST_NEIGHBOUR_WAIT_S": "0",  # scenes of one's own rarely have any
                **self.spec.functions,
            },
        )

    def _make_presence(self) -> Server:
        return Server(
            "presence",
            [_script("orthoagent"), "presence"],
            log=self.logs / "presence.log",
            ready=r"presence_listens",
            env=self._worker_environment(),
        )

    def make_worker(self, name: str, pool: str) -> Server:
        """A worker of a pool, not yet started: a daemon on-prem, one that leaves by itself in the cloud."""
        in_cloud = pool == CLOUD_POOL
        return Server(
            name,
            [_script("orthoagent"), "run", *(["--until-empty"] if in_cloud else [])],
            log=self.logs / f"{name}.log",
            ready=r"worker_ready",
            ready_timeout_s=300.0,  # the first start on a machine compiles the kernel
            env={
                **self._worker_environment(),
                "ORTHOAGENT_AGENT": name,
                "ORTHOAGENT_POOL": pool,
                "ORTHOAGENT_SLOTS": str(1 if in_cloud else self.spec.slots),
                "ORTHOAGENT_LINGER_S": str(self.spec.cloud_linger_s),
                **self._stores(pool),
                **self.spec.worker_of.get(name, {}),
            },
        )

    def _stores(self, pool: str) -> dict[str, str]:
        store = self.spec.site_store
        return {"ORTHOAGENT_STORES": json.dumps({SITE_STORE: str(store)})} if store and pool == HPC_POOL else {}

    def _worker_environment(self) -> dict[str, str]:
        return {
            "ORTHOAGENT_STORAGE": self._storage,
            "ORTHOAGENT_BROKER": self.broker.url,
            "ORTHOAGENT_SCRATCH": str(self.spec.folder / "scratch"),
            "ORTHOAGENT_LEASE_S": str(self.spec.lease_s),
            "ORTHOAGENT_STATUS_MIN_S": "1",  # progress for people who watch
            **_imports_from(self.workers_from, self.spec.worker.get("PYTHONPATH", "")),
            **{name: value for name, value in self.spec.worker.items() if name != "PYTHONPATH"},
        }


def _imports_from(tree: Path, beside: str = "") -> dict[str, str]:
    """Environment in which Python imports our packages from a tree: before those that are installed."""
    path = os.pathsep.join(filter(None, ("" if tree == TOP else source_path(tree), beside)))
    return {"PYTHONPATH": path} if path else {}


def source_path(tree: Path) -> str:
    """What ``PYTHONPATH`` has to be for our packages of a source tree."""
    return os.pathsep.join(str(tree / name) for name in SOURCE_ROOTS)


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
