"""Scratch folders: one agent each, and nothing left on a node by batch jobs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orthoagent.adapters.scratch import ABANDONED_S, own_scratch
from orthoagent.errors import AgentTwiceError
from orthoagent.settings import Settings


def killed(folder: Path, name: str, age_s: float) -> Path:
    """What an agent leaves that had no time to tidy up."""
    (folder / name / "task-1-1" / "in").mkdir(parents=True)
    lock = folder / name / ".lock"
    lock.touch()
    os.utime(lock, (time.time() - age_s, time.time() - age_s))
    return folder / name


def test_what_killed_batch_jobs_left_goes_with_the_next_agent(tmp_path: Path) -> None:
    old, slurm, young, daemon = (
        killed(tmp_path, "pilot-hpc-1", ABANDONED_S + 1),
        killed(tmp_path, "slurm-17", ABANDONED_S + 1),
        killed(tmp_path, "pilot-hpc-2", ABANDONED_S - 60),
        killed(tmp_path, "node7", ABANDONED_S + 1),
    )
    with own_scratch(tmp_path / "pilot-hpc-3", "pilot-hpc-3"):
        assert [path.exists() for path in (old, slurm, young, daemon)] == [False, False, True, True]
        lock = tmp_path / "pilot-hpc-3" / ".lock"
        os.utime(lock, (0, 0))
        with own_scratch(tmp_path / "pilot-hpc-4", "pilot-hpc-4"):
            assert lock.exists(), "an old one that lives"
    assert not (tmp_path / "pilot-hpc-3").exists()


def test_a_daemons_folder_is_its_own_and_stays(tmp_path: Path) -> None:
    folder = killed(tmp_path, "node7", 0)
    with own_scratch(folder, "node7"):
        assert not (folder / "task-1-1").exists()
        with pytest.raises(AgentTwiceError), own_scratch(folder, "node7"):
            pass
    assert folder.exists()


def test_batch_jobs_on_several_nodes_share_a_home_and_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    plain = Settings(storage="x", pool="hpc").cache  # type: ignore[arg-type]
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert Settings(storage="x", pool="hpc").cache.parent == plain  # type: ignore[arg-type]
