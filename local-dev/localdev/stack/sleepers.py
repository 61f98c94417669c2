"""Many workers of a pool in one process: all of each is real but its kernel, which sleeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

LOCAL_DEV = Path(__file__).resolve().parents[2]
STOP_LIMIT_S = 60.0


class Sleepers:
    """Workers ``POOL-0000`` and so on, each with a connection to the broker, a loop and one slot of its own.

    Parameters
    ----------
    count, first : int
        How many, and the number of the first.
    pool : str
    storage, broker : str
        Connection string and address.
    scratch : Path
    sleep_s : float
        How long a kernel sleeps, give or take half.
    lease_s : int
        Visibility timeout of a running task's message.
    every_s : float
        Between two statuses that say nothing new.
    """

    def __init__(
        self,
        count: int,
        *,
        pool: str,
        storage: str,
        broker: str,
        scratch: Path,
        sleep_s: float = 1.0,
        lease_s: int = 60,
        every_s: float = 30.0,
        first: int = 0,
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._log = (scratch / f"{pool}.log").open("ab")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "localdev.bench._load_side", str(first), str(count), storage, broker,
                str(scratch), str(sleep_s), "--pool", pool, "--lease-s", str(lease_s), "--every-s",
                str(every_s),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(LOCAL_DEV)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """All at once and without a goodbye: the broker sends their last wills."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def end(self) -> int:
        """Let them leave. Returns how many deliveries they finished."""
        said, _ = self._process.communicate(timeout=STOP_LIMIT_S)
        self._log.close()
        return int(json.loads(said)["done"])
