"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orthoagent.logs import redact

Mark = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    mark: Mark
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.mark:<4}  {self.check:<10}  {redact(self.found)}"
        return f"{line}\n{'':18}-> {self.advice}" if self.advice else line
