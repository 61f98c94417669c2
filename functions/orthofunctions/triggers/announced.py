"""A product of somebody else's archive, on queue ``announced``; and the clock for looks through catalogues."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.bootstrap import system
from orthofunctions.domain.announced import Announced
from orthofunctions.telemetry import going_on
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.poll import look_for_products

blueprint = func.Blueprint()


@blueprint.function_name("announced")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_ANNOUNCED, connection=STORAGE)
def announced(message: func.QueueMessage) -> None:
    ports, body = system().ports, message.get_body().decode(errors="replace")
    try:
        product = read_message(Announced, body)
    except NotUnderstoodError as error:
        keep_for_operators(ports, names.QUEUE_ANNOUNCED, body, str(error))
        return
    with going_on(product.traceparent):
        take_announced(ports, product, system().rules.neighbour_wait_s)


@blueprint.function_name("catalogues")
@blueprint.timer_trigger("timer", schedule="45 * * * * *")
def run_catalogues(timer: func.TimerRequest) -> None:
    look_for_products(system().ports, system().ports.pages)
