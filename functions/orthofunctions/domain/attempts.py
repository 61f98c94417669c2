"""How often a task may try again, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from orthofunctions.domain.records import TaskRecord
from orthofunctions.domain.rules import Rules


def attempts(task: TaskRecord) -> int:
    return task.failures + task.silences


def used_up(task: TaskRecord, rules: Rules) -> bool:
    return attempts(task) >= rules.max_attempts


def not_before(task: TaskRecord, rules: Rules, now: datetime) -> datetime:
    """End of the back-off after the task's latest attempt: doubled each time, up to a limit."""
    wait_s = min(rules.backoff_s * 2.0 ** (max(1, attempts(task)) - 1), rules.max_backoff_s)
    return now + timedelta(seconds=wait_s)
