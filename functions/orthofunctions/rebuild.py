"""``python -m orthofunctions.rebuild``: after tables or queues were lost, make them again from plans and catalogue."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from pydantic import ValidationError

from orthocontracts.wire import explain
from orthofunctions.adapters.transport import new_session
from orthofunctions.bootstrap import build, open_account
from orthofunctions.provision import provision_account
from orthofunctions.settings import Settings
from orthofunctions.usecases.rebuild import give_up_unplanned, rebuild

_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all is there again, 1 some jobs are to be asked for again, 2 unusable settings."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"settings: {explain(error)}\n")
        return 2
    began = time.monotonic()
    with new_session() as session:
        provision_account(open_account(settings, session))
    system = build(settings)
    try:
        done = rebuild(system.ports, system.rules, tell=_progress)
        if asked.queues_lost:
            give_up_unplanned(system.ports, done.unplanned)
    finally:
        system.close()
    sys.stdout.write(
        f"{done.n_plans} plans looked at in {time.monotonic() - began:.0f} s; made again: {done.n_jobs} jobs, "
        f"{done.n_tasks} tasks, {done.n_rows} further rows, {done.n_items} images of the index; "
        f"{done.n_requests} requests and batches sent to be planned\n"
    )
    if done.n_restored and done.copied_at:
        sys.stdout.write(f"{done.n_restored} rows from the copy of {done.copied_at:%Y-%m-%d %H:%M} UTC\n")
    if done.unplanned:
        told = "ended: to be asked for again" if asked.queues_lost else "not planned yet; --queues-lost ends them"
        sys.stdout.write(f"{len(done.unplanned)} jobs {told}: {_some(done.unplanned)}\n")
    if done.unreadable:
        sys.stdout.write(f"{len(done.unreadable)} plans cannot be read: {_some(done.unreadable)}\n")
    return 1 if done.unreadable or (done.unplanned and asked.queues_lost) else 0


def _some(job_ids: list[str]) -> str:
    more = len(job_ids) - _SHOWN
    return ", ".join(job_ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _progress(n_plans: int) -> None:
    if n_plans % 1000 == 0:
        sys.stderr.write(f"{n_plans} plans\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orthofunctions.rebuild", description=__doc__)
    parser.add_argument(
        "--queues-lost",
        action="store_true",
        help="queue requests was lost too: end the jobs that are not planned, so that nobody waits for them",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
