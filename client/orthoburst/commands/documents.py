"""Files of JSON that a command is given."""

from __future__ import annotations

import json
from pathlib import Path

from orthoburst.errors import UsageError


def object_in(path: Path, expected: str) -> dict[str, object]:
    """The object that a file holds; ``expected`` says what it should be.

    Raises
    ------
    UsageError
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not text in UTF-8 ({error.reason})") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {expected}")
    return found
