"""HTTP triggers: routes, keys, and the way from an aiohttp request to ``func.HttpRequest`` and back."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

import azure.functions as func
from aiohttp import web
from azure.functions.http import HttpRequest
from multidict import CIMultiDict, MultiMapping

from localdev.host.errors import FunctionFailedError
from localdev.host.invoker import Invoker
from localdev.host.logs import log
from localdev.host.specs import FunctionSpec, HttpTrigger

MAX_BODY_BYTES = 100 * 1024 * 1024  # Azure's limit
KEY_SETTING = "LOCALDEV_FUNCTION_KEY"
KEY_HEADER, KEY_PARAMETER = "x-functions-key", "code"
# aiohttp writes these itself
OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


class HttpDoor:
    """Serves the HTTP functions of an app on a loopback port.

    Parameters
    ----------
    functions : sequence of (FunctionSpec, HttpTrigger)
    prefix : str
        ``extensions.http.routePrefix`` without slashes.
    key : str, optional
        What ``x-functions-key`` or ``?code=`` must hold for routes that are not anonymous; without it they are open, as
        they are under Core Tools on a developer's machine.
    """

    def __init__(
        self,
        functions: Sequence[tuple[FunctionSpec, HttpTrigger]],
        invoker: Invoker,
        prefix: str,
        *,
        key: str | None = None,
    ) -> None:
        self._functions = sorted(functions, key=lambda each: (each[1].route.rank, each[0].name))
        self._invoker, self._key = invoker, key
        self._prefix = f"/{prefix}" if prefix else ""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._app = app

    async def start(self, port: int, grace_s: float) -> str:
        """Listen on loopback and return the base address; port 0 takes a free one."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=grace_s)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        host, bound = self._runner.addresses[0][:2]
        return f"http://{host}:{bound}"

    async def stop(self) -> None:
        """Take no more requests, finish those begun within the grace time."""
        await self._runner.cleanup()

    def _find(self, method: str, path: str) -> tuple[FunctionSpec, HttpTrigger, dict[str, str]] | None:
        if not (path + "/").startswith(self._prefix + "/"):
            return None
        rest = path[len(self._prefix) :]
        for spec, trigger in self._functions:
            if method in trigger.methods and (values := trigger.route.match(rest)) is not None:
                return spec, trigger, values
        return None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        found = self._find(request.method, path)
        if found is None:
            return web.Response(status=404)
        spec, trigger, values = found
        if not self._may(request, trigger):
            return web.Response(status=401)
        given = HttpRequest(
            method=request.method,
            url=f"{request.scheme}://{request.host}{request.raw_path}",
            headers=_joined(request.headers, ", "),
            params=_joined(request.query, ","),
            route_params=values,
            body_type="bytes",
            body=await request.read(),
        )
        try:
            result = await self._invoker.invoke(spec, given, method=request.method, path=path)
            return _response(result, request.method)
        except FunctionFailedError:
            return web.Response(status=500)  # the log has the reason; the caller gets no trace
        except TypeError as error:
            log("bad_response", function=spec.name, error=error)
            return web.Response(status=500)

    def _may(self, request: web.Request, trigger: HttpTrigger) -> bool:
        if self._key is None or trigger.auth_level == "anonymous":
            return True
        shown = request.headers.get(KEY_HEADER) or request.query.get(KEY_PARAMETER) or ""
        return hmac.compare_digest(shown.encode(), self._key.encode())


def _joined(values: MultiMapping[str], separator: str) -> Mapping[str, str]:
    """The functions host hands a repeated name on as one value."""
    return {name: separator.join(values.getall(name)) for name in values}


def _response(result: object, method: str) -> web.Response:
    """What a function's return value answers.

    Raises
    ------
    TypeError
        When it is neither a response, a string nor None.
    """
    if result is None:
        return web.Response(status=204)
    if isinstance(result, str):
        return web.Response(text=result)
    if not isinstance(result, func.HttpResponse):
        raise TypeError(f"an HTTP function returned a {type(result).__name__}")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in result.headers.items():
        # To HEAD the app answers with the length of what GET would send.
        if name.lower() not in OWN_HEADERS or (method == "HEAD" and name.lower() == "content-length"):
            headers.add(name, value)
    if "content-type" not in headers:
        charset = f"; charset={result.charset}" if str(result.mimetype).startswith("text/") else ""
        headers["content-type"] = f"{result.mimetype}{charset}"
    return web.Response(status=result.status_code, headers=headers, body=result.get_body())
