"""Door one: a blob under ``products/``; and what is looked at again because something was missing."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient  # Azure refuses the SDK's class of that name

from orthocontracts import names
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.asking import Waiting
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.upload import LookAgain, take_upload

blueprint = func.Blueprint()


@blueprint.function_name("uploads")
@blueprint.blob_trigger("blob", path="products/{name}", connection=STORAGE, source=func.BlobSource.EVENT_GRID)
def uploads(blob: BlobClient) -> None:
    """Bound to a client, never to bytes: products are gigabytes."""
    if blob.blob_name:
        take_upload(system().ports, blob.blob_name, Waiting(system().rules.neighbour_wait_s))


@blueprint.function_name("uploads-again")
@blueprint.queue_trigger("message", queue_name=names.QUEUE_UPLOADS, connection=STORAGE)
def uploads_again(message: func.QueueMessage) -> None:
    ports, body = system().ports, message.get_body().decode(errors="replace")
    try:
        again = read_message(LookAgain, body)
    except NotUnderstoodError as error:
        keep_for_operators(ports, names.QUEUE_UPLOADS, body, str(error))
        return
    take_upload(ports, again.blob, Waiting(system().rules.neighbour_wait_s, again.seen_at))
