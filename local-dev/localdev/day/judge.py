"""What must come of a day, reckoned from the products and the orders alone, by shapely and by counting; and what came.

Nothing of the functions is asked but what they have written: jobs, plans, catalogue, kept messages. Where a product
lies so near to an area's edge that a rounding decides, both answers are right.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localdev.day.fits import Fits, Fitting, Wanted, fitting
from localdev.day.made import Job, jobs_of, reports_of
from localdev.day.run import ARCHIVE, COVERED, Day
from localdev.day.scenes import Scene
from localdev.day.slices import PassJudge
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthofunctions.domain.records import JobRecord

SEEN_WHOLE = (None, "cut image")
"""Defects that only the kernel finds: until then a product is like any other."""


@dataclass
class Judgement:
    """What is wrong, in words; each list is empty where all is well.

    Attributes
    ----------
    n_wanted : int
        Pairs of an order and a product that fit for certain.
    n_near : int
        Pairs that nobody can tell.
    n_seams : int
        Tiles that orders have of several slices.
    n_vain : int
        Jobs that waited for a neighbour in vain.
    n_early : int
        Those of them whose neighbour came after all.
    """

    missed: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    n_wanted: int = 0
    n_near: int = 0
    n_seams: int = 0
    n_vain: int = 0
    n_early: int = 0
    n_jobs: int = 0
    n_images: int = 0
    n_broken: int = 0
    n_callbacks: int = 0
    waits_s: list[float] = field(default_factory=list)


def judge(day: Day) -> Judgement:
    found = Judgement(n_broken=sum(1 for scene in day.scenes if scene.defect))
    jobs = jobs_of(day)
    found.n_jobs = len(jobs)
    entries = {
        blob.name.removesuffix(".json"): json.loads(day.ports.blobs.read(blob.container, blob.name))
        for blob in day.ports.blobs.list(names.CONTAINER_CATALOGUE)
    }
    found.n_images = len(entries)
    about: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        for ref in job.refs:
            about[ref].append(job)
    scenes = {scene.ref: scene for scene in day.scenes}
    reports = reports_of(day)
    for ref, scene in scenes.items():
        if scene.defect not in SEEN_WHOLE:
            _judge_broken(scene, about[ref], reports[ref], found)
    for ref in about.keys() - scenes.keys():
        found.twice += [f"job {job.record.job_id} is about {ref}, which never came" for job in about[ref]]

    whole = {ref: scene for ref, scene in scenes.items() if scene.defect in SEEN_WHOLE}
    fits = fitting(list(whole.values()), day.orders)
    for wanted in (one for users in fits.orders.values() for one in users.values()):
        found.n_wanted += len(wanted.sure)
        found.n_near += len(wanted.perhaps - wanted.sure)
    made = {order.user: _judge_cap(order, fits.orders, jobs, found) for order in day.orders if _is_capped(order)}
    for ref, scene in whole.items():
        _judge_count(scene, fits.single[ref], made.keys(), about[ref], found)
    _judge_slices(day, [scene for ref, scene in whole.items() if ref in fits.slices], fits, jobs, made, found)

    cut = {ref for ref, scene in whole.items() if scene.defect}
    for job in jobs:
        if cut & set(job.refs):
            _judge_failed(job, cut, found)
        elif whole.keys() >= set(job.refs):
            _judge_made(day, job, whole[job.refs[0]].tile, entries, found)
    for ref in sorted(cut):
        _judge_tries(day, ref, about[ref], found)
    _judge_images(day, entries, found)
    _judge_callbacks(day, found)
    return found


def _judge_slices(
    day: Day,
    scenes: Sequence[Scene],
    fits: Fitting,
    jobs: Sequence[Job],
    made: Mapping[str, Set[str]],
    found: Judgement,
) -> None:
    of_slices = [job for job in jobs if job.refs[0] in fits.slices and not job.is_of_footprint]
    passes = PassJudge(day, scenes, fits.slices, of_slices, made).judge()
    found.missed += passes.missed
    found.twice += passes.twice
    found.n_seams, found.n_vain, found.n_early = passes.n_seams, passes.n_vain, passes.n_early


def _judge_broken(scene: Scene, jobs: Sequence[Job], n_kept: int, found: Judgement) -> None:
    """One job of the default order that says why, or one message that operators can read where it has no template."""
    failed = [one for one in jobs if one.user == ARCHIVE and one.record.final_state == "failed"]
    if len(failed) + n_kept != 1 or len(jobs) != len(failed):
        found.broken.append(f"{scene.ref} ({scene.defect}): {len(jobs)} jobs, {n_kept} kept messages")


def _judge_count(
    scene: Scene, wanted: Mapping[str, Wanted], capped: Set[str], jobs: Sequence[Job], found: Judgement
) -> None:
    """Whether each user has as many jobs of a product as orders that it fits, and nobody else has one.

    Of slices these are jobs of footprints: tiles are counted by themselves.
    """
    is_slice = scene.mission == "sentinel-1"
    there = Counter(job.user for job in jobs if job.is_of_footprint or not is_slice)
    for user in {*wanted, *there}:
        one, n_jobs = wanted.get(user, Wanted()), there[user]
        least = 0 if user in capped else len(one.sure)
        if n_jobs < least:
            found.missed.append(f"{scene.ref}: {user} has {n_jobs} jobs, not {least}")
        if n_jobs > len(one.perhaps):
            found.twice.append(f"{scene.ref}: {user} has {n_jobs} jobs, not {len(one.perhaps)}")
    alone = Counter(job.user for job in jobs if len(job.refs) == 1)
    if alone[ARCHIVE] and len(alone) > 1:
        found.twice.append(f"{scene.ref}: {alone[ARCHIVE]} jobs of the default order beside {alone.total()} of all")
    if not jobs and scene.mission in COVERED:
        found.missed.append(f"{scene.ref}: no job at all")


def _judge_made(day: Day, job: Job, tile: str | None, entries: Mapping[str, Any], found: Judgement) -> None:
    """Every image of a job is in the catalogue, with its file, of the job's products; a Sentinel-2 tile among them."""
    about, record = ", ".join(job.refs), job.record
    if record.final_state != "successful" or not job.outputs:
        found.missed.append(f"{about}: job {record.job_id} is {record.final_state or 'open'}: {record.final_message}")
        return
    for output in job.outputs:
        entry = entries.get(output.digest)
        blob = entry["files"]["image"]["blob"] if entry else ""
        container, _, name = blob.partition("/")
        if entry is None or day.ports.blobs.facts(container, name) is None:
            found.missed.append(f"{about}: image {output.title} of job {record.job_id} is not there")
        elif (made_of := {source["ref"] for source in entry["identity"]["products"]}) != set(job.refs):
            found.missed.append(f"{about}: image {output.title} of job {record.job_id} is made of {sorted(made_of)}")
    if not job.is_of_footprint and tile is not None and tile not in job.tiles():
        found.missed.append(f"{about}: job {record.job_id} lacks {tile}")


