"""Poison queues: what no function could process, reconciled with the rows."""

from __future__ import annotations

import logging

from orthocontracts import names
from orthocontracts.messages import Fault, Release, Report
from orthocontracts.tasks import job_of_task
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.batches import batch_in, read_order
from orthofunctions.usecases.collect import is_current
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.keep import keep_for_operators, times_kept
from orthofunctions.usecases.recall import recall
from orthofunctions.usecases.seals import is_sealed
from orthofunctions.usecases.settle import fail_job
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.submit import RequestUnreadableError, read_request
from orthofunctions.usecases.tasks import UNDER_RELEASE, load_task

logger = logging.getLogger(__name__)

POISONED = "Poisoned"
CHANCES = 3
"""How often a request or a report is put back. Its function may have failed because storage did: five tries take half a
minute, and a reconciliation comes once a minute."""
AT_ONCE = 32
_ABOUT_PRODUCTS = (names.QUEUE_ANNOUNCED, names.QUEUE_UPLOADS, names.QUEUE_PROCURED)
_PUT_BACK = (names.QUEUE_REQUESTS, names.QUEUE_RESULTS, *_ABOUT_PRODUCTS)


def reconcile_poison(ports: Ports, rules: Rules, current_version: int = KERNEL_RESULT_VERSION) -> int:
    """Empty the poison queues. Every message that gets no other chance is kept for operators before anything follows.

    Returns
    -------
    int
        How many messages there were.
    """
    n_messages = 0
    pool_queues = [names.pool_queue(spec.name, current_version) for spec in load_site(ports).pools]
    for queue in (*names.QUEUES, *pool_queues):
        # One at a time: a message that has been taken and whose function dies is lost, the others are not.
        for _ in range(AT_ONCE):
            taken = ports.queues.drain(names.poison_queue(queue), 1)
            if not taken:
                break
            n_messages += 1
            if queue in _PUT_BACK and times_kept(ports, queue, taken[0]) <= CHANCES:
                logger.warning("put back what failed too often", extra={"action": "poison", "queue": queue})
                ports.queues.send(queue, taken[0])
                continue
            keep_for_operators(ports, queue, taken[0], "failed too often")
            _reconcile(ports, rules, queue, taken[0])
    return n_messages


def _reconcile(ports: Ports, rules: Rules, queue: str, body: str) -> None:
    if queue == names.QUEUE_REQUESTS:
        _request(ports, body)
    elif queue == names.QUEUE_RESULTS:
        _report(ports, rules, body)
    elif queue == names.QUEUE_DISPATCH:
        logger.warning("a wake failed too often; the timer goes on", extra={"action": "poison", "queue": queue})
    elif queue == names.QUEUE_CALLBACKS:
        logger.warning("a callback failed too often; its row goes on", extra={"action": "poison", "queue": queue})
    elif queue in _ABOUT_PRODUCTS:
        logger.warning("a product could not be taken in", extra={"action": "poison", "queue": queue})
    elif queue not in (names.QUEUE_CAPACITY, names.QUEUE_WANTED):
        _release(ports, rules, body)


def _request(ports: Ports, body: str) -> None:
    """A request that could not be planned ends its job with the reason, where it can be read at all.

    So do all of a batch that could not be sent on, but for those that were.
    """
    batch = batch_in(body)
    if batch is not None:
        order = read_order(ports, batch.user, batch.batch)
        requests = () if order is None else order.requests
    else:
        try:
            requests = (read_request(ports, body),)
        except RequestUnreadableError:
            return
    fault = Fault(kind=POISONED, message="planning failed again and again; operators have been told")
    for request in requests:
        fail_job(ports, open_job(ports, request, "queue"), fault)


def _report(ports: Ports, rules: Rules, body: str) -> None:
    """A report nobody could take in: its delivery counts as failed, unless the catalogue says otherwise."""
    try:
        report = read_message(Report, body)
    except NotUnderstoodError:
        return
    if not is_sealed(ports, report):
        return
    task = load_task(ports, job_of_task(report.task_id), report.task_id)
    if task is not None and report.kind != "started" and is_current(report, task):
        recall(ports, rules, task, f"the report of {report.agent} could not be processed", failed=True)


def _release(ports: Ports, rules: Rules, body: str) -> None:
    """A release whose message nobody could run to an end."""
    try:
        message = read_message(Release, body)
    except NotUnderstoodError:
        return
    task = load_task(ports, job_of_task(message.task_id), message.task_id)
    if task is not None and task.release == message.release and task.state in UNDER_RELEASE:
        recall(ports, rules, task, "its queue message was delivered too often", failed=True)
