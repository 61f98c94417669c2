"""A worker's status on queue ``capacity``."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.capacity import note_status

blueprint = func.Blueprint()


@blueprint.function_name("capacity")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_CAPACITY, connection=STORAGE)
def capacity(message: func.QueueMessage) -> None:
    note_status(system().ports, message.get_body().decode(errors="replace"))
