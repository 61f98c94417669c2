"""Timer triggers: one run at a time, in UTC, at the times of an NCRONTAB schedule."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from azure.functions.timer import TimerRequest

from localdev.host.errors import FunctionFailedError
from localdev.host.invoker import Invoker
from localdev.host.specs import FunctionSpec, TimerTrigger
from localdev.host.waiting import pause

PAST_DUE_S = 1.0
LONGEST_SLEEP_S = 30.0  # so that a clock that is set, or a machine that slept, is noticed
MOST_SETTING = "LOCALDEV_TIMERS_S"
MINUTE = timedelta(minutes=1)


class TimerListener:
    """Runs one timer function; a run that overruns the next time is followed by one late run, marked past due.

    Parameters
    ----------
    most_s : float, optional
        Timers that come once a minute or more often come no later than this after the last time: for tests, which
        would wait for the minute.
    """

    def __init__(
        self, spec: FunctionSpec, trigger: TimerTrigger, invoker: Invoker, *, most_s: float | None = None
    ) -> None:
        self._spec, self._trigger, self._invoker = spec, trigger, invoker
        self._most = None if most_s is None else timedelta(seconds=most_s)
        self._last: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run at every scheduled time until told to stop."""
        due = _now() if self._trigger.run_on_startup else self._after(_now())
        while True:
            while (wait_s := (due - _now()).total_seconds()) > 0 and not stop.is_set():
                await pause(stop, min(wait_s, LONGEST_SLEEP_S))
            if stop.is_set():
                return
            begun = _now()
            await self._fire(due, begun)
            # A time that passed during the run is in the past now, so it is made up for at once, and only once.
            due = self._after(begun)

    async def _fire(self, due: datetime, begun: datetime) -> None:
        next_due = self._after(begun)
        request = TimerRequest(
            past_due=(begun - due).total_seconds() > PAST_DUE_S,
            schedule_status={
                "Last": (self._last or begun).isoformat(),
                "Next": next_due.isoformat(),
                "LastUpdated": begun.isoformat(),
            },
            schedule={"AdjustForDST": False},
        )
        self._last = begun
        with suppress(FunctionFailedError):  # logged; the next time is the retry
            await self._invoker.invoke(self._spec, request, past_due=request.past_due)

    def _after(self, moment: datetime) -> datetime:
        due = self._trigger.schedule.after(moment)
        if self._most is not None and self._trigger.schedule.after(due) - due <= MINUTE:
            due = min(due, moment + self._most)
        return due


def _now() -> datetime:
    return datetime.now(UTC)
