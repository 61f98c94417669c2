"""Names of queues, containers, tables, blobs and topics: spelled here and nowhere else."""

from __future__ import annotations

import zlib
from typing import Final

from orthocontracts.outputs import FILE_SUFFIX, FileKind

QUEUE_REQUESTS = "requests"
QUEUE_DISPATCH = "dispatch"
QUEUE_RESULTS = "results"
QUEUE_CAPACITY = "capacity"
QUEUE_CALLBACKS = "callbacks"
QUEUE_ANNOUNCED = "announced"
QUEUE_UPLOADS = "uploads"
QUEUE_WANTED = "wanted"
QUEUE_PROCURED = "procured"
QUEUES = (
    QUEUE_REQUESTS,
    QUEUE_DISPATCH,
    QUEUE_RESULTS,
    QUEUE_CAPACITY,
    QUEUE_CALLBACKS,
    QUEUE_ANNOUNCED,
    QUEUE_UPLOADS,
    QUEUE_WANTED,
    QUEUE_PROCURED,
)

CONTAINER_PRODUCTS = "products"
CONTAINER_AUX = "aux"
CONTAINER_REQUESTS = "requests"
CONTAINER_PLANS = "plans"
CONTAINER_RESULTS = "results"
CONTAINER_CATALOGUE = "catalogue"
CONTAINER_SETTINGS = "settings"
CONTAINER_CONTROL = "control"
CONTAINERS = (
    CONTAINER_PRODUCTS,
    CONTAINER_AUX,
    CONTAINER_REQUESTS,
    CONTAINER_PLANS,
    CONTAINER_RESULTS,
    CONTAINER_CATALOGUE,
    CONTAINER_SETTINGS,
    CONTAINER_CONTROL,
)

TABLE_JOBS = "jobs"
TABLE_OUTPUTS = "outputs"
TABLE_TASKS = "tasks"
TABLE_ACTIVE = "active"
TABLE_DIGESTS = "digests"
TABLE_HOLDERS = "holders"
TABLE_AGENTS = "agents"
TABLE_PENDING = "pending"
TABLE_LEDGER = "ledger"
TABLE_LEARNED = "learned"
TABLE_SHARES = "shares"
TABLE_OWNERS = "owners"
TABLE_KEYS = "keys"
TABLE_BATCHES = "batches"
TABLE_ITEMS = "items"
TABLE_LOADS = "loads"
TABLE_INVENTORY = "inventory"
TABLE_ARCHIVE = "archive"
TABLE_ORDERS = "orders"
TABLE_ORDERED = "ordered"
TABLE_REDOS = "redos"
TABLE_CALLBACKS = "callbacks"
TABLE_SECRETS = "secrets"
TABLE_CAMPAIGNS = "campaigns"
TABLE_WANTED = "wanted"
TABLES = (
    TABLE_JOBS,
    TABLE_OUTPUTS,
    TABLE_TASKS,
    TABLE_ACTIVE,
    TABLE_DIGESTS,
    TABLE_HOLDERS,
    TABLE_AGENTS,
    TABLE_PENDING,
    TABLE_LEDGER,
    TABLE_LEARNED,
    TABLE_SHARES,
    TABLE_OWNERS,
    TABLE_KEYS,
    TABLE_BATCHES,
    TABLE_ITEMS,
    TABLE_LOADS,
    TABLE_INVENTORY,
    TABLE_ARCHIVE,
    TABLE_ORDERS,
    TABLE_ORDERED,
    TABLE_REDOS,
    TABLE_CALLBACKS,
    TABLE_SECRETS,
    TABLE_CAMPAIGNS,
    TABLE_WANTED,
)

AGENT_PAGES: Final = 256
"""Rows that a pool's workers are spread over: forty to a row where there are ten thousand."""

BLOB_DEFAULT_ORDER = "default_order.json"
BLOB_POOLS = "pools.yaml"
BLOB_CATALOGUES = "catalogues.yaml"
BLOB_ARCHIVE = "archive.yaml"
BLOB_POOLS_IN_FORCE = "pools-in-force.yaml"
BLOB_DISPATCH_LEASE = "dispatch.lease"
BLOB_DISPATCH_MARK = "dispatch.mark"
BLOB_REPAIR_TOUR = "repair.tour"
BLOB_ARCHIVE_TOUR = "archive.tour"
FOLDER_DELETIONS = "deletions/"
BLOB_SEAL_KEY = "seal.key"
BLOB_ORDERS_MARK = "orders.mark"


def agent_page(agent: str) -> str:
    """The row of table ``agents`` that holds a worker, among others. Whoever sends many statuses sends page by page."""
    return f"{zlib.crc32(agent.encode()) % AGENT_PAGES:03d}"


def poison_queue(queue: str) -> str:
    return f"{queue}-poison"


def pool_queue(pool: str, result_version: int) -> str:
    """Queue of the releases for a pool's workers of one result version."""
    return f"pool-{pool}-r{result_version}"


def ticket_container(pool: str) -> str:
    return f"tickets-{pool}"


def ticket_blob(task_id: str, release: int) -> str:
    return f"{task_id}-{release}.json"


def result_folder(task_id: str, release: int) -> str:
    return f"{task_id}-{release}"


def result_blob(task_id: str, release: int, delivery: int, digest: str, kind: FileKind) -> str:
    """Path of a delivered file inside container ``results``."""
    return f"{result_folder(task_id, release)}/{delivery}/{digest}{FILE_SUFFIX[kind]}"


def digest_of_result_blob(path: str) -> str | None:
    """The output a delivered file belongs to; None where the path is not one of ``result_blob``."""
    name = path.rpartition("/")[2]
    for suffix in sorted(FILE_SUFFIX.values(), key=len, reverse=True):
        if name.endswith(suffix):
            return name.removesuffix(suffix) or None
    return None


def catalogue_blob(digest: str) -> str:
    return f"{digest}.json"


def plan_blob(job_id: str) -> str:
    return f"{job_id}.json"


def batch_blob(user: str, batch: str) -> str:
    """What a batch asked for, in container ``requests``."""
    return f"batches/{user}/{batch}.json"


TOPIC_ROOT = "orthoburst/v1"
TOPIC_ALL_STATUS = f"{TOPIC_ROOT}/agents/+/status"


def topic_status(agent: str) -> str:
    return f"{TOPIC_ROOT}/agents/{agent}/status"


def topic_control(agent: str) -> str:
    return f"{TOPIC_ROOT}/agents/{agent}/control"


def topic_doorbell(agent: str) -> str:
    return f"{TOPIC_ROOT}/agents/{agent}/doorbell"


def topic_demand(pool: str) -> str:
    return f"{TOPIC_ROOT}/pools/{pool}/demand"


def topic_job_events(job_id: str) -> str:
    return f"{TOPIC_ROOT}/jobs/{job_id}/events"
