"""Door three, and everything else people ask over HTTP: the API behind one function."""

from __future__ import annotations

from functools import cache

import azure.functions as func

from orthofunctions.bootstrap import system

blueprint = func.Blueprint()


@cache
def _asgi() -> func.AsgiMiddleware:
    """The API, loaded with the first call: it takes a third of the app's import, and most instances serve no HTTP."""
    from orthofunctions.api.app import create_app  # noqa: PLC0415

    return func.AsgiMiddleware(create_app(system))


@blueprint.function_name("http")
@blueprint.route(
    route="{*path}", methods=["GET", "POST", "DELETE", "HEAD", "OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS
)
async def http(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """The API checks its callers itself: ANONYMOUS only means that no function key is wanted besides."""
    answer: func.HttpResponse = await _asgi().handle_async(req, context)
    return answer
