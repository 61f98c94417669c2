"""The settings files a site keeps in blob storage, as this machine needs them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from orthocontracts import names
from orthofunctions.domain.pools import BLOB_STORE

if TYPE_CHECKING:
    from localdev.stack.stack import StackSpec

SITE_STORE = "site"
# What a small cloud machine costs, so that the figures in a decision are those of a real site.
PRICE_PER_SLOT_HOUR_EUR = 0.20


def pools_file(spec: StackSpec) -> dict[str, Any]:
    """``settings/pools.yaml`` for a stack."""
    hpc = {
        "name": "hpc",
        "kind": "onprem",
        "max_slots": max(spec.agents * spec.slots, 1),
        "queue_ahead": 0,  # tasks of seconds: a queued one would hide that the pool is full
    }
    cloud = {
        "name": "cloud",
        "kind": "cloud",
        "max_slots": spec.cloud_limit,
        "startup_s": spec.cloud_startup_s,
        "price_per_slot_hour_eur": PRICE_PER_SLOT_HOUR_EUR,
    }
    if spec.site_store is not None:
        hpc |= {"local": [BLOB_STORE, SITE_STORE], "results_in": SITE_STORE}
    stores = [{"name": BLOB_STORE}, *([{"name": SITE_STORE}] if spec.site_store else [])]
    return {"version": 1, "stores": stores, "pools": [hpc, *([cloud] if spec.cloud_limit else [])]}


def write_setting(connection: str, name: str, content: dict[str, Any]) -> None:
    """Put a file into container ``settings``."""
    with BlobServiceClient.from_connection_string(connection) as service:
        container = service.get_container_client(names.CONTAINER_SETTINGS)
        with contextlib.suppress(ResourceExistsError):
            container.create_container()
        container.upload_blob(name, json.dumps(content, indent=1).encode(), overwrite=True)


def write_pools(connection: str, spec: StackSpec) -> None:
    write_setting(connection, names.BLOB_POOLS, pools_file(spec))
