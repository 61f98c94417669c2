"""``python -m orthofunctions.grant --pool hpc --days 7 --out hpc.grant``: what a pool's workers may do in storage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.grants import Grant
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthocontracts.wire import explain
from orthofunctions.adapters.blobs import AzureBlobs
from orthofunctions.adapters.grants import AccountKeyGrants
from orthofunctions.adapters.transport import new_session
from orthofunctions.domain.pools import parse_site
from orthofunctions.ports import BlobMissingError
from orthofunctions.settings import Settings

MOST_DAYS = 90.0
"""A grant cannot be called back alone, only all of them, with the account's key: so none is for long."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 issued, 1 no such pool, 2 unusable settings."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"settings: {explain(error)}\n")
        return 2
    if settings.storage is None:
        sys.stderr.write("settings: a grant is signed with the account's key: set ORTHOBURST_STORAGE\n")
        return 2
    storage = settings.storage.get_secret_value()
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=asked.days)
    if asked.pool is not None and asked.pool not in (known := _pools(storage)):
        sys.stderr.write(f"settings/{names.BLOB_POOLS} has no pool {asked.pool}; it has {', '.join(known)}\n")
        return 1
    with AccountKeyGrants(storage) as grants:
        if asked.watch:
            grant: Grant = grants.for_watch(expires_at)
        elif asked.procure:
            grant = grants.for_procure(expires_at)
        elif asked.pool is None:
            grant = grants.for_presence(expires_at)
        else:
            grant = grants.for_pool(asked.pool, asked.result_version, expires_at)
    if asked.out is None:
        sys.stdout.write(grant.to_json() + "\n")
    else:
        write_private(asked.out, grant.to_json())
        sys.stderr.write(f"{asked.out}: until {expires_at.isoformat()}\n")
    return 0


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all, over one that is there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _pools(storage: str) -> list[str]:
    with new_session() as session:
        try:
            text = AzureBlobs.connect(storage, session).read(names.CONTAINER_SETTINGS, names.BLOB_POOLS)
        except BlobMissingError:
            text = None
    return [pool.name for pool in parse_site(text).pools]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orthofunctions.grant", description=__doc__)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--pool", help="for the workers of this pool")
    whose.add_argument("--presence", action="store_true", help="for orthoagent presence")
    whose.add_argument("--watch", action="store_true", help="for orthoagent watch")
    whose.add_argument("--procure", action="store_true", help="for orthoagent procure")
    parser.add_argument(
        "--days", type=_days, default=7.0, help=f"how long it holds, {MOST_DAYS:g} at most; 7 by default"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="written with mode 0600; standard output by default")
    parser.add_argument(
        "--result-version", type=int, default=KERNEL_RESULT_VERSION, help="of the workers; ours by default"
    )
    return parser


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"between 0 and {MOST_DAYS:g}")
    return days


if __name__ == "__main__":
    sys.exit(main())
