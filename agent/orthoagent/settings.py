"""What one worker is told, from variables that start with ``ORTHOAGENT_``."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orthocontracts.brokers import BrokerAddress
from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import Hosts
from orthocontracts.model import Identifier
from orthocontracts.version import KERNEL_RESULT_VERSION


def _host_as_id() -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63]
    return name or "agent"


def _own_cache() -> Path:
    """Nodes of a batch system share the home, and must not share this."""
    folder = Path.home() / ".cache" / "orthoagent"
    is_batch_job = {"SLURM_JOB_ID", "PBS_JOBID"} & os.environ.keys()
    return folder / socket.gethostname() if is_batch_job else folder


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


Folder = Annotated[Path, AfterValidator(_absolute)]

BATCH_JOBS = ("pilot-", "slurm-")
"""How ids of agents begin that live for one batch job, never come back, and leave nothing on their node."""


class BrokerSettings(BaseSettings):
    """What every command of ``orthoagent`` takes."""

    model_config = SettingsConfigDict(env_prefix="ORTHOAGENT_", extra="ignore", frozen=True)

    broker: SecretStr | None = Field(
        default=None,
        description="mqtt://user:password@host:port, mqtts:// for TLS, ws:// or wss://host/path for WebSocket; without "
        "it the worker polls and says nothing",
    )
    broker_ca_file: FilePath | None = Field(
        default=None, description="PEM file with the broker's certificate authority; the system's by default"
    )
    broker_cert_file: FilePath | None = Field(
        default=None, description="PEM file with this agent's client certificate, whose common name is its id"
    )
    broker_key_file: FilePath | None = Field(default=None, description="PEM file with the certificate's private key")
    echo_timeout_s: float = Field(
        default=10, gt=0, description="how long a first publish may take to come back before rights count as denied"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    @model_validator(mode="after")
    def _broker_can_be_used(self) -> Self:
        if self.broker is not None:
            self.broker_address()
        return self

    def broker_address(self) -> BrokerAddress:
        """Raises ValueError where it cannot be used."""
        assert self.broker is not None
        files = (self.broker_ca_file, self.broker_cert_file, self.broker_key_file)
        ca_file, cert_file, key_file = (str(file) if file is not None else None for file in files)
        url = self.broker.get_secret_value()
        return BrokerAddress.of(url, ca_file=ca_file, cert_file=cert_file, key_file=key_file)


class StorageSettings(BrokerSettings):
    """What ``orthoagent presence`` needs on top."""

    grant: Folder | None = Field(
        default=None,
        description="file of a pool's grant (python -m orthofunctions.grant), which nobody else may read; a new one in "
        "its place is taken up within seconds",
    )
    storage_account: str | None = Field(
        default=None,
        pattern=r"^https://[a-z0-9]{3,24}\.blob\.[a-z0-9.-]+$",
        description="https://ACCOUNT.blob.core.windows.net, where this process has an identity with rights there "
        "(managed identity, workload identity, az login); needs the extra identity",
    )
    storage: SecretStr | None = Field(
        default=None,
        description="connection string of the whole account: for one machine only. One of GRANT, STORAGE_ACCOUNT and "
        "STORAGE must be set",
    )
    health_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of /healthz and /metrics; none by default"
    )
    health_host: str = Field(default="127.0.0.1", description="address that port is opened on")

    @model_validator(mode="after")
    def _one_way_into_storage(self) -> Self:
        if sum(way is not None for way in (self.grant, self.storage_account, self.storage)) != 1:
            raise ValueError("set one of ORTHOAGENT_GRANT, ORTHOAGENT_STORAGE_ACCOUNT and ORTHOAGENT_STORAGE")
        return self


class Settings(StorageSettings):
    """What ``orthoagent run`` needs on top. Every variable is ``ORTHOAGENT_`` and the name in capitals."""

    agent: Identifier = Field(
        default_factory=_host_as_id, description="id of this worker, unique among all; the host's name by default"
    )
    pool: Identifier = Field(description="pool whose queue and tickets it serves")
    slots: int = Field(default=1, ge=1, le=256, description="tasks at a time, each in a child process of its own")
    cores: int | None = Field(
        default=None, ge=1, description="cores to share among the slots; default: those this process may run on"
    )
    scratch: Folder = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / f"orthoagent-{os.getuid()}",
        description="local folder for inputs and images of running tasks; emptied at start",
    )
    cache: Folder = Field(
        default_factory=_own_cache,
        description="node-local folder of compiled kernels; never share one between nodes. By default in the home, for "
        "batch jobs one a node there",
    )
    stores: dict[Identifier, Folder] = Field(
        default_factory=dict,
        description='folders of the site that pools.yaml names as stores, as JSON: {"archive": "/data/archive"}',
    )
    inputs_gb: float = Field(
        default=20,
        ge=0,
        description="gigabytes of inputs kept beside scratch for further tasks, for all agents there, or for a batch "
        "job alone, as long as it lives; 0 keeps none",
    )
    slot_scratch_gb: float | None = Field(
        default=None, gt=0, description="most gigabytes of scratch one task may have; no limit but the disk by default"
    )
    slot_memory_gb: float | None = Field(
        default=None, gt=0, description="most gigabytes of memory one task may use; no limit by default"
    )
    silence_s: float = Field(
        default=600, gt=0, description="seconds without progress after which a running kernel is stopped as hung"
    )
    compute: str = Field(
        default="orthoagent.compute:orthorectify_output",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="module:function that makes one output",
    )
    facility: str | None = Field(
        default=None, description="where this node stands (Place, Country), for the Items of analysis-ready images"
    )
    warm: bool = Field(default=True, description="compile the kernel once at start, before any task is taken")
    child_tasks: int = Field(
        default=100, ge=1, description="tasks after which a child process is replaced by a fresh one"
    )

    lease_s: int = Field(default=60, ge=2, description="seconds a taken message stays hidden from other workers")
    renew_s: float | None = Field(default=None, gt=0, description="seconds between renewals; a third of the lease")
    poll_up_s: float = Field(
        default=60, gt=0, description="seconds between looks at the queue while the doorbell works"
    )
    poll_down_s: float = Field(default=5, gt=0, description="the same while it does not")
    status_every_s: float = Field(default=30, gt=0, description="seconds between statuses when nothing changes")
    status_min_s: float = Field(default=10, ge=0, description="least seconds between statuses that only tell progress")
    grace_s: float = Field(default=60, ge=0, description="seconds to finish running tasks after SIGTERM or a drain")
    walltime_s: float | None = Field(
        default=None,
        gt=0,
        description="seconds until the batch scheduler ends this process; it drains in time. Asked of Slurm or PBS by "
        "default, where it runs under one",
    )
    fetch_parallel: int = Field(
        default=4, ge=1, le=64, description="files, and parts of large ones, fetched at a time, per slot"
    )
    fetch_mb_per_s: float | None = Field(
        default=None,
        gt=0,
        description="most megabytes a second that all its fetches together take; no limit by default",
    )
    hosts: str = Field(
        default="",
        description="hosts of others that products are fetched from, separated by commas: data.example.org, "
        "*.example.org, with :8443 for another port than 443; name those too that they send on to. None by default",
    )
    hosts_internal: str = Field(
        default="",
        description="the same for hosts of one's own network: they may have private addresses and plain http",
    )
    logins: dict[str, Login] = Field(
        default_factory=dict,
        description='what opens these hosts, as JSON: {"HOST": {"token": "..."}}, or user and password; also the '
        "entries of a netrc file (~/.netrc, or where NETRC points)",
    )
    buckets: dict[str, Bucket] = Field(
        default_factory=dict,
        description='buckets that products are fetched from, as JSON: {"BUCKET": {"endpoint": '
        '"https://s3.example.org", "region": "eu", "key_id": "...", "secret": "..."}}; without key what everybody '
        "may read",
    )

    until_empty: bool = Field(default=False, description="leave when the queue has been empty for the linger time")
    linger_s: float = Field(default=60, ge=0, description="linger time: seconds of empty queue before leaving")

    def allowed_hosts(self) -> Hosts:
        """Whose servers it asks."""
        return Hosts.of(self.hosts, self.hosts_internal, ("ORTHOAGENT_HOSTS", "ORTHOAGENT_HOSTS_INTERNAL"))

    @property
    def renew_every_s(self) -> float:
        return self.renew_s if self.renew_s is not None else self.lease_s / 3

    @property
    def threads_per_slot(self) -> int:
        return max(1, (self.cores or available_cores()) // self.slots)

    @property
    def agent_scratch(self) -> Path:
        return self.scratch / self.agent

    @property
    def kept_inputs(self) -> Path:
        """Beside the agents' own folders, whose names begin otherwise; a batch job's go with it."""
        return (self.agent_scratch if self.agent.startswith(BATCH_JOBS) else self.scratch) / ".inputs"

    @property
    def numba_cache(self) -> Path:
        """Keyed by result version: stale compiled code of another version is a known upstream trap."""
        return self.cache / f"numba-r{KERNEL_RESULT_VERSION}"


class WatchSettings(StorageSettings):
    """What ``orthoagent watch`` needs on top."""

    folder: Folder = Field(description="folder of the archive that is watched")
    store: Identifier = Field(description="the archive's name as a store in settings/pools.yaml")
    root: Folder | None = Field(
        default=None, description="the store's folder as it is mounted here; the watched folder by default"
    )
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,60}/){0,3}$",
        description="what the products' names in container products begin with, archive/ say; nothing by default",
    )
    state: Folder = Field(
        default_factory=lambda: Path.home() / ".local" / "state" / "orthowatch",
        description="folder of the journal of what has been announced",
    )
    settle_s: float = Field(default=60, gt=0, description="seconds for which nothing of a product may change")
    rescan_s: float = Field(
        default=600, gt=0, description="seconds between walks through the archive: NFS and Lustre tell of nothing"
    )
    parallel: int = Field(default=8, ge=1, le=64, description="products looked at and announced at a time")
    only_new: bool = Field(
        default=False, description="leave alone what was whole before the first start of this journal"
    )
    once: bool = Field(default=False, description="announce what is whole now, and leave")

    @model_validator(mode="after")
    def _lies_in_its_store(self) -> Self:
        if self.root is not None and not self.folder.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"the watched folder {self.folder} does not lie below the store's, {self.root}")
        return self

    @property
    def journal(self) -> Path:
        return self.state / f"{self.store}.journal"


class ProcureSettings(StorageSettings):
    """What ``orthoagent procure`` needs on top. What opens providers is in EODAG's own settings, and nowhere here."""

    agent: Identifier = Field(
        default_factory=_host_as_id, description="id of this fetcher, unique among all; the host's name by default"
    )
    store: Identifier | None = Field(
        default=None,
        description="a store of settings/pools.yaml that products are kept in; by default they go to blob storage",
    )
    root: Folder | None = Field(default=None, description="the store's folder as it is mounted here")
    folder: Folder | None = Field(
        default=None, description="folder below it that products are put in; the store's own by default"
    )
    scratch: Folder = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / f"orthoprocure-{os.getuid()}",
        description="local folder for products on their way to blob storage; a store's come in a hidden one there",
    )
    eodag_python: Path = Field(
        default_factory=lambda: Path(sys.executable),
        description="a Python that has EODAG, which need not be ours: EODAG does not go with all that others need",
    )
    providers: str = Field(
        default="",
        pattern=r"^([a-z0-9_]+(,[a-z0-9_]+)*)?$",
        description="EODAG's providers that are asked, in this order: geodes,cop_dataspace. By default all that EODAG "
        "has logins for, by its own priorities",
    )
    parallel: int = Field(default=2, ge=1, le=16, description="products fetched at a time")
    fetch_parallel: int = Field(
        default=2,
        ge=1,
        le=64,
        description="files, and parts of large ones, fetched at a time, per product; many providers allow four "
        "connections in all",
    )
    fetch_mb_per_s: float | None = Field(
        default=None, gt=0, description="most megabytes a second that all fetches together take; no limit by default"
    )
    silence_s: float = Field(default=300, gt=0, description="seconds without a byte after which a provider is left")
    order_limit_s: float = Field(
        default=21_600, gt=0, description="seconds that a provider may take to bring a product from its archive"
    )
    lease_s: int = Field(default=60, ge=2, description="seconds a taken message stays hidden from other fetchers")
    poll_s: float = Field(default=5, gt=0, description="seconds between looks at an empty queue")

    @model_validator(mode="after")
    def _a_store_has_its_folder(self) -> Self:
        if (self.store is None) != (self.root is None):
            raise ValueError("ORTHOAGENT_STORE and ORTHOAGENT_ROOT are set together or not at all")
        place = self.place
        if place is not None and not place.resolve().is_relative_to(Path(str(self.root)).resolve()):
            raise ValueError(f"the folder {self.folder} does not lie below the store's, {self.root}")
        return self

    @property
    def place(self) -> Path | None:
        """Where products are kept, in a store."""
        return self.folder or self.root

    @property
    def work(self) -> Path:
        """Names that begin with a dot are no products: who watches the archive passes them over."""
        return self.scratch if self.place is None else self.place / ".procure"


