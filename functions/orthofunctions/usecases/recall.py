"""Recall: a release that will not end well is ended, and its task waits again."""

from __future__ import annotations

import logging

from orthocontracts.messages import Fault
from orthocontracts.states import TaskState
from orthofunctions.domain.history import RECALLED
from orthofunctions.domain.records import TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.collect import still_open
from orthofunctions.usecases.tasks import digests_of, log_fields, requeue, settle

logger = logging.getLogger(__name__)


def recall(
    ports: Ports,
    rules: Rules,
    task: TaskRecord,
    why: str,
    *,
    failed: bool = False,
    blameless: bool = False,
    cut_short: bool = False,
) -> bool:
    """End a released or running task's release; an attempt is counted where a delivery had started.

    ``failed`` counts it as a failure, whether or not it was seen to start, ``blameless`` as none at all; ``cut_short``:
    there was no money for more of its run.

    The catalogue is asked first: what is committed stays, and a task whose outputs are all there has ended.

    Returns
    -------
    bool
        False where the row changed meanwhile: then nothing was recalled.
    """
    digests = digests_of(ports, task)
    if not still_open(ports, task, digests):
        return settle(ports, task.job_id, task.task_id, digests)
    logger.warning("recalled: %s", why, extra=log_fields("recalled", task))
    return requeue(
        ports,
        rules,
        task,
        fault=Fault(kind=RECALLED, message=why),
        failures=1 if failed else 0,
        silences=1 if task.state is TaskState.RUNNING and not failed and not blameless else 0,
        cut_short=cut_short,
        stop_agent=True,
    )
