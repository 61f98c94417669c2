"""Every kind of document that outlives the program that wrote it.

Imported by recorders too, which run with the modules of the release that they record.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orthocontracts import names
from orthocontracts.batches import BatchEnvelope, BatchOrder
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.grants import PoolGrant, PresenceGrant, ProcureGrant, WatchGrant
from orthocontracts.messages import AgentStatus, Control, Demand, Doorbell, JobEvent, Release, Report, Statuses, Wake
from orthocontracts.orders import StandingOrder
from orthocontracts.outputs import CatalogueEntry
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.requests import Request, RequestEnvelope, StandingDefault
from orthocontracts.stores import Elsewhere
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import Ticket
from orthofunctions.domain import redo  # noqa: F401  # declares rows, as do all of these
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.callbacks import CallbackDue
from orthofunctions.domain.catalogues import CatalogueSpec, Progress
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.raw_rules import RawRules
from orthofunctions.domain.records import AgentRecord, Record
from orthofunctions.usecases.campaign_price import Price
from orthofunctions.usecases.upload import LookAgain

MODELS: Final[tuple[type[BaseModel], ...]] = (
    # on queues
    RequestEnvelope, BatchEnvelope, Release, Report, Wake, AgentStatus, Statuses, CallbackDue, Announced, LookAgain,
    Wanted, Procured,
    # over MQTT, besides AgentStatus
    Control, Doorbell, Demand, JobEvent,
    # blobs
    Ticket, Plan, Request, BatchOrder, CatalogueEntry, Elsewhere, Progress,
    # settings of a site, and files of an agent
    StandingDefault, SiteSpec, CatalogueSpec, RawRules, PoolGrant, PresenceGrant, WatchGrant, ProcureGrant,
    # in rows
    TaskSpec, StandingOrder, CampaignOrder, Price,
)  # fmt: skip


def records_by_name() -> dict[str, type[Any]]:
    """Every class of rows, and `AgentRecord`, many of which share one."""
    found = {kind.__name__: kind for kind in _subclasses(Record)}
    return {**dict(sorted(found.items())), "AgentRecord": AgentRecord}


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    return [one for below in kind.__subclasses__() for one in (below, *_subclasses(below))]


def schema_of_rows() -> dict[str, dict[str, Any]]:
    """What each record has to have in its row, and may have."""
    return {name: _schema_of_record(kind) for name, kind in records_by_name().items()}


def _schema_of_record(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    about: dict[str, Any] = {}
    for field in fields(kind):
        if field.name == "etag":
            continue
        hint = hints[field.name]
        parts = [one for one in get_args(hint) or (hint,) if one is not type(None)]
        entry: dict[str, Any] = {"type": parts[0].__name__}
        if issubclass(parts[0], StrEnum):
            entry["enum"] = [str(one) for one in parts[0]]
        entry["required"] = field.default is MISSING
        if field.default is not MISSING:
            entry["default"] = field.default
        about[field.name] = entry
    table = getattr(kind, "TABLE", "agents")
    keys = [kind.PARTITION, kind.KEY] if hasattr(kind, "KEY") else []
    return {"table": table, "keys": keys, "fields": json.loads(json.dumps(about))}


def schema_of_models() -> dict[str, Any]:
    """One JSON Schema with a definition a model, as it reads; titles and descriptions left out."""
    _, whole = models_json_schema([(kind, "validation") for kind in MODELS], ref_template="#/$defs/{model}")
    return _without_words(whole)


def _without_words(node: Any, *, names: bool = False) -> Any:
    """``names``: its keys are names of fields or models, none of which is a word about them."""
    if isinstance(node, dict):
        return {
            key: _without_words(value, names=not names and key in ("properties", "$defs"))
            for key, value in node.items()
            if names or key not in ("title", "description", "examples")
        }
    return [_without_words(one) for one in node] if isinstance(node, list) else node


def names_in_use() -> dict[str, Any]:
    """Queues, containers, tables, blobs and topics, and examples of those that are made of ids."""
    plain = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    made = {
        "pool_queue": names.pool_queue("hpc", 3), "ticket_container": names.ticket_container("hpc"),
        "ticket_blob": names.ticket_blob("j1-0001", 2), "poison_queue": names.poison_queue("results"),
        "result_blob": names.result_blob("j1-0001", 2, 1, "d1", "image"), "catalogue_blob": names.catalogue_blob("d1"),
        "plan_blob": names.plan_blob("j1"), "batch_blob": names.batch_blob("u", "b"),
        "agent_page": names.agent_page("node-1"), "topic_status": names.topic_status("node-1"),
        "topic_control": names.topic_control("node-1"), "topic_doorbell": names.topic_doorbell("node-1"),
        "topic_demand": names.topic_demand("hpc"), "topic_job_events": names.topic_job_events("j1"),
    }  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps({**plain, **made}))
    return found
