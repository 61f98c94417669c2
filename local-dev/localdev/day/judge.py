"""What must come of a day, reckoned from the products and the orders alone, by shapely and by counting; and what came.

Nothing of the functions is asked but what they have written: jobs, plans, catalogue, kept messages. Where a product
lies so near to an area's edge that a rounding decides, both answers are right.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localdev.day.fits import Wanted, areas_of, sure_tiles, wanted_of
from localdev.day.run import ARCHIVE, COVERED, Day
from localdev.day.scenes import Scene
from orthocontracts import names
from orthofunctions.domain.records import JobRecord, OutputRecord


@dataclass
class Judgement:
    """What is wrong, in words; each list is empty where all is well.

    Attributes
    ----------
    n_wanted : int
        Pairs of an order and a product that fit for certain.
    n_near : int
        Pairs that nobody can tell.
    """

    missed: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    n_wanted: int = 0
    n_near: int = 0
    n_jobs: int = 0
    n_images: int = 0
    n_broken: int = 0
    n_callbacks: int = 0
    waits_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    record: JobRecord
    outputs: tuple[OutputRecord, ...]
    refs: tuple[str, ...]
    grid: dict[str, Any] | None


def judge(day: Day) -> Judgement:
    found = Judgement(n_broken=sum(1 for scene in day.scenes if scene.defect))
    jobs = _jobs_by_product(day)
    found.n_jobs = sum(map(len, jobs.values()))
    entries = {
        blob.name.removesuffix(".json"): json.loads(day.ports.blobs.read(blob.container, blob.name))
        for blob in day.ports.blobs.list(names.CONTAINER_CATALOGUE)
    }
    found.n_images = len(entries)
    reports = _reports(day)
    areas = areas_of(day.orders)
    of_capped = {one.user: Wanted() for one in day.orders if one.products_per_month is not None}
    for scene in day.scenes:
        wanted = wanted_of(scene, areas)
        found.n_wanted += sum(one.least for one in wanted.values())
        found.n_near += sum(one.most - one.least for one in wanted.values())
        for user, one in wanted.items():
            if user in of_capped:
                of_capped[user].least += one.least
                of_capped[user].most += one.most
        there = jobs.pop(scene.ref, [])
        if scene.defect not in (None, "cut image"):
            _judge_broken(scene, there, reports[scene.ref], found)
            continue
        _judge_count(scene, wanted, set(of_capped), there, found)
        for job in there:
            if scene.defect:
                _judge_failed(day, scene, job, len(there), found)
            else:
                _judge_made(day, scene, job, entries, found)
    found.twice += [
        f"job {one.record.job_id} is about {ref}, which never came" for ref, of in jobs.items() for one in of
    ]
    _judge_caps(day, of_capped, found)
    _judge_images(day, entries, found)
    _judge_callbacks(day, found)
    return found


def _jobs_by_product(day: Day) -> dict[str, list[_Job]]:
    """Jobs that have a plan, by the product they are about; the others end up under what their message names."""
    outputs: defaultdict[str, list[OutputRecord]] = defaultdict(list)
    for row in day.ports.tables.query(OutputRecord.TABLE):
        output = OutputRecord.from_row(row)
        outputs[output.job_id].append(output)
    plans = {blob.name for blob in day.ports.blobs.list(names.CONTAINER_PLANS)}
    found: defaultdict[str, list[_Job]] = defaultdict(list)
    for row in day.ports.tables.query(JobRecord.TABLE):
        record = JobRecord.from_row(row)
        blob = names.plan_blob(record.job_id)
        asked: dict[str, Any] = {}
        if blob in plans:
            asked = json.loads(day.ports.blobs.read(names.CONTAINER_PLANS, blob))["request"]
        refs = tuple(asked.get("products") or [_named(str(record.fault_message or record.final_message))])
        found[refs[0]].append(_Job(record, tuple(outputs[record.job_id]), refs, asked.get("grid")))
    return found


def _named(message: str) -> str:
    """The product that a message is about: its first words."""
    word = message.split(" ", 1)[0].rstrip(":")
    for end in (".SAFE", ".SEN3"):
        word = word.partition(end)[0] + end if end in word else word
    return word


def _reports(day: Day) -> Counter[str]:
    """Kept messages of operators, by the product they are about."""
    found: Counter[str] = Counter()
    for blob in day.ports.blobs.list(names.CONTAINER_CONTROL, "poison/"):
        said = json.loads(day.ports.blobs.read(blob.container, blob.name))
        found[_named(str(said["why"]).partition(": ")[2])] += 1
    return found


def _judge_broken(scene: Scene, jobs: list[_Job], n_kept: int, found: Judgement) -> None:
    """One job of the default order that says why, or one message that operators can read where it has no template."""
    failed = [one for one in jobs if one.record.user == ARCHIVE and one.record.final_state == "failed"]
    if len(failed) + n_kept != 1 or len(jobs) != len(failed):
        found.broken.append(f"{scene.ref} ({scene.defect}): {len(jobs)} jobs, {n_kept} kept messages")


def _judge_count(scene: Scene, wanted: dict[str, Wanted], capped: set[str], jobs: list[_Job], found: Judgement) -> None:
    """Whether each user has as many jobs of a product as orders that it fits, and nobody else has one."""
    there = Counter(job.record.user for job in jobs)
    n_archive = there.pop(ARCHIVE, 0)
    for user in {*wanted, *there}:
        one, n_jobs = wanted.get(user, Wanted()), there.get(user, 0)
        least = 0 if user in capped else one.least
        if n_jobs < least:
            found.missed.append(f"{scene.ref}: {user} has {n_jobs} jobs, not {least}")
        if n_jobs > one.most:
            found.twice.append(f"{scene.ref}: {user} has {n_jobs} jobs, not {one.most}")
    is_covered = scene.mission in COVERED
    if n_archive > (is_covered and not there):
        found.twice.append(f"{scene.ref}: {n_archive} jobs of the default order beside {len(jobs) - n_archive}")
    if not jobs and is_covered:
        found.missed.append(f"{scene.ref}: no job at all")


def _judge_made(day: Day, scene: Scene, job: _Job, entries: dict[str, Any], found: Judgement) -> None:
    """Every image of a job is in the catalogue, with its file; and those that must be among them are."""
    record = job.record
    if record.final_state != "successful" or not job.outputs:
        found.missed.append(
            f"{scene.ref}: job {record.job_id} is {record.final_state or 'open'}: {record.final_message}"
        )
        return
    for output in job.outputs:
        entry = entries.get(output.digest)
        blob = entry["files"]["image"]["blob"] if entry else ""
        container, _, name = blob.partition("/")
        if entry is None or day.ports.blobs.facts(container, name) is None:
            found.missed.append(f"{scene.ref}: image {output.title} of job {record.job_id} is not there")
    if (job.grid or {}).get("kind") == "footprint" or scene.mission == "sentinel-3":
        return
    titles = " ".join(output.title for output in job.outputs)
    if missing := [tile for tile in sure_tiles(scene) if tile not in titles]:
        found.missed.append(f"{scene.ref}: job {record.job_id} lacks {', '.join(missing)}")


def _judge_failed(day: Day, scene: Scene, job: _Job, n_jobs: int, found: Judgement) -> None:
    """A product whose image proved to be cut: each of its jobs says so, and the kernel has not tried it again."""
    said = [output.fault_message for output in job.outputs]
    if job.record.final_state != "failed" or not said or not all(scene.ref in str(one) for one in said):
        found.broken.append(
            f"{scene.ref} ({scene.defect}): job {job.record.job_id} is {job.record.final_state}, says {said}"
        )
    n_tasks = len({output.task_id for output in job.outputs})
    if day.books.refused[scene.ref] > n_jobs * max(1, n_tasks):
        found.broken.append(
            f"{scene.ref} ({scene.defect}): tried {day.books.refused[scene.ref]} times for {n_jobs} jobs"
        )


def _judge_caps(day: Day, wanted: dict[str, Wanted], found: Judgement) -> None:
    rows = day.ports.tables.query(JobRecord.TABLE, partition_from="capped", partition_below="cappee")
    there = Counter(row.partition for row in rows)
    for order in day.orders:
        cap = order.products_per_month
        if cap is None:
            continue
        one, n_jobs = wanted[order.user], there[order.user]
        # what is broken is wanted, but never known to be
        if n_jobs < min(cap, one.least - found.n_broken):
            found.missed.append(f"order {order.order_id}: {n_jobs} jobs of {one.least}, {cap} are allowed")
        if n_jobs > min(cap, one.most):
            found.twice.append(f"order {order.order_id}: {n_jobs} jobs of {one.most}, {cap} are allowed")


def _judge_images(day: Day, entries: dict[str, Any], found: Judgement) -> None:
    for digest, n_made in day.books.made.items():
        if n_made > 1:
            found.twice.append(f"image {digest[:12]} was made {n_made} times")
        if digest not in entries:
            found.missed.append(f"image {digest[:12]} was made and is not in the catalogue")
    for digest, entry in entries.items():
        refs = [source["ref"] for source in entry["identity"]["products"]]
        known = [day.told_at[ref] for ref in refs if ref in day.told_at]
        if digest not in day.books.made or not known:
            found.twice.append(f"image {digest[:12]} is in the catalogue, and nobody made it")
            continue
        committed = datetime.fromisoformat(entry["committed_at"])
        found.waits_s.append((committed - max(known)).total_seconds())


def _judge_callbacks(day: Day, found: Judgement) -> None:
    told = Counter(day.hook.told)
    for row in day.ports.tables.query(JobRecord.TABLE):
        record = JobRecord.from_row(row)
        if record.subscriber is None or record.source != "order":
            continue
        asked = json.loads(record.subscriber)
        uri = asked["success_uri" if record.final_state == "successful" else "failed_uri"]
        n_told = told.pop((record.job_id, uri), 0)
        found.n_callbacks += n_told
        if n_told == 0:
            found.missed.append(f"job {record.job_id}: {uri} was never told")
        elif n_told > 1:
            found.twice.append(f"job {record.job_id}: {uri} was told {n_told} times")
    found.twice += [f"job {job_id}: {uri} was told of what did not happen" for job_id, uri in told]
