"""The bench of load measures what it says: every task has one result, and none is run twice."""

from __future__ import annotations

import argparse

import pytest

from localdev.bench import load
from localdev.servers.mariadb import GET_MARIADB, has_mariadb


@pytest.mark.slow
@pytest.mark.parametrize("many", [load.MANY, 0], ids=["in the emulator", "blobs in a database"])
def test_a_small_load_is_done_once(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    if not many and not has_mariadb():
        pytest.skip(f"MariaDB is not installed: {GET_MARIADB}")
    monkeypatch.setattr(load, "MANY", many)
    monkeypatch.setattr(load, "LOOK_EVERY_S", 4.0)
    monkeypatch.setattr(load, "AHEAD", 20)
    options = argparse.Namespace(agents=10, tasks=45, sleep=0.3, no_idle=True)
    found = {case.case: case for case in load.cases(options)}
    assert found["lost"].figure == 0
    assert found["doubled"].figure == 0
    assert found["tasks"].figure is not None
    assert found["tasks"].figure > 0
