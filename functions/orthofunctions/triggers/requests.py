"""Door two, where all doors end: a message on queue ``requests`` is planned; a batch becomes such messages."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthocontracts.tracing import traceparent_in
from orthofunctions.bootstrap import system
from orthofunctions.telemetry import going_on
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.batch_changes import carry_out
from orthofunctions.usecases.batches import batch_in
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.submit import RequestUnreadableError, read_request

blueprint = func.Blueprint()


@blueprint.function_name("requests")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_REQUESTS, connection=STORAGE)
def requests(message: func.QueueMessage) -> None:
    here = system()
    body = message.get_body().decode(errors="replace")
    batch = batch_in(body)
    if batch is not None:
        carry_out(here.ports, batch)
        return
    try:
        request = read_request(here.ports, body)
    except RequestUnreadableError as error:
        keep_for_operators(here.ports, names.QUEUE_REQUESTS, body, f"{error.kind}: {error}")
        return
    with going_on(traceparent_in(body)):
        plan_request(here.ports, request, here.limits, here.rules)
