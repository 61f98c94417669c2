"""Where traces, metrics and logs are sent: what the standard variables of OpenTelemetry, and Azure's, say of it.

Only what decides *whether* there is an exporter is read here; addresses, headers, timeouts and samplers are read by the
exporters themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SIGNALS: Final = ("traces", "metrics", "logs")
CONNECTION_STRING: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_SPOKEN: Final = "http/protobuf"


@dataclass(frozen=True)
class Wanted:
    """``otlp`` and ``azure`` are signals; ``wrong`` is for the log: what was asked for and cannot be done."""

    otlp: frozenset[str] = frozenset()
    azure: frozenset[str] = frozenset()
    wrong: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.otlp or self.azure)

    def has(self, signal: str) -> bool:
        return signal in self.otlp or signal in self.azure


def wanted_exporters(environ: Mapping[str, str]) -> Wanted:
    """Nothing where no variable asks for it."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted()
    otlp: set[str] = set()
    azure: set[str] = set()
    wrong: list[str] = []
    connection = environ.get(CONNECTION_STRING, "").strip()
    to_azure = "instrumentationkey=" in connection.lower()
    if connection and not to_azure:
        wrong.append(f"{CONNECTION_STRING} has no InstrumentationKey: nothing is sent to Azure Monitor")
    for signal in SIGNALS:
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        named = {one.strip().lower() for one in environ.get(variable, "").split(",") if one.strip()}
        if "none" in named:
            continue
        if unknown := sorted(named - {"otlp"}):
            wrong.append(f"{variable} names {', '.join(unknown)}: known are otlp and none")
        if to_azure:
            azure.add(signal)
        if not ("otlp" in named or (not named and _endpoint(environ, signal))):
            continue
        protocol = _of_signal(environ, signal, "PROTOCOL") or _SPOKEN
        if protocol == _SPOKEN:
            otlp.add(signal)
        else:
            wrong.append(f"{signal} are not sent over OTLP: its protocol is {protocol}, known is {_SPOKEN}")
    return Wanted(frozenset(otlp), frozenset(azure), tuple(wrong))


def _endpoint(environ: Mapping[str, str], signal: str) -> str:
    return _of_signal(environ, signal, "ENDPOINT")


def _of_signal(environ: Mapping[str, str], signal: str, what: str) -> str:
    """The signal's own variable goes before the one for all."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()
