"""What ``orthoagent procure`` says of products it was to fetch, on queue ``procured``; and the clock for who waits."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthocontracts.procurement import Procured
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.wanted import look_after_waiters, take_outcome

blueprint = func.Blueprint()


@blueprint.function_name("procured")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_PROCURED, connection=STORAGE)
def procured(message: func.QueueMessage) -> None:
    ports, body = system().ports, message.get_body().decode(errors="replace")
    try:
        outcome = read_message(Procured, body)
    except NotUnderstoodError as error:
        keep_for_operators(ports, names.QUEUE_PROCURED, body, str(error))
        return
    take_outcome(ports, outcome)


@blueprint.function_name("waiters")
@blueprint.timer_trigger("timer", schedule="25 * * * * *")
def run_waiters(timer: func.TimerRequest) -> None:
    look_after_waiters(system().ports, system().rules)
