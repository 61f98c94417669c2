"""``orthoagent presence``: carries statuses from the broker into queue ``capacity``.

Functions hold no subscription. In Azure, Event Grid routes statuses into that queue; beside mosquitto this does.
"""

from __future__ import annotations

import asyncio
import logging
import os

import aiomqtt
from pydantic import SecretStr, ValidationError

from orthoagent.adapters.mqtt import client_for, is_refusal, subscribe
from orthoagent.adapters.storage import Outbox
from orthoagent.errors import RightsError, StorageSilentError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthocontracts import names
from orthocontracts.messages import AgentStatus

LONGEST_PAUSE_S = 3.0


class Presence:
    """Forwards each agent's latest status; of those that come while storage is silent, only the last is kept."""

    def __init__(self, broker: SecretStr, outbox: Outbox, *, timeout_s: float) -> None:
        self._broker, self._outbox, self._timeout_s = broker, outbox, timeout_s
        self._waiting: dict[str, AgentStatus] = {}
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Forward until cancelled. Raises RightsError where the broker refuses the login."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="listen")
            group.create_task(self._forward(), name="forward")

    async def _listen(self) -> None:
        pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
        while True:
            client = client_for(
                self._broker, identifier=f"orthopresence-{os.urandom(4).hex()}", timeout_s=self._timeout_s
            )
            try:
                async with client:
                    await subscribe(client, names.TOPIC_ALL_STATUS)
                    log("presence_listens")
                    pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
                    async for message in client.messages:
                        self._note(message)
            except aiomqtt.MqttError as error:
                if is_refusal(error):
                    raise RightsError(str(error)) from error
                log("broker_down", level=logging.WARNING, error=str(error))
            await asyncio.sleep(next(pauses))

    def _note(self, message: aiomqtt.Message) -> None:
        payload = message.payload
        if not isinstance(payload, bytes) or not payload:
            return  # a container cleared its retained status, after it said offline
        try:
            status = AgentStatus.model_validate_json(payload)
        except ValidationError as error:
            log("message_not_understood", level=logging.WARNING, topic=str(message.topic), errors=error.error_count())
            return
        if names.topic_status(status.agent) != str(message.topic):
            log("status_of_another", level=logging.ERROR, topic=str(message.topic), agent=status.agent)
            return
        self._waiting[status.agent] = status
        self._came.set()

    async def _forward(self) -> None:
        pauses = pauses_s()
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                agent, status = next(iter(self._waiting.items()))
                try:
                    await self._outbox.send(status.to_json())
                except StorageSilentError as error:
                    log("storage_silent", level=logging.WARNING, doing="forward a status", error=str(error))
                    await asyncio.sleep(next(pauses))
                    continue
                pauses = pauses_s()
                if self._waiting.get(agent) is status:
                    del self._waiting[agent]
