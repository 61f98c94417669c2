"""When which fault strikes: a deck of all kinds, shuffled by the seed, dealt again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from localdev.chaos.faults import KINDS
from localdev.chaos.site import Site

log = logging.getLogger(__name__)

NO_TARGET_AGAIN_S = 1.0
ALONE_LIMIT_S, TARGET_LIMIT_S = 60.0, 20.0


class Storm:
    """Deals the decks. In every other one faults come one by one, each when what the last has hit goes on again: what
    recovery is measured by. In the others one comes every few seconds, and they overlap.

    Attributes
    ----------
    struck : Counter
        By kind.
    alone, mixed : dict
        Seconds of recovery, by kind: where there was no other fault, and among others.
    broke : list of str
        What went wrong with a fault itself.
    """

    def __init__(self, site: Site, kinds: Sequence[str], every_s: float, *, one_by_one: bool) -> None:
        self._site, self._kinds, self._every_s = site, kinds, every_s
        self._one_by_one = one_by_one
        self._threads: list[threading.Thread] = []
        self.struck: Counter[str] = Counter()
        self.alone: dict[str, list[float]] = {}
        self.mixed: dict[str, list[float]] = {}
        self.broke: list[str] = []

    def rage(self, is_over: Callable[[], bool]) -> None:
        """Until it is over; returns when every fault has been undone."""
        alone = self._one_by_one
        while not self.struck or not is_over():
            deck = self._site.rng.sample(list(self._kinds), len(self._kinds))
            self._site.watch.recovered = self.alone if alone else self.mixed
            if alone:
                self._one_after_the_other(deck, is_over)
            else:
                self._all_together(deck)
            alone = self._one_by_one and not alone
        self._site.stop.set()
        self._end_all()

    def _one_after_the_other(self, deck: Sequence[str], is_over: Callable[[], bool]) -> None:
        for kind in deck:
            until_s = time.monotonic() + ALONE_LIMIT_S
            while not self._strike(kind) and time.monotonic() < until_s and not is_over():
                self._site.pause(NO_TARGET_AGAIN_S)
            while self._site.watch.waits and time.monotonic() < until_s and not is_over():
                self._site.pause(0.2)
            self._site.watch.forget()

    def _all_together(self, deck: Sequence[str]) -> None:
        for kind in deck:
            thread = threading.Thread(target=self._strike_some_time, args=(kind,), name=kind, daemon=True)
            self._threads.append(thread)
            thread.start()
            self._site.pause(self._site.rng.uniform(0.5, 1.5) * self._every_s)
        self._end_all()

    def _end_all(self) -> None:
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _strike_some_time(self, kind: str) -> None:
        """A target may come a little later: a cloud worker is not always there."""
        until_s = time.monotonic() + TARGET_LIMIT_S
        while not self._strike(kind) and time.monotonic() < until_s and not self._site.stop.is_set():
            self._site.pause(NO_TARGET_AGAIN_S)

    def _strike(self, kind: str) -> bool:
        try:
            found = KINDS[kind](self._site)
        except Exception as error:
            self.broke.append(f"{kind}: {error}")
            log.exception("%s broke", kind)
            return True
        if found:
            log.info("struck: %s", kind)
            self.struck[kind] += 1
        return found
