"""Call a function: sync ones in threads, async ones in the loop, with time limit, outputs and one log line each."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localdev.host.context import Context
from localdev.host.errors import FunctionFailedError
from localdev.host.logs import log
from localdev.host.outputs import Out, OutputSender
from localdev.host.specs import FunctionSpec

THREADS_SETTING = "PYTHON_THREADPOOL_THREAD_COUNT"


def thread_count(environ: Mapping[str, str] = os.environ) -> int:
    """Threads for sync functions: the app setting, or Python's own default."""
    setting = environ.get(THREADS_SETTING, "")
    return int(setting) if setting.isdigit() and int(setting) > 0 else min(32, (os.cpu_count() or 1) + 4)


class Invoker:
    """Runs the functions of an app.

    Parameters
    ----------
    folder : Path
        The app's folder.
    outputs : OutputSender
        Sends what functions put into output bindings.
    timeout_s : float, optional
        ``functionTimeout``.
    """

    def __init__(self, folder: Path, outputs: OutputSender, timeout_s: float | None) -> None:
        self._folder = str(folder)
        self._outputs = outputs
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(thread_count(), thread_name_prefix="function")
        self._stuck = 0

    @property
    def stuck(self) -> int:
        """How many sync functions overran their time and still hold a thread."""
        return self._stuck

    def close(self) -> None:
        """Let go of the threads without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def invoke(self, spec: FunctionSpec, argument: object, **fields: Any) -> Any:
        """Call a function with what triggered it and send its outputs.

        Parameters
        ----------
        fields
            Added to the log line.

        Raises
        ------
        FunctionFailedError
            When it raised, overran its time, or its outputs could not be sent.
        """
        context = Context(str(uuid.uuid4()), spec.name, self._folder)
        outs = {output.name: Out() for output in spec.outputs if not output.name.startswith("$")}
        arguments: dict[str, object] = {spec.argument: argument, **outs}
        if spec.wants_context:
            arguments["context"] = context
        begun = time.monotonic()
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                result = await self._call(spec, context, arguments)
            await self._outputs.send(spec, outs, result)
        except Exception as error:
            action = "function_timed_out" if limit.expired() else "function_failed"
            self._log(action, spec, context, begun, fields, level=logging.ERROR, error=error)
            raise FunctionFailedError(spec.name, context.invocation_id) from error
        self._log("function_succeeded", spec, context, begun, fields)
        return result

    async def _call(self, spec: FunctionSpec, context: Context, arguments: dict[str, object]) -> Any:
        if spec.is_async:
            return await spec.call(**arguments)

        def run() -> Any:
            context.thread_local_storage.invocation_id = context.invocation_id
            return spec.call(**arguments)

        future = self._threads.submit(contextvars.copy_context().run, run)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # A thread cannot be stopped; Azure would end the whole worker process here.
            if future.running():
                self._stuck += 1
                future.add_done_callback(self._unstick)
            raise

    def _unstick(self, _: object) -> None:
        self._stuck -= 1

    def _log(
        self, action: str, spec: FunctionSpec, context: Context, begun: float, fields: dict[str, Any], **more: Any
    ) -> None:
        ms = round(1000 * (time.monotonic() - begun), 1)
        log(action, function=spec.name, invocation=context.invocation_id, ms=ms, **fields, **more)
