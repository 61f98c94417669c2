"""The authority: rows of jobs, outputs, tasks, active releases and digests, as typed values.

Changed only by functions and only with the row's ETag. ``to_row``/``from_row`` are the only places that know how a
record lies in a table; the large part of a task (its specification) lies in the job's plan, not in its row.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Self, get_type_hints

from orthocontracts import names
from orthocontracts.states import JobState, OutputState, TaskState
from orthofunctions.domain.campaigns import CampaignState
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Row, Value

_NOTHING_S = 1e-3


@dataclass(frozen=True, kw_only=True)
class Record:
    """A row with named, typed fields. ``etag`` is empty for a record that was never stored."""

    TABLE: ClassVar[str]
    PARTITION: ClassVar[str]
    KEY: ClassVar[str]

    etag: str = ""

    def to_row(self) -> Row:
        values: dict[str, Value] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("etag", self.PARTITION, self.KEY) or value is None:
                continue
            values[field.name] = str(value) if isinstance(value, StrEnum) else value
        return Row(
            partition=str(getattr(self, self.PARTITION)),
            key=str(getattr(self, self.KEY)),
            values=values,
            etag=self.etag,
        )

    @classmethod
    def from_row(cls, row: Row) -> Self:
        hints = _hints(cls)  # type: ignore[arg-type]  # mypy takes a dataclass's type for unhashable
        arguments: dict[str, Any] = {"etag": row.etag, cls.PARTITION: row.partition, cls.KEY: row.key}
        for field in fields(cls):
            if field.name in arguments:
                continue
            if field.name in row.values:
                value: Any = row.values[field.name]
                hint = hints[field.name]
                if isinstance(hint, type) and issubclass(hint, StrEnum):
                    value = hint(value)
                elif hint is float or hint == (float | None):
                    value = float(value)
                arguments[field.name] = value
            elif field.default is MISSING:
                raise ValueError(f"{cls.TABLE} row {row.partition}/{row.key} has no {field.name}")
        return cls(**arguments)

    def changed(self, **changes: Any) -> Self:
        return replace(self, **changes)


@cache
def _hints(kind: type[Record]) -> dict[str, Any]:
    return get_type_hints(kind)  # slow: it evaluates every annotation again


@dataclass(frozen=True, kw_only=True)
class JobRecord(Record):
    """A request and how its planning ended; progress is derived from its outputs."""

    TABLE = names.TABLE_JOBS
    PARTITION = "user"
    KEY = "job_id"

    user: str
    job_id: str
    request_id: str
    process: str  # as it was asked for
    created_at: datetime
    source: str  # the door it came through: "http", "queue" or "upload"
    planned: bool = False
    n_outputs: int = 0
    cancelled: bool = False
    fault_kind: str | None = None
    fault_message: str | None = None
    waits_for: str = ""  # until it is planned: names of products that are being fetched, separated by commas
    found: str = ""  # JSON of where the products lie that it names by id
    batch: str | None = None
    order: str | None = None  # the standing order that asked for it
    shared_with: str = ""  # groups, separated by commas
    replaces: str = ""  # jobs whose images of the same places it makes again, separated by commas
    keep_days: float | None = None
    traceparent: str = ""  # of the span in which it was accepted: all that follows is its trace
    pinned: bool = False  # does not expire
    expiring: bool = False  # its results are being let go of: too late to pin it

    response: str = "document"  # how its results were asked for
    transmission: str = "reference"
    base_url: str = ""
    subscriber: str | None = None  # JSON of whom to tell

    final_state: str = ""  # a JobState; what follows is written with it, once
    final_message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    n_images: int = 0
    settled: bool = False  # its end is written, and whoever wants to be told of it is in table callbacks
    planned_at: datetime | None = None

    @property
    def final(self) -> JobState | None:
        return JobState(self.final_state) if self.final_state else None


@dataclass(frozen=True, kw_only=True)
class OwnerRecord(Record):
    """A user who has jobs: written before their first, and never deleted."""

    TABLE = names.TABLE_OWNERS
    PARTITION = "place"
    KEY = "user"

    place: str  # "m-<mark>": jobs whose ids have that mark; "g-<group>": jobs shared with that group
    user: str


@dataclass(frozen=True, kw_only=True)
class KeyRecord(Record):
    """An API key: everything but the key."""

    TABLE = names.TABLE_KEYS
    PARTITION = "shelf"
    KEY = "digest"

    shelf: str
    digest: str
    name: str
    user: str
    scopes: str  # separated by commas
    created_at: datetime
    created_by: str
    made_with: str = ""  # id of the key that made it, whose end it does not outlive
    expires_at: datetime | None = None
    used_at: datetime | None = None  # to the hour
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class BatchRecord(Record):
    """Jobs that were asked for together, in order. A thousand of them fit into the row.

    ``states`` has a letter a job, see `batch_states`, as it was last looked at: those that are settled for good need no
    other look. ``opened`` once every job has its row: one that has none any longer is gone.
    """

    TABLE = names.TABLE_BATCHES
    PARTITION = "user"
    KEY = "batch_id"

    user: str
    batch_id: str
    created_at: datetime
    job_ids: str  # with spaces between
    states: str
    name: str = ""
    opened: bool = False


@dataclass(frozen=True, kw_only=True)
class OutputRecord(Record):
    TABLE = names.TABLE_OUTPUTS
    PARTITION = "job_id"
    KEY = "digest"

    job_id: str
    digest: str
    state: OutputState = OutputState.WANTED
    title: str = ""
    task_id: str  # the task that makes it: another job's, where it was joined; "" where it was in the catalogue
    fault_kind: str | None = None
    fault_message: str | None = None
    ended_at: datetime | None = None  # when it was committed or found, failed or cancelled


@dataclass(frozen=True, kw_only=True)
class TaskRecord(Record):
    """A task's state. ``release`` rises exactly when the row turns released."""

    TABLE = names.TABLE_TASKS
    PARTITION = "job_id"
    KEY = "task_id"

    job_id: str
    task_id: str
    user: str
    state: TaskState = TaskState.PENDING
    created_at: datetime
    deadline: datetime | None = None
    patience_s: float | None = None
    process: str = "default"  # what learned run times are kept under: its radiometry
    megapixels: float = 0.0
    input_bytes: int = 0
    input_bytes_at: str = ""  # JSON: those of them that lie in stores of a site, by store
    result_version: int = 0
    urgent: bool = False
    makes_all: bool = False  # all its outputs are wanted from it, and before its first run nobody can have made one
    turn_at: datetime | None = None  # when its user's fair share comes to it
    fair_tag_s: float = 0.0
    campaign: str = ""  # works for it, and stands back for every user's task; "" from when a user wants its images too
    traceparent: str = ""  # of the span in which it was planned
    ready_at: datetime | None = None  # since when it waits again; before its first release it waits since its creation
    spec: str | None = None  # JSON of a job's only task, until its first release: that need not read the plan

    release: int = 0
    pool: str | None = None
    released_at: datetime | None = None
    started_at: datetime | None = None
    delivery: int = 0  # latest started delivery of the current release
    agent: str | None = None
    not_before: datetime | None = None  # back-off after a failure
    failures: int = 0
    silences: int = 0
    silent: str | None = None  # "<release>-<delivery>" whose silence was counted last
    excused: str | None = None  # the same, of the last whose worker said that storage was silent
    decision: str | None = None  # JSON: the figures for every pool and the sentence for people
    reserved_eur: float = 0.0
    contingency_eur: float | None = None  # of its release, as `ActiveRecord` has it
    cut_short: bool = False  # a run of it was ended for want of money: the next wants money for the longest run
    ended_at: datetime | None = None
    fault_kind: str | None = None
    fault_message: str | None = None
    history: str = ""  # what became of its releases and deliveries, see `domain.history`; of an older row nothing

    @property
    def waits_since(self) -> datetime:
        """When it could last have been released first."""
        return self.ready_at or self.created_at


