"""Which tiles of a pass each order must have, and of which slices: by shapely and counting, tile by tile.

How the functions cut tiles into jobs is theirs. At the day's end every tile of a slice that fits exists of all slices
that certainly have part of it; no tile was asked for twice of the same slices, or of fewer than were there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from localdev.day.fits import Fits, Wanted, may_touch, sure_tiles
from localdev.day.made import Job
from localdev.day.run import Day
from localdev.day.scenes import Scene


@dataclass
class Slices:
    """What is wrong with a day's tiles, in words.

    Attributes
    ----------
    n_seams : int
        Tiles that are there of several slices, of all orders.
    n_vain : int
        Jobs that waited in vain.
    n_early : int
        Those of them whose neighbour came after all.
    """

    missed: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    n_seams: int = 0
    n_vain: int = 0
    n_early: int = 0


def pass_of(scene: Scene) -> tuple[str, ...]:
    """Equal for slices of one datatake: satellite, mode, orbit and datatake, of their names."""
    *words, orbit, datatake, _ = scene.name.split("_")
    return (*words[:4], orbit, datatake)


class PassJudge:
    """Knows the slices that functions can see whole, and the jobs that are about them.

    Parameters
    ----------
    made : mapping
        Products of orders with a cap that were certainly made, by user: what else fits them may be left out.
    """

    def __init__(
        self, day: Day, scenes: Sequence[Scene], fits: Fits, jobs: Sequence[Job], made: Mapping[str, Collection[str]]
    ) -> None:
        self._day, self._fits, self._jobs, self._made = day, fits, jobs, made
        self._scenes = {scene.ref: scene for scene in scenes}
        self._sure = {scene.ref: sure_tiles(scene) for scene in scenes}
        whole: defaultdict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
        for scene in scenes:
            for tile in self._sure[scene.ref]:
                whole[pass_of(scene), tile].add(scene.ref)
        self._whole = dict(whole)
        self._asked: defaultdict[tuple[str, str], defaultdict[frozenset[str], list[Job]]]
        self._asked = defaultdict(lambda: defaultdict(list))
        for job in jobs:
            for tile in job.tiles():
                self._asked[job.user, tile][frozenset(job.refs)].append(job)
        self._found = Slices()

    def judge(self) -> Slices:
        for scene in self._scenes.values():
            for tile in self._sure[scene.ref]:
                self._judge_there(scene, tile)
        replaced = {job_id for job in self._jobs for job_id in job.replaces}
        early: set[str] = set()
        for (user, tile), by_refs in self._asked.items():
            for refs, jobs in by_refs.items():
                self._judge_count(user, tile, refs, jobs)
                for job in jobs if refs <= self._scenes.keys() else []:
                    early.update(self._judge_early(job, tile, refs, replaced))
        self._found.n_early = len(early)
        self._found.n_vain = sum(job.created_at >= self._due_at(job.user, job.refs) for job in self._jobs)
        return self._found

    def _judge_there(self, scene: Scene, tile: str) -> None:
        """Each order that a slice fits has the tile of all slices that have part of it."""
        for user, wanted in self._fits[scene.ref].items():
            whole = self._whole_for(user, scene, tile)
            least = len(wanted.sure)
            if user in self._made:
                least = scene.ref in self._made[user]
            there = self._asked[user, tile]
            n_whole = sum(len(jobs) for refs, jobs in there.items() if whole <= refs)
            self._found.n_seams += n_whole if len(whole) > 1 and scene.ref == min(whole) else 0
            if n_whole < least:
                n_any = sum(len(jobs) for refs, jobs in there.items() if scene.ref in refs)
                self._found.missed.append(
                    f"{', '.join(sorted(whole))}: {user} has {tile} of all of them in {n_whole} jobs, "
                    f"not {int(least)}; of fewer in {n_any - n_whole}"
                )

    def _judge_count(self, user: str, tile: str, refs: frozenset[str], jobs: Sequence[Job]) -> None:
        """No more jobs than orders that one of the slices may fit; all slices of one pass, on the tile."""
        known = [self._scenes[ref] for ref in refs if ref in self._scenes]
        orders = {order for one in known for order in self._fits[one.ref].get(user, Wanted()).perhaps}
        ids = ", ".join(job.record.job_id for job in jobs)
        if len(jobs) > len(orders):
            self._found.twice.append(
                f"{', '.join(sorted(refs))}: {user} has {tile} in {len(jobs)} jobs, not {len(orders)}: {ids}"
            )
        if len(known) < len(refs) or len({pass_of(one) for one in known}) > 1:
            self._found.twice.append(f"jobs {ids}: {', '.join(sorted(refs))} are not whole slices of one pass")
        self._found.twice += [
            f"jobs {ids}: {one.ref} has no part of {tile}" for one in known if not may_touch(one, tile)
        ]

    def _judge_early(self, job: Job, tile: str, refs: frozenset[str], replaced: Collection[str]) -> Iterator[str]:
        """Of a job whose tile others have part of too: they came after it had waited, and another job replaces it."""
        lacking = self._whole_for(job.user, self._scenes[min(refs)], tile) - refs
        if not lacking:
            return
        yield job.record.job_id
        said = f"job {job.record.job_id} has {tile} without {', '.join(sorted(lacking))}"
        told_at = [self._day.told_at[ref] for ref in lacking if ref in self._day.told_at]
        if told_at and job.created_at > min(told_at) + timedelta(seconds=self._day.lag_s):
            self._found.twice.append(f"{said}, there since {min(told_at):%H:%M:%S}")
        if job.created_at < self._due_at(job.user, refs):
            self._found.twice.append(f"{said}, and did not wait for it")
        if job.record.job_id not in replaced:
            self._found.missed.append(f"{said}, and no job replaces it")

    def _whole_for(self, user: str, scene: Scene, tile: str) -> set[str]:
        """Slices of a pass that certainly have part of a tile. One for which a month is full completes no others."""
        whole = self._whole.get((pass_of(scene), tile), set())
        if user not in self._made:
            return whole
        return {ref for ref in whole if ref in self._made[user] or user not in self._fits[ref]}

    def _due_at(self, user: str, refs: Collection[str]) -> datetime:
        """Until when a tile waits, by the least patient order of a user."""
        wait_s = self._day.system.rules.neighbour_wait_s
        within_s = [one.within_s / 2 for one in self._day.orders if one.user == user and one.within_s]
        return max(self._day.came_at[ref] for ref in refs) + timedelta(seconds=min([wait_s, *within_s]))
