"""Certificates and keys that came as text: TLS reads them from files only."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path


def as_file(text: str) -> str:
    """The path of a file with this text, which nobody else may read and which goes when this process ends."""
    descriptor, name = tempfile.mkstemp(prefix="orthoburst-", suffix=".pem")  # mode 0600
    atexit.register(Path(name).unlink, missing_ok=True)
    with os.fdopen(descriptor, "w") as file:
        file.write(text.strip() + "\n")
    return name
