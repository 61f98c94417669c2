"""Runs EODAG for one product, in a process of its own that sees no secret of ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orthoagent.logs import log
from orthoagent.procure.child import run
from orthoagent.telemetry import VARIABLES
from orthocontracts.messages import Fault
from orthocontracts.products import Sentinel1Name, Sentinel2Name, parse_product

_SENTINEL3: Final = {"EFR": "S3_EFR", "ERR": "S3_ERR", "RBT": "S3_SLSTR_L1RBT"}
LONGEST_LINE_BYTES: Final = 1 << 16
PART_BYTES: Final = 32 << 20


@dataclass(frozen=True)
class Attempt:
    """How a fetch ended: what ``provider`` sent is in the folder, or why none of them did."""

    provider: str | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class Eodag:
    """How EODAG is run.

    Attributes
    ----------
    python : Path
        A Python that has it.
    providers : tuple of str
        Those that are asked, in this order; none: all of EODAG's, by its own settings.
    streams : int
        Connections of one fetch at a time: files, and parts of large ones.
    part_bytes : int
        Size of such a part.
    mb_per_s : float, optional
        How fast one fetch may be.
    silence_s, order_limit_s : float
        For how long nothing may arrive; and what is brought from tape may take, or a whole fetch beyond it.
    """

    python: Path
    providers: tuple[str, ...] = ()
    streams: int = 2
    part_bytes: int = PART_BYTES
    mb_per_s: float | None = None
    silence_s: float = 300.0
    order_limit_s: float = 6 * 3600.0

    async def fetch(self, name: str, folder: Path, without: list[str]) -> Attempt:
        """Fetch a product into an empty folder, from the first provider that gives it and is not among ``without``."""
        order = {
            "name": name,
            "collection": collection_of(name),
            "folder": str(folder),
            "without": without,
            "providers": list(self.providers),
            "streams": self.streams,
            "part_bytes": self.part_bytes,
            "mb_per_s": self.mb_per_s,
            "silence_s": self.silence_s,
            "order_limit_s": self.order_limit_s,
        }
        process = await asyncio.create_subprocess_exec(
            str(self.python), run.__file__, stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
            env=environment(), start_new_session=True, limit=LONGEST_LINE_BYTES,
        )  # fmt: skip
        try:
            async with asyncio.timeout(2 * self.order_limit_s):
                assert process.stdin is not None
                process.stdin.write(json.dumps(order).encode())
                process.stdin.close()
                async for event in _events(process):
                    match event["event"]:
                        case "done":
                            return Attempt(str(event["provider"]))
                        case "failed":
                            fault = Fault(kind=event["kind"], message=event["message"], permanent=True)
                            return Attempt(fault=fault)
                        case other:
                            _note(other, name, event)
            code = await process.wait()
            return Attempt(fault=_failed(f"EODAG's process ended with {code}"))
        except TimeoutError:
            return Attempt(fault=_failed(f"not there after {2 * self.order_limit_s:.0f} s"))
        finally:
            await _end(process)


def collection_of(name: str) -> str:
    """What EODAG calls products of this kind."""
    parsed = parse_product(name)
    if isinstance(parsed, Sentinel1Name):
        return "S1_SAR_GRD"
    if isinstance(parsed, Sentinel2Name):
        return f"S2_MSI_{parsed.level}"
    return next(known for part, known in _SENTINEL3.items() if part in parsed.product_type)


def environment() -> dict[str, str]:
    """Ours without what is told to ``orthoagent``: what EODAG needs it reads from its own settings."""
    ours = ("ORTHOAGENT_", *VARIABLES)
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


async def _events(process: Process) -> Any:
    assert process.stdout is not None
    async for line in process.stdout:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                yield event


def _note(kind: str, name: str, event: dict[str, Any]) -> None:
    action = kind if kind == "provider_failed" else f"product_{kind}"
    log(action, product=name, provider=event.get("provider"), at_byte=event.get("at"), why=event.get("why"))


def _failed(message: str) -> Fault:
    return Fault(kind="FetchFailed", message=message, permanent=True)


async def _end(process: Process) -> None:
    """It and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
