"""Door three, and everything else people ask over HTTP: the API behind one function."""

from __future__ import annotations

import azure.functions as func

from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import system

blueprint = func.Blueprint()
_asgi = func.AsgiMiddleware(create_app(system))


@blueprint.function_name("http")
@blueprint.route(
    route="{*path}", methods=["GET", "POST", "DELETE", "HEAD", "OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS
)
async def http(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """The API checks its callers itself: ANONYMOUS only means that no function key is wanted besides."""
    answer: func.HttpResponse = await _asgi.handle_async(req, context)
    return answer