@dataclass(frozen=True, kw_only=True)
class ActiveRecord(Record):
    """One release that may still be at work: written before its row turns released, deleted at its end."""

    TABLE = names.TABLE_ACTIVE
    PARTITION = "job_id"
    KEY = "release_key"

    job_id: str
    release_key: str  # "<task>-<release>"
    task_id: str
    release: int
    pool: str
    result_version: int
    released_at: datetime
    start_by: datetime
    started_at: datetime | None = None  # its first delivery: a slot was taken since then
    end_by: datetime | None = None
    user: str = ""
    is_cloud: bool = False
    starts_worker: bool = False  # no worker lingered: one has to be started for it
    reserved_eur: float = 0.0
    eur_per_slot_s: float = 0.0
    startup_s: float = 0.0
    campaign: str = ""  # as its task's when it was released
    egress_eur: float = 0.0  # for carrying what it reads and makes: paid once it has begun
    contingency_eur: float | None = None  # what it may cost beyond its reservation; None: written by an older release

    @property
    def paid_s(self) -> float | None:
        """How long a slot is paid for, from its first delivery on; None: it costs nothing, or nobody set a limit."""
        if not self.eur_per_slot_s or (self.contingency_eur is None and not self.campaign):
            return None
        return self.slot_s_for(self.reserved_eur + (self.contingency_eur or 0.0))

    def slot_s_for(self, eur: float) -> float:
        """How long so much money pays for its slot, of a release that costs some."""
        return max(0.0, (eur - self.egress_eur) / self.eur_per_slot_s - self.startup_s)

    def is_cut_short(self, rules: Rules) -> bool:
        """Whether its run is ended before others are: there was no money for more."""
        return not self.campaign and self.paid_s is not None and self.paid_s < rules.longest_run_s - _NOTHING_S


