"""One JSON line an event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("localdev.host")


def log(action: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Write one event.

    Parameters
    ----------
    action : str
        What happened, as ``snake_case`` words.
    error : exception, optional
        Its type, message and trace become fields.
    """
    if error is not None:
        fields["error"] = f"{type(error).__name__}: {error}"
        if level >= logging.ERROR:
            fields["trace"] = "".join(traceback.format_exception(error))
    logger.log(level, action, extra={"fields": fields})


# What every record has; the rest is what the app gave as ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Host events and whatever the app logs, one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if record.name == logger.name and isinstance(fields, dict):
            line |= {"action": record.getMessage(), **fields}
        else:
            line["message"] = record.getMessage()
            line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
            if record.exc_info:
                line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging() -> None:
    """Send every log record to standard error; the storage SDK's request logs only from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("azure").setLevel(logging.WARNING)
    logging.getLogger("azure.functions").setLevel(logging.INFO)
