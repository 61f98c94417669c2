"""Door one: a blob under ``products/``."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient  # Azure refuses the SDK's class of that name

from orthofunctions.bootstrap import system
from orthofunctions.triggers.connection import STORAGE
from orthofunctions.usecases.upload import take_upload

blueprint = func.Blueprint()


@blueprint.function_name("uploads")
@blueprint.blob_trigger("blob", path="products/{name}", connection=STORAGE, source=func.BlobSource.EVENT_GRID)
def uploads(blob: BlobClient) -> None:
    """Bound to a client, never to bytes: products are gigabytes."""
    if blob.blob_name:
        take_upload(system().ports, blob.blob_name)
