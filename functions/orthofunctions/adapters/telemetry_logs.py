"""What the functions log, with its fields, by OpenTelemetry's SDK: the host that we run in passes none on."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Final

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.util.types import AnyValue

from orthofunctions.adapters.telemetry_spans import context_of
from orthofunctions.telemetry import current_traceparent

OURS: Final = "orthofunctions"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PERSONAL: Final = frozenset({"user"})
_LONGEST: Final = 8000
_SECRET: Final = re.compile(r"\b(sig|token|access_token|key|password)=[^&\s'\")]+", re.IGNORECASE)

_SEVERITIES: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
)


class FieldsHandler(logging.Handler):
    """Sends records with what they were given as ``extra``; those of a job with its trace."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__(logging.INFO)
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._provider.get_logger(record.name).emit(_translated(record))
        except Exception:
            self.handleError(record)


def _told(text: str) -> str:
    """What libraries say of a connection quotes its address, signature and all."""
    return _SECRET.sub(r"\1=…", text)


def _translated(record: logging.LogRecord) -> LogRecord:
    number, text = next(
        ((number, text) for least, number, text in _SEVERITIES if record.levelno >= least),
        (SeverityNumber.DEBUG, "DEBUG"),
    )
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD | _PERSONAL}
    attributes: dict[str, AnyValue] = {
        name: value if isinstance(value, bool | int | float) else str(value)[:_LONGEST]
        for name, value in fields.items()
        if value is not None
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, _ = record.exc_info
        attributes["exception.type"] = kind.__name__
        attributes["exception.message"] = _told(str(error))[:_LONGEST]
        attributes["exception.stacktrace"] = _told("".join(traceback.format_exception(error)))[-_LONGEST:]
    moment_ns = int(record.created * 1e9)
    return LogRecord(
        timestamp=moment_ns,
        observed_timestamp=moment_ns,
        context=context_of(current_traceparent()),
        severity_number=number,
        severity_text=text,
        body=record.getMessage(),
        attributes=attributes,
    )
