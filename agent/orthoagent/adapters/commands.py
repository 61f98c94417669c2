"""A batch scheduler's own commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping

from orthoagent.errors import CommandFailedError

LIMIT_S = 30.0


async def output_of(*command: str, limit_s: float = LIMIT_S, env: Mapping[str, str] | None = None) -> str:
    """What a command writes to standard output. Raises CommandFailedError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
        )
    except OSError as error:
        raise CommandFailedError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(limit_s):
            said, complaint = await process.communicate()
    except TimeoutError:
        raise CommandFailedError(f"{command[0]} did not end within {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        text = (complaint or said).decode(errors="replace").strip()
        raise CommandFailedError(f"{command[0]} ended with exit code {process.returncode}: {text[:1000]}")
    return said.decode(errors="replace")