class DigestState(StrEnum):
    OPEN = "open"
    COMMITTED = "committed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    EXPIRED = "expired"  # no job holds it any longer; whoever comes now still finds it
    GONE = "gone"  # its catalogue entry is being deleted


@dataclass(frozen=True, kw_only=True)
class DigestRecord(Record):
    """Who makes an output: the one task that claimed its digest. Subscribers' rows lie beside it."""

    TABLE = names.TABLE_DIGESTS
    PARTITION = "digest"
    KEY = "row"

    digest: str
    row: str = "state"
    state: DigestState
    task_id: str
    claims: int = 1  # rises when a join claims a failed or abandoned digest anew


@dataclass(frozen=True, kw_only=True)
class SubscriberRecord(Record):
    TABLE = names.TABLE_DIGESTS
    PARTITION = "digest"
    KEY = "row"

    digest: str
    row: str
    job_id: str
    user: str

    @staticmethod
    def key_of(job_id: str) -> str:
        return f"sub-{job_id}"


@dataclass(frozen=True, kw_only=True)
class AgentRecord:
    """Last status of one worker, as queue ``capacity`` brought it. Many share a row of table ``agents``."""

    pool: str
    agent: str
    session: str
    sequence: int
    state: str
    slots: int
    at: datetime  # the worker's clock
    received_at: datetime  # ours: what ages it
    running: str = "[]"  # JSON list of RunningTask
    walltime_left_s: float | None = None
    result_version: int = 0
    version: str = ""
    machine: str = ""
    starts_at: datetime | None = None

    def changed(self, **changes: Any) -> AgentRecord:
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class InventoryRecord(Record):
    """A product that lies in the store, or elsewhere, under one of the cells it touches; or one that has gone."""

    TABLE = names.TABLE_INVENTORY
    PARTITION = "cell"
    KEY = "key"

    cell: str
    key: str  # newest first, by its start
    ref: str
    name: str
    mission: str
    product_type: str
    start: datetime
    stop: datetime
    size_bytes: int
    footprint: str  # JSON: its outline
    arrived: str  # the blob that completed it; "" where it was announced, and lies in somebody else's archive
    arrived_at: datetime
    checksum: str | None = None  # of an announced product, as its catalogue has it: "md5:…"
    orbit_direction: str | None = None
    relative_orbit: int | None = None
    store: str = ""  # of a site, where all but its small files lie
    counted: bool = False  # in the tallies of its partition
    gone_at: datetime | None = None
    why: str = ""  # it went

    @property
    def ring(self) -> tuple[tuple[float, float], ...]:
        """Its outline, longitude before latitude."""
        return tuple((lon, lat) for lon, lat in json.loads(self.footprint))

    @property
    def where(self) -> str:
        """``blobs``, a store of the site, or the server or bucket: where most of its bytes lie."""
        if self.store or self.arrived:
            return self.store or "blobs"
        scheme, _, rest = self.ref.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"


@dataclass(frozen=True, kw_only=True)
class TallyRecord(Record):
    """How many products of a kind a partition of the inventory holds, and their bytes: summed over its shards."""

    TABLE = names.TABLE_INVENTORY
    PARTITION = "cell"
    KEY = "key"

    cell: str
    key: str  # "tally-<mission>|<type>|<month>|<where>|<shard>", "/" as ":"
    mission: str
    product_type: str
    month: str
    where: str
    n_products: int
    n_bytes: int


class RawState(StrEnum):
    """Of a product in blob storage."""

    HERE = "here"
    EXPIRING = "expiring"  # nobody wanted it; whoever comes now still has it
    GONE = "gone"  # its blobs are being deleted, or have been


