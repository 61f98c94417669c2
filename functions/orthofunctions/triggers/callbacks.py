"""What a job's subscriber is to be told: a message on queue ``callbacks``."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.deliver import deliver

blueprint = func.Blueprint()


@blueprint.function_name("callbacks")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_CALLBACKS, connection=STORAGE)
def callbacks(message: func.QueueMessage) -> None:
    from orthofunctions.api.callbacks import callback_body  # noqa: PLC0415 (the API is slow to load: see http)

    here = system()
    body = message.get_body().decode(errors="replace")
    deliver(here.ports, here.poster, body, lambda job, kind: callback_body(here, job, kind))
