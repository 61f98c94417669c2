"""``python -m orthofunctions.provision``: make every queue, container and table that is not there yet."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthocontracts.wire import explain
from orthofunctions.adapters.account import Account, by_key
from orthofunctions.adapters.transport import new_session
from orthofunctions.bootstrap import open_account
from orthofunctions.domain.pools import parse_site
from orthofunctions.ports import BlobMissingError
from orthofunctions.settings import Settings


def provision(connection_string: str) -> list[str]:
    """`provision_account`, of the account of a connection string."""
    with new_session() as session:
        return provision_account(by_key(connection_string, session))


def provision_account(account: Account) -> list[str]:
    """Make what the functions and workers need, pools of ``settings/pools.yaml`` included. Any number of times.

    Returns
    -------
    list of str
        Names of all that is there now.
    """
    blobs, queues, tables = account.blobs, account.queues, account.tables
    for container in names.CONTAINERS:
        blobs.make_container(container)
    for table in names.TABLES:
        tables.make_table(table)
    try:
        pools = parse_site(blobs.read(names.CONTAINER_SETTINGS, names.BLOB_POOLS)).pools
    except BlobMissingError:
        pools = parse_site(None).pools
    all_queues = [*names.QUEUES, *(names.poison_queue(queue) for queue in names.QUEUES)]
    all_queues += [names.pool_queue(pool.name, KERNEL_RESULT_VERSION) for pool in pools]
    for queue in all_queues:
        queues.make_queue(queue)
    tickets = [names.ticket_container(pool.name) for pool in pools]
    for container in tickets:
        blobs.make_container(container)
    return [*names.CONTAINERS, *tickets, *all_queues, *names.TABLES]


def main() -> int:
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"settings: {explain(error)}\n")
        return 2
    with new_session() as session:
        made = provision_account(open_account(settings, session))
    sys.stdout.write(f"{len(made)} containers, queues and tables are there\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
