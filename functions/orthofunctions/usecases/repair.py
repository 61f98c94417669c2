"""Making again what the storage lost, and throwing away what nobody needs. It reads whole tables, by and by.

The order of writes never loses a row. A storage that loses its last seconds does, and so does a call that nobody
repeats.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import timedelta

from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.states import OutputState, TaskState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.pending_index import index_rows
from orthofunctions.domain.records import ActiveRecord, DigestRecord, DigestState, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.commit import adopt
from orthofunctions.usecases.digests import STATE_KEY, end_output, fail_digest
from orthofunctions.usecases.pending import enqueue, wake
from orthofunctions.usecases.roster import all_pages, store_pages
from orthofunctions.usecases.rows import find, load, release_key
from orthofunctions.usecases.settle import settle_left
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.subscribers import resend_lost
from orthofunctions.usecases.tasks import UNDER_RELEASE, load_task
from orthofunctions.usecases.tour import Share, next_share

logger = logging.getLogger(__name__)

AGENT_KEPT = timedelta(days=1)


def repair(ports: Ports, rules: Rules) -> int:
    """Make again what is missing of the jobs whose turn it is. Returns how many rows and outputs that were."""
    n_made = 0
    with apart("repair", ports.meter) as each, next_share(ports) as share:
        with each("rows"):
            n_made += repair_rows(ports, rules, share)
        with each("outputs"):
            n_made += repair_outputs(ports, share)
        with each("ends of jobs"):
            n_made += settle_left(ports, share.jobs)
        with each("callbacks"):
            n_made += resend_lost(ports)
    return n_made


def repair_rows(ports: Ports, rules: Rules, share: Share) -> int:
    """Make index rows of pending tasks and active rows of released ones again. Returns how many were missing."""
    n_made = 0
    # As a whole where all jobs are looked at: one by one, those of 3000 tasks kept the emulator busy for minutes.
    indexed = _places(ports) if share.is_all else frozenset()
    for task in find(ports.tables, TaskRecord, partitions=share.jobs, state=str(TaskState.PENDING)):
        absent = [row for row in index_rows(task) if (row.partition, row.key) not in indexed]
        # what was written since we read the index is not lost
        if any(ports.tables.get(names.TABLE_PENDING, row.partition, row.key) is None for row in absent):
            enqueue(ports, task)
            n_made += 1
    for state in UNDER_RELEASE:
        for task in find(ports.tables, TaskRecord, partitions=share.jobs, state=str(state)):
            n_made += _make_active_again(ports, rules, task)
    if n_made:
        logger.warning("made %d lost rows again", n_made, extra={"action": "repaired"})
        wake(ports, "repaired")
    return n_made


def _places(ports: Ports) -> frozenset[tuple[str, str]]:
    return frozenset((row.partition, row.key) for row in ports.tables.query(names.TABLE_PENDING))


def _make_active_again(ports: Ports, rules: Rules, task: TaskRecord) -> int:
    settled = ports.clock.now() - timedelta(seconds=rules.write_grace_s)
    if task.released_at is None or task.released_at > settled or task.pool is None:
        return 0
    spec = load_site(ports).pool(task.pool)
    active = ActiveRecord(
        job_id=task.job_id,
        release_key=release_key(task.task_id, task.release),
        task_id=task.task_id,
        release=task.release,
        pool=task.pool,
        result_version=task.result_version,
        released_at=task.released_at,
        start_by=task.released_at + timedelta(seconds=spec.start_limit_s if spec else 0),
        started_at=task.started_at,
        user=task.user,
        campaign=task.campaign,
        is_cloud=spec is not None and spec.kind == "cloud",
        reserved_eur=task.reserved_eur,
        contingency_eur=task.contingency_eur,
        eur_per_slot_s=spec.run_cost_eur(1.0) if spec else 0.0,
        startup_s=spec.startup_s if spec else 0.0,
    )
    try:
        ports.tables.insert(names.TABLE_ACTIVE, active.to_row())
    except RowExistsError:
        return 0
    return 1


def repair_outputs(ports: Ports, share: Share) -> int:
    """End outputs that still wait for a digest which has ended, or for a task that has. Returns how many.

    A digest that failed or was abandoned is left alone: whoever waits beside it is about to claim it anew. So are the
    outputs of tasks that have not ended: those look into the catalogue themselves before they do.
    """
    n_ended = 0
    under_way = {
        task.task_id
        for state in (TaskState.PENDING, *UNDER_RELEASE)
        for task in find(ports.tables, TaskRecord, partitions=share.jobs, state=str(state))
    }
    with apart("repair", ports.meter) as each:
        for output in find(ports.tables, OutputRecord, partitions=share.jobs, state=str(OutputState.WANTED)):
            if output.task_id not in under_way:
                with each(f"{output.job_id} {output.digest}"):
                    n_ended += _end_left(ports, output)
    return n_ended


def _end_left(ports: Ports, output: OutputRecord) -> bool:
    if adopt(ports, output.digest):
        end_output(ports, output.job_id, output.digest, OutputState.COMMITTED, None)
        return True
    digest = load(ports.tables, DigestRecord, output.digest, STATE_KEY)
    if digest is None or digest.state is not DigestState.OPEN:
        return False
    task = load_task(ports, job_of_task(digest.task_id), digest.task_id)
    if task is None or not task.state.is_final:
        return False
    lost = Fault(kind="Lost", message="its task ended without it; request it again")
    fail_digest(ports, task.task_id, output.digest, lost)
    return True


def sweep_results(ports: Ports, rules: Rules) -> int:
    """Delete delivered files that no catalogue entry names, a day after their release has closed.

    Returns how many were deleted. A file's last write is the latest sign of life of its release; the time limit is
    added because a release may have stayed open for that long after it.
    """
    oldest = ports.clock.now() - timedelta(seconds=rules.keep_results_s + rules.time_limit_s)
    named: dict[str, frozenset[str]] = {}
    n_deleted = 0
    for blob in ports.blobs.list(names.CONTAINER_RESULTS):
        folder = blob.name.partition("/")[0]
        task_id = folder.rpartition("-")[0]
        digest = names.digest_of_result_blob(blob.name)
        if blob.last_modified > oldest or not task_id or digest is None:
            continue
        if ports.tables.get(names.TABLE_ACTIVE, job_of_task(task_id), folder) is not None:
            continue
        if digest not in named:
            named[digest] = _named_by_catalogue(ports, digest)
        if f"{blob.container}/{blob.name}" not in named[digest]:
            ports.blobs.delete(blob.container, blob.name)
            n_deleted += 1
    return n_deleted


def sweep_agents(ports: Ports) -> None:
    """Forget workers nobody has heard from for a day."""
    for page in list(all_pages(ports)):
        kept = {name: one for name, one in page.agents.items() if ports.clock.now() - one.received_at <= AGENT_KEPT}
        if not kept:  # a row that cannot be read goes too
            with contextlib.suppress(RowChangedError):
                ports.tables.delete(names.TABLE_AGENTS, page.pool, page.key, etag=page.etag)
        elif len(kept) < len(page.agents):  # where it changes meanwhile the next sweep looks again
            store_pages(ports, [replace(page, agents=kept)])


def _named_by_catalogue(ports: Ports, digest: str) -> frozenset[str]:
    """The files of an entry. One that cannot be read raises: better to keep files than to delete the wrong ones."""
    entry = read_entry(ports, digest)
    return frozenset(facts.blob for facts in entry.files.values()) if entry else frozenset()
