"""The release before, as it spoke: real documents, and the schemas by which it read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "0.1.0-2aa8b34"


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


RELEASE: Final = _read("release")
DOCUMENTS: Final = _read("documents")
SCHEMAS: Final = _read("schemas")
