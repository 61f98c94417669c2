"""Where traces go: the variables of OpenTelemetry and of Application Insights, under the names those gave them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from orthoagent.errors import AgentError
from orthoagent.tracing import PassOn, Tracer
from orthoagent.vitals import Vitals

FLUSH_LIMIT_S = 3.0
"""How long the end of a worker may wait for its last spans to be taken."""
VARIABLES = ("OTEL_", "APPLICATIONINSIGHTS_")
"""How all of them begin."""
_TRACES = "/v1/traces"


class TelemetrySettings(BaseSettings):
    """What decides whether, and where to, a worker sends traces. Without an address it sends none."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    otel_exporter_otlp_endpoint: SecretStr | None = Field(
        default=None,
        description="http://HOST:4318 or https://… of an OpenTelemetry collector, by OTLP over HTTP; none by default. "
        "Needs the extra telemetry, as the next and APPLICATIONINSIGHTS_CONNECTION_STRING do",
    )
    otel_exporter_otlp_traces_endpoint: SecretStr | None = Field(
        default=None, description="the whole address for traces, where it is another than /v1/traces there"
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        default=None, description="what the collector wants to see, authorization=Bearer%20… say; a secret"
    )
    otel_exporter_otlp_traces_headers: SecretStr | None = Field(default=None, description="the same, for traces only")
    otel_exporter_otlp_certificate: Path | None = Field(
        default=None,
        description="PEM file with the collector's certificate authority; by default SSL_CERT_FILE, or the system's",
    )
    otel_exporter_otlp_protocol: str = Field(default="http/protobuf", description="the only one there is")
    otel_service_name: str = Field(default="orthoagent", description="what workers are called in traces")
    otel_resource_attributes: str = Field(default="", description="what else all its spans say: site=north,room=2")
    otel_traces_sampler: str = Field(
        default="parentbased_always_on", description="which traces are kept, and OTEL_TRACES_SAMPLER_ARG with it"
    )
    otel_traces_exporter: str = Field(default="otlp", description="none: nothing goes to the collector")
    otel_sdk_disabled: str = Field(default="false", description="true: no traces at all")
    applicationinsights_connection_string: SecretStr | None = Field(
        default=None, description="Application Insights that traces go to, besides or instead"
    )
    applicationinsights_authentication_string: str | None = Field(
        default=None,
        description="how a worker in Azure proves to it who it is: Authorization=AAD;ClientId=… of a managed identity",
    )

    def collector(self) -> Collector | None:
        """The collector that traces go to.

        Raises
        ------
        AgentError
            Where what is set cannot be used.
        """
        if self._is_disabled or self.otel_traces_exporter == "none":
            return None
        whole, base = self.otel_exporter_otlp_traces_endpoint, self.otel_exporter_otlp_endpoint
        name = "OTEL_EXPORTER_OTLP_ENDPOINT" if whole is None else "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        if whole is not None:
            url = whole.get_secret_value()
        elif base is not None:
            url = base.get_secret_value().removesuffix("/") + _TRACES
        else:
            return None
        if self.otel_exporter_otlp_protocol != "http/protobuf":
            raise AgentError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL is {self.otel_exporter_otlp_protocol}: workers speak http/protobuf, "
                "which collectors take on port 4318"
            )
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise AgentError(f"{name} must be like http://collector:4318; it begins with {urlsplit(url).scheme!r}")
        if self.otel_traces_exporter != "otlp":
            raise AgentError(f"OTEL_TRACES_EXPORTER is {self.otel_traces_exporter}: workers know otlp and none")
        headers = self.otel_exporter_otlp_traces_headers or self.otel_exporter_otlp_headers
        return Collector(url, _headers(headers.get_secret_value() if headers else ""), self._authorities())

    def _authorities(self) -> str | None:
        """What the worker's other connections trust, the exporter's trusts too: ``requests`` has its own list."""
        if self.otel_exporter_otlp_certificate is not None:
            if not self.otel_exporter_otlp_certificate.is_file():
                raise AgentError(f"OTEL_EXPORTER_OTLP_CERTIFICATE: {self.otel_exporter_otlp_certificate} is no file")
            return str(self.otel_exporter_otlp_certificate)
        return ssl.get_default_verify_paths().cafile

    @property
    def insights(self) -> SecretStr | None:
        return None if self._is_disabled else self.applicationinsights_connection_string

    @property
    def _is_disabled(self) -> bool:
        return self.otel_sdk_disabled.strip().lower() == "true"  # all else means no, by the specification


@dataclass(frozen=True)
class Collector:
    """``headers`` may hold a secret, and so may the address."""

    url: str
    headers: dict[str, str]
    ca_file: str | None

    @property
    def shown(self) -> str:
        """Its address without what is nobody's business."""
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}{url.path}"


def _headers(text: str) -> dict[str, str]:
    """``name=value,name=value``, percent-encoded as in W3C Baggage."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs}


@contextlib.asynccontextmanager
async def open_tracer(told: TelemetrySettings, about: dict[str, str], vitals: Vitals) -> AsyncIterator[Tracer]:
    """What traces deliveries while the block runs; ``about`` is the worker's ``agent``, ``pool`` and ``version``.

    Raises
    ------
    AgentError
        Where what is set cannot be used, or is set and its packages are not installed.
    """
    collector, insights = told.collector(), told.insights
    if collector is None and insights is None:
        yield PassOn()
        return
    try:
        from orthoagent.adapters.spans import Spans  # noqa: PLC0415 (half a second, and only where it is asked for)

        spans = Spans.sent_to(collector, insights, about=about, vitals=vitals)
    except ModuleNotFoundError as error:
        name = "OTEL_EXPORTER_OTLP_ENDPOINT" if collector is not None else "APPLICATIONINSIGHTS_CONNECTION_STRING"
        raise AgentError(
            f"{name} is set, and {error.name} is not installed: pip install 'orthoburst[telemetry]', or unset it"
        ) from error
    try:
        yield spans
    finally:
        await spans.close(FLUSH_LIMIT_S)
