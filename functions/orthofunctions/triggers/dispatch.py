"""A wake on queue ``dispatch``: run rounds."""

from __future__ import annotations

import azure.functions as func

from orthocontracts import names
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.pending import is_wake

blueprint = func.Blueprint()


@blueprint.function_name("dispatch")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_DISPATCH, connection=STORAGE)
def dispatch_on_wake(message: func.QueueMessage) -> None:
    """What the wake says is for the log only: a round looks at everything."""
    if is_wake(message.get_body().decode(errors="replace")):
        system().rounds.answer(system().ports, system().rules)
