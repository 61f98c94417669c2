"""The bench of load measures what it says: every task has one result, and none is run twice."""

from __future__ import annotations

import argparse

import pytest

from localdev.bench import load


@pytest.mark.slow
def test_a_small_load_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LOOK_EVERY_S", 4.0)
    monkeypatch.setattr(load, "AHEAD", 20)
    options = argparse.Namespace(agents=10, tasks=45, sleep=0.3, no_idle=True)
    found = {case.case: case for case in load.cases(options)}
    assert found["lost"].figure == 0
    assert found["doubled"].figure == 0
    assert found["tasks"].figure is not None
    assert found["tasks"].figure > 0