@dataclass(frozen=True, kw_only=True)
class ArchiveRecord(Record):
    """Whether a product that was uploaded can be had. Rows of those who need it lie beside it."""

    TABLE = names.TABLE_ARCHIVE
    PARTITION = "product"
    KEY = "row"

    product: str  # a hash of its reference
    row: str = "state"
    ref: str
    key: str  # in the inventory
    blob: str  # that completes it
    state: RawState = RawState.HERE
    kept_by: str = ""  # an operator, until somebody lets go of it; also in a row of the kept ones
    noted_at: datetime | None = None  # where its row was made because it had none: it had been lost, or was never there
    idle_since: datetime | None = None  # the end of the last job that is no longer beside it
    gone_at: datetime | None = None
    why: str = ""
    etag_gone: str = ""  # of the blob that completed it, when it went: another is another upload
    deletion: str = ""  # the list of blobs that are still to be deleted


@dataclass(frozen=True, kw_only=True)
class NeedRecord(Record):
    """A job that needs a product, from before it is planned."""

    TABLE = names.TABLE_ARCHIVE
    PARTITION = "product"
    KEY = "row"

    product: str
    row: str  # "job-<id>"
    user: str
    job_id: str
    since: datetime
    over_at: datetime | None = None  # the end of the job, and of its tasks, once somebody found that they have ended


@dataclass(frozen=True, kw_only=True)
class WantedRecord(Record):
    """A product that nobody here has: how its fetch stands. The rows of the jobs that wait for it lie beside it."""

    TABLE = names.TABLE_WANTED
    PARTITION = "name"
    KEY = "row"

    name: str
    row: str
    ask: str  # of this attempt
    asked_at: datetime
    told: bool = False  # the message is on queue wanted
    agent: str = ""  # who fetches it
    started_at: datetime | None = None
    fault_kind: str | None = None
    fault_message: str | None = None


@dataclass(frozen=True, kw_only=True)
class WaiterRecord(Record):
    TABLE = names.TABLE_WANTED
    PARTITION = "name"
    KEY = "row"
    PREFIX: ClassVar[str] = "job-"

    name: str
    row: str
    job_id: str
    since: datetime

    @classmethod
    def key_of(cls, job_id: str) -> str:
        return f"{cls.PREFIX}{job_id}"


@dataclass(frozen=True, kw_only=True)
class OrderRecord(Record):
    """A standing order, as a document."""

    TABLE = names.TABLE_ORDERS
    PARTITION = "user"
    KEY = "order_id"

    user: str
    order_id: str
    document: str


@dataclass(frozen=True, kw_only=True)
class CampaignRecord(Record):
    """A campaign: what it is, how it stands, and how far along the inventory it has come.

    Rows of its products that are under way or have failed share its partition: they change with it or not at all.
    """

    TABLE = names.TABLE_CAMPAIGNS
    PARTITION = "place"
    KEY = "key"

    place: str
    key: str = "campaign"
    campaign_id: str
    state: CampaignState
    document: str  # JSON of its order
    price: str = ""  # JSON of what it was reckoned to come to, before its start
    counting: str = ""  # JSON of how far its products are counted for it; "": all
    created_at: datetime
    at_once: int
    max_eur: float | None = None
    patience_s: float = 0.0
    started_at: datetime | None = None  # products that came later are none of its business
    ended_at: datetime | None = None
    cursor: str = ""  # the last product of the inventory that was looked at
    exhausted: bool = False  # there are no more
    n_taken: int = 0  # products that have or had a job of it
    n_done: int = 0
    n_failed: int = 0
    n_unfit: int = 0  # looked at closely they are not among what it is for, or have nothing to be made
    attempt: int = 1  # failed products of an earlier one are taken again
    n_there: int = 0  # of those done, without a run: all images were there, or made for somebody else


@dataclass(frozen=True, kw_only=True)
class CampaignProductRecord(Record):
    """A product of a campaign that is under way, or has failed."""

    TABLE = names.TABLE_CAMPAIGNS
    PARTITION = "place"
    KEY = "key"

    place: str
    key: str  # "open-<key>" or "failed-<attempt>-<key>", as the inventory has the product
    ref: str
    attempt: int = 1
    trouble: int = 0  # times its planning was cut short by something unforeseen
    job_id: str = ""
    parts: str = ""  # JSON: ids of its jobs, where images on its seams have jobs of their own; else it is the one
    message: str = ""  # why it failed

    @property
    def job_ids(self) -> tuple[str, ...]:
        return tuple(json.loads(self.parts)) if self.parts else (self.job_id,)


@dataclass(frozen=True, kw_only=True)
class LearnedRecord(Record):
    """The latest runs of one process on one machine: nominal and real seconds and megapixels, null if failed."""

    TABLE = names.TABLE_LEARNED
    PARTITION = "process"
    KEY = "machine"

    process: str
    machine: str
    runs: str = "[]"
