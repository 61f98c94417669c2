"""One line of JSON for each event, with an ``action`` and the ids it is about; links and passwords never pass."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_LOGGER = logging.getLogger("orthoagent")

# Links carry their signature in `sig`; connection strings carry keys; broker addresses carry passwords.
_SECRETS = (
    (re.compile(r"(?i)\b(sig=)[^&\s'\"]+"), r"\1***"),
    (re.compile(r"(?i)\b(AccountKey=|SharedAccessSignature=)[^;\s'\"]+"), r"\1***"),
    (re.compile(r"(?i)(\btoken\W{1,5})[0-9a-f]{16,}"), r"\1***"),
    (re.compile(r"(?i)(\w+://[^\s:/@]+:)[^\s@/]+@"), r"\1***@"),
)

Value = str | int | float | bool | None


def redact(text: str) -> str:
    """The text without anything that opens a door."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def log(action: str, level: int = logging.INFO, **fields: Value) -> None:
    """Write one event. Fields that are None are left out."""
    _LOGGER.log(level, action, extra={"fields": {name: value for name, value in fields.items() if value is not None}})


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        ours = getattr(record, "fields", None)
        document: dict[str, Value] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        if ours is None:
            document |= {"action": "library", "logger": record.name, "message": record.getMessage()}
        else:
            document |= {"action": record.getMessage(), **ours}
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(document, ensure_ascii=False))


def set_up(level: str) -> None:
    """Send all logs to standard error, other people's from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _LOGGER.setLevel(level.upper())
