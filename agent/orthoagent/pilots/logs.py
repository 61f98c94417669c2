"""Logs of pilots: each has a file of its own, which is kept for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

KEEP_S = 7 * 86_400.0
EVERY_S = 3600.0


async def keep_logs_few(folder: Path) -> None:
    """Remove old logs, now and every hour, until cancelled."""
    while True:
        await asyncio.to_thread(remove_old_logs, folder, time.time())
        await asyncio.sleep(EVERY_S)


def remove_old_logs(folder: Path, now_s: float) -> None:
    """Those that nothing was written to for a week."""
    for path in folder.glob("pilot-*.log"):
        with contextlib.suppress(FileNotFoundError):
            if now_s - path.stat().st_mtime > KEEP_S:
                path.unlink()
