"""Every kind of fault at once, in two minutes: nothing lost, nothing committed twice, every pixel right."""

from __future__ import annotations

from pathlib import Path

import pytest

from localdev.chaos.faults import KINDS, STORAGE_KINDS
from localdev.chaos.run import Order, run

SEED = 20261126


@pytest.mark.slow
def test_whatever_befalls_nothing_is_lost_doubled_or_wrong(tmp_path: Path) -> None:
    verdict = run(Order(SEED, tasks=24, minutes=0.5, every_s=2.0, one_by_one=False), tmp_path)
    assert (verdict.lost, verdict.committed_twice, verdict.wrong_pixels) == (0, 0, 0), verdict
    missed = [kind for kind in KINDS if not verdict.faults[kind]]
    assert missed in ([], ["fill_disk"]), verdict.notes
    assert verdict.succeeded == verdict.tasks >= 20


@pytest.mark.slow
def test_storage_in_trouble_never_counts_as_an_attempt(tmp_path: Path) -> None:
    order = Order(SEED, tasks=12, minutes=0.3, every_s=1.5, one_by_one=False, kinds=STORAGE_KINDS)
    verdict = run(order, tmp_path)
    assert (verdict.lost, verdict.committed_twice, verdict.wrong_pixels) == (0, 0, 0), verdict
    assert verdict.counted_attempts == 0, verdict
