"""The line of ``orthoagent scale`` to the broker: demand in, statuses of pilots that do not run yet out."""

from __future__ import annotations

import asyncio
import logging
import time

import aiomqtt

from orthoagent.adapters.mqtt import LONGEST_PAUSE_S, client_for, is_refusal, subscribe
from orthoagent.errors import RightsError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthoagent.pilots.demand import DemandHeard
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import AgentStatus, Demand
from orthocontracts.wire import MAX_MQTT_BYTES, NotUnderstoodError, read_message


class DemandLine:
    """Keeps a connection; what is heard goes into ``heard``. ``changed`` is set with every demand and connection."""

    def __init__(self, broker: BrokerAddress, heard: DemandHeard, *, pool: str, timeout_s: float) -> None:
        self._broker, self._heard, self._pool, self._timeout_s = broker, heard, pool, timeout_s
        self._client: aiomqtt.Client | None = None
        self.connections = 0
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises RightsError where the first login is refused."""
        pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
        while True:
            client = client_for(self._broker, identifier=f"orthoscale-{self._pool}", timeout_s=self._timeout_s)
            try:
                async with client:
                    await subscribe(client, names.topic_demand(self._pool))
                    pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
                    self._is_up(client)
                    async for message in client.messages:
                        self._note(message)
            except (aiomqtt.MqttError, RightsError) as error:
                if self.connections == 0 and (isinstance(error, RightsError) or is_refusal(error)):
                    raise RightsError(str(error)) from error
                log("broker_down", level=logging.WARNING, error=str(error))
            finally:
                self._client = None
                self._heard.disconnected()
            await asyncio.sleep(next(pauses))

    async def tell(self, status: AgentStatus, *, then_clear: bool = False) -> bool:
        """Publish a status in its agent's name, and take it back at once where nobody needs it any longer.

        False where the broker is not there.
        """
        client, topic = self._client, names.topic_status(status.agent)
        if client is None:
            return False
        try:
            await client.publish(topic, status.to_json().encode(), qos=1, retain=True)
            if then_clear:
                await client.publish(topic, b"", qos=1, retain=True)
        except aiomqtt.MqttError:
            return False
        return True

    def _is_up(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.connections += 1
        self._heard.connected(time.time())
        log("broker_up")
        self.changed.set()

    def _note(self, message: aiomqtt.Message) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        try:
            demand = read_message(Demand, payload, most_bytes=MAX_MQTT_BYTES)
        except NotUnderstoodError as error:
            log("message_not_understood", level=logging.WARNING, topic=str(message.topic), error=str(error))
            return
        self._heard.note(demand)
        self.changed.set()