def _judge_failed(job: Job, cut: Set[str], found: Judgement) -> None:
    """A job of a product whose image proved to be cut: each of its images says so."""
    said = [str(output.fault_message) for output in job.outputs]
    refs = cut & set(job.refs)
    if job.record.final_state != "failed" or not said or not all(any(ref in one for ref in refs) for one in said):
        found.broken.append(
            f"{', '.join(refs)} (cut image): job {job.record.job_id} is {job.record.final_state}, says {said}"
        )


def _judge_tries(day: Day, ref: str, jobs: Sequence[Job], found: Judgement) -> None:
    """The kernel has not tried a cut image again: no task of it twice."""
    most = sum(max(1, len({output.task_id for output in job.outputs})) for job in jobs)
    if day.books.refused[ref] > most:
        found.broken.append(f"{ref} (cut image): tried {day.books.refused[ref]} times for {most} tasks")


def _is_capped(order: StandingOrder) -> bool:
    return order.products_per_month is not None


def _judge_cap(order: StandingOrder, fits: Fits, jobs: Sequence[Job], found: Judgement) -> set[str]:
    """A cap counts products, in however many jobs. Whose order it is has no other.

    Returns
    -------
    set of str
        Products that were certainly made: of an image of two, one may be there for the other's sake.
    """
    cap = order.products_per_month or 0
    sure = {ref for ref, users in fits.items() if users.get(order.user, Wanted()).sure}
    perhaps = {ref for ref, users in fits.items() if users.get(order.user, Wanted()).perhaps}
    its = [job for job in jobs if job.user == order.user]
    made = {job.refs[0] for job in its if len(job.refs) == 1}
    n_least = len(made) + any(not made & set(job.refs) for job in its)
    n_most = len({ref for job in its for ref in job.refs} & perhaps)
    if n_most < min(cap, len(sure)):
        found.missed.append(f"order {order.order_id}: {n_most} products of {len(sure)}, {cap} are allowed")
    if n_least > min(cap, len(perhaps)):
        found.twice.append(f"order {order.order_id}: {n_least} products of {len(perhaps)}, {cap} are allowed")
    return made


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
