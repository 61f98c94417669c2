"""Asks whoever collects traces whether it would take them. A worker works without it, so what is wrong only warns."""

from __future__ import annotations

import re
import ssl

import aiohttp
from pydantic import SecretStr

from orthoagent.errors import AgentError
from orthoagent.finding import Finding
from orthoagent.telemetry import Collector, TelemetrySettings

_LIMIT = aiohttp.ClientTimeout(total=20)
_NETWORK = "open the way to it, or set HTTP_PROXY or HTTPS_PROXY; of NO_PROXY's hosts none is asked through a proxy"


async def ask_collector(told: TelemetrySettings) -> Finding | None:
    """None where no traces are sent."""
    try:
        collector, insights = told.collector(), told.insights
    except AgentError as error:
        return Finding("collector", "fail", str(error), "orthoagent run would not start: correct or unset it")
    if collector is not None:
        return await _ask(collector)
    return None if insights is None else await _ask_insights(insights)


async def _ask(collector: Collector) -> Finding:
    """Sends no spans at all, which is a whole message of OTLP: an empty one."""
    try:
        context = ssl.create_default_context(cafile=collector.ca_file)
        async with aiohttp.ClientSession(trust_env=True, timeout=_LIMIT) as http:
            headers = {**collector.headers, "content-type": "application/x-protobuf"}
            async with http.post(collector.url, data=b"", headers=headers, ssl=context) as answer:
                status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _warn(f"{collector.shown} is not reached: {type(error).__name__}", _NETWORK)
    match status:
        case 200 | 202:
            return Finding("collector", "ok", f"{collector.shown} takes traces")
        case 401 | 403:
            return _warn(f"{collector.shown} refuses ({status})", "OTEL_EXPORTER_OTLP_HEADERS must say what it expects")
        case 404 | 405:
            advice = "is this its port for OTLP over HTTP, mostly 4318, and no path in OTEL_EXPORTER_OTLP_ENDPOINT?"
            return _warn(f"{collector.shown} has nothing there ({status})", advice)
    return _warn(f"{collector.shown} answers {status}", "see its own log")


async def _ask_insights(connection_string: SecretStr) -> Finding:
    """Only whether it is reached: what it takes it says to nobody before."""
    said = re.search(r"(?i)IngestionEndpoint=(https://[^;/]+)", connection_string.get_secret_value())
    url = said[1] if said else "https://dc.services.visualstudio.com"
    try:
        async with aiohttp.ClientSession(trust_env=True, timeout=_LIMIT) as http, http.get(url):
            pass
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _warn(f"{url} is not reached: {type(error).__name__}", _NETWORK)
    return Finding("collector", "ok", f"{url} answers")


def _warn(found: str, advice: str) -> Finding:
    return Finding("collector", "warn", found, advice)
