"""Every kind of fault at once, in minutes: nothing lost, nothing committed twice, every pixel right."""

from __future__ import annotations

from pathlib import Path

import pytest

from localdev.chaos.faults import KINDS, STORAGE_KINDS
from localdev.chaos.run import Calm, Order, run

pytestmark = pytest.mark.slow

ALL = Order(20261126, tasks=20, minutes=0.5, every_s=2.0, one_by_one=False)
STORAGE = Order(20261126, tasks=10, minutes=0.2, every_s=1.5, one_by_one=False, kinds=STORAGE_KINDS)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """The same work without faults."""
    return Calm.run(ALL, tmp_path_factory.mktemp("calm"))


def test_whatever_befalls_nothing_is_lost_doubled_or_wrong(tmp_path: Path, calm: Calm) -> None:
    verdict = run(ALL, tmp_path, calm)
    assert (verdict.lost, verdict.committed_twice, verdict.wrong_pixels) == (0, 0, 0), verdict
    missed = [kind for kind in KINDS if not verdict.faults[kind]]
    assert missed in ([], ["fill_disk"]), verdict.notes  # a small disk takes root
    assert verdict.succeeded == verdict.tasks >= 15


def test_storage_in_trouble_never_counts_as_an_attempt(tmp_path: Path, calm: Calm) -> None:
    verdict = run(STORAGE, tmp_path, calm)
    assert (verdict.lost, verdict.committed_twice, verdict.wrong_pixels) == (0, 0, 0), verdict
    assert verdict.counted_attempts == 0, verdict
