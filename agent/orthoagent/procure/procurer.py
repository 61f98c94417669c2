"""``orthoagent procure``: takes products from queue ``wanted``, has EODAG fetch them, and says how it went.

The message is the only lease, as a worker's is: who dies lets it come back, and whoever takes it then looks first
whether the product has been brought.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from orthoagent.adapters.storage import Outbox
from orthoagent.adapters.wanted import WantedHold, WantedQueue
from orthoagent.errors import LeaseLostError, StorageSilentError
from orthoagent.logs import log
from orthoagent.patience import patiently
from orthoagent.procure.runner import Attempt
from orthoagent.procure.shelves import Shelf
from orthoagent.procure.whole import NotWholeError, whole_product
from orthocontracts.messages import Fault
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.stubs import StubError

MOST_DELIVERIES: Final = 5
"""Of a message: whoever took it before has ended without a word, as often as this; or was told to end."""
MOST_PROVIDERS: Final = 4
"""That send something else than the product."""
TRIES_OF_WHOLE: Final = 2
"""Of each of them."""


class Fetch(Protocol):
    async def fetch(self, name: str, folder: Path, without: list[str]) -> Attempt: ...


@dataclass(frozen=True)
class Procurer:
    """Fetches products, so many at a time.

    Attributes
    ----------
    work : Path
        Where products lie while they come: of this process alone, on the file system of the shelf where that is a
        folder.
    """

    agent: str
    queue: WantedQueue
    outbox: Outbox
    shelf: Shelf
    eodag: Fetch
    work: Path
    parallel: int = 2
    poll_s: float = 5.0
    renew_s: float = 20.0

    async def run(self) -> None:
        """Until cancelled."""
        log("procure_begins", agent=self.agent, parallel=self.parallel)
        async with asyncio.TaskGroup() as group:
            for number in range(self.parallel):
                group.create_task(self._serve(), name=f"procure-{number}")

    async def _serve(self) -> None:
        while True:
            hold = await patiently(self.queue.take, "take a product")
            if hold is None:
                await asyncio.sleep(self.poll_s)
                continue
            with contextlib.suppress(LeaseLostError):
                await self._hold(hold)

    async def _hold(self, hold: WantedHold) -> None:
        """Do what the message asks for as long as it is ours."""
        doing = asyncio.create_task(self._answer(hold.wanted, hold.delivery), name="answer")
        renewing = asyncio.create_task(self._renew(hold), name="renew")
        try:
            await asyncio.wait({doing, renewing}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            with contextlib.suppress(LeaseLostError, StorageSilentError):
                await hold.free()
            raise
        finally:
            for task in (doing, renewing):
                task.cancel()
            await asyncio.wait({doing, renewing})
        if doing.cancelled():
            log("product_taken_by_another", level=logging.WARNING, product=hold.wanted.name)
            return
        doing.result()
        await patiently(hold.delete, "delete a message")

    async def _renew(self, hold: WantedHold) -> None:
        """Returns when the message is lost."""
        while True:
            await asyncio.sleep(self.renew_s)
            try:
                await hold.renew()
            except LeaseLostError:
                return
            except StorageSilentError as error:
                log("storage_silent", level=logging.WARNING, doing="renew the lease", error=str(error))

    async def _answer(self, wanted: Wanted, delivery: int) -> None:
        if datetime.now(UTC) >= wanted.until:
            log("product_wanted_no_more", product=wanted.name)
            return
        fault: Fault | None = None
        if not await self.shelf.has(wanted.name):
            if delivery > MOST_DELIVERIES:
                fault = _fault(f"{self.agent} gave up: its fetch ended without a word {MOST_DELIVERIES} times")
            else:
                await self._say(wanted, "started")
                fault = await self._procure(wanted.name)
        log("product_failed" if fault else "product_fetched", product=wanted.name, why=fault.message if fault else None)
        await self._say(wanted, "failed" if fault else "fetched", fault)

    async def _procure(self, name: str) -> Fault | None:
        """Bring a product to the shelf, from the first provider that gives it whole. The fault where none does."""
        said: list[str] = []
        without: list[str] = []
        tries: Counter[str] = Counter()
        while len(without) < MOST_PROVIDERS:
            async with self._folder(name) as folder:
                attempt = await self.eodag.fetch(name, folder, without)
                if attempt.provider is None:
                    fault = attempt.fault or _fault("EODAG said nothing")
                    return _fault("; ".join([*said, fault.message])) if said else fault
                try:
                    await self.shelf.put(await asyncio.to_thread(whole_product, folder, name))
                except (NotWholeError, StubError) as error:
                    trouble = f"{attempt.provider} does not send the product: {error}"
                except OSError as error:
                    return _fault(f"{self.agent} cannot keep it: {error.strerror}")
                else:
                    return None
            log("provider_failed", level=logging.WARNING, product=name, provider=attempt.provider, why=trouble)
            tries[attempt.provider] += 1
            if tries[attempt.provider] >= TRIES_OF_WHOLE:
                said.append(trouble)
                without.append(attempt.provider)
        return _fault("; ".join(said))

    @contextlib.asynccontextmanager
    async def _folder(self, name: str) -> AsyncIterator[Path]:
        folder = self.work / f"{name}-{uuid.uuid4().hex[:8]}"
        try:
            await asyncio.to_thread(folder.mkdir, parents=True)
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _say(
        self, wanted: Wanted, kind: Literal["started", "fetched", "failed"], fault: Fault | None = None
    ) -> None:
        message = Procured(
            kind=kind, name=wanted.name, ask=wanted.ask, agent=self.agent, at=datetime.now(UTC), fault=fault
        )
        await patiently(lambda: self.outbox.send(message.to_json()), "say how a fetch went", product=wanted.name)


def _fault(message: str) -> Fault:
    return Fault(kind="FetchFailed", message=message[:1900], permanent=True)
