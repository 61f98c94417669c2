"""A worker's report on queue ``results``."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.collect import collect

blueprint = func.Blueprint()


@blueprint.function_name("results")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_RESULTS, connection=STORAGE)
def results(message: func.QueueMessage) -> None:
    collect(system().ports, system().rules, message.get_body().decode(errors="replace"))