class ScaleSettings(BrokerSettings):
    """What ``orthoagent scale`` is told. The pilots' own settings, secrets among them, are in ``env_file``."""

    pool: Annotated[Identifier, Field(max_length=40)] = Field(description="pool whose demand is followed")
    scheduler: Literal["slurm", "pbs"] = Field(description="batch scheduler of this machine")
    env_file: Folder = Field(
        description="file of the pilots' ORTHOAGENT_NAME=value lines, mode 0600, where compute nodes read it too"
    )
    max_pilots: int = Field(ge=1, le=10_000, description="most pilots that wait or run at a time")
    state: Folder = Field(
        default_factory=lambda: Path.home() / ".local" / "state" / "orthoscale",
        description="folder of what was submitted and of the pilots' logs, where compute nodes write too",
    )
    partition: str | None = Field(default=None, description="partition (PBS: queue) of the pilots")
    account: str | None = Field(default=None, description="account that pays for them")
    qos: str | None = Field(default=None, description="quality of service, of Slurm")
    slots: int = Field(default=1, ge=1, le=256, description="slots of each pilot")
    cores: int | None = Field(default=None, ge=1, description="cores of each pilot; as many as slots by default")
    memory_gb: float | None = Field(
        default=None, gt=0, description="memory of each pilot; the scheduler's default else"
    )
    walltime_s: float = Field(
        default=14_400, ge=60, description="time limit of each pilot: several times what the longest task takes"
    )
    linger_s: float = Field(default=60, ge=0, description="seconds of empty queue before a pilot leaves")
    scheduler_args: str = Field(
        default="", pattern=r"^[^\n]*$", description="further arguments for sbatch or qsub, as on its command line"
    )
    agent_command: str = Field(
        default_factory=lambda: f"{shlex.quote(sys.executable)} -m orthoagent",
        description="what starts orthoagent on a compute node, a container's command say",
    )
    look_every_s: float = Field(default=15, ge=0.5, description="seconds between looks at the scheduler's queue")
    keep_s: float = Field(
        default=60, ge=0, description="for how long queued pilots are kept after the demand has fallen"
    )

    @model_validator(mode="after")
    def _can_be_said_to_the_scheduler(self) -> Self:
        if self.qos is not None and self.scheduler == "pbs":
            raise ValueError("qos is Slurm's: PBS takes such through scheduler_args")
        for name in ("partition", "account", "qos"):
            if not re.fullmatch(r"[\w.,@+-]*", getattr(self, name) or ""):
                raise ValueError(f"{name} may have letters, digits and . , _ @ + - only")
        return self

    @property
    def folder(self) -> Path:
        return self.state / self.pool


def available_cores() -> int:
    """Cores this process may run on: a batch scheduler grants fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
