"""The agent's line to the broker: status out; doorbell, drain and cancel in. Work goes on without it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from orthoagent.errors import RightsError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthoagent.status import StatusBoard
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import AgentStatus, Control, Doorbell
from orthocontracts.tracing import trace_id_of
from orthocontracts.wire import MAX_MQTT_BYTES, NotUnderstoodError, read_message

KEEPALIVE_S = 20
LONGEST_PAUSE_S = 3.0
_REFUSED = frozenset({4, 5, 134, 135})
"""Return codes of CONNACK for a bad login: MQTT 3.1.1's, and MQTT 5's, into which paho translates them."""
_SUBACK_FAILURE = 0x80
_SESSION = os.urandom(8).hex()


def client_for(
    broker: BrokerAddress, *, identifier: str, timeout_s: float, will: aiomqtt.Will | None = None
) -> aiomqtt.Client:
    """A client, not yet connected. Nobody who knows an agent's name can end its session by taking up its identifier.

    Raises
    ------
    aiomqtt.MqttError
        Where a certificate cannot be read now: it may just be renewed.
    """
    try:
        tls = broker.tls_context()
    except OSError as error:
        raise aiomqtt.MqttError(f"certificates: {error}") from error
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.user,
        password=broker.password,
        transport="websockets" if broker.websocket else "tcp",
        websocket_path=broker.path if broker.websocket else None,
        identifier=f"{identifier}-{_SESSION}",
        protocol=aiomqtt.ProtocolVersion.V311,
        keepalive=KEEPALIVE_S,
        timeout=timeout_s,
        will=will,
        tls_context=tls,
        logger=logging.getLogger("aiomqtt"),
    )


def is_refusal(error: aiomqtt.MqttError) -> bool:
    """Whether the broker answered, and said that this login may not."""
    return isinstance(error, MqttConnectError) and _number(error.rc) in _REFUSED


def _number(code: int | ReasonCode | None) -> int | None:
    return code.value if isinstance(code, ReasonCode) else code


async def subscribe(client: aiomqtt.Client, *topics: str) -> None:
    """Raises RightsError where the broker says no (many say nothing)."""
    for topic in topics:
        granted = await client.subscribe(topic, qos=1)
        if any((_number(code) or 0) >= _SUBACK_FAILURE for code in granted):
            raise RightsError(f"the broker refuses the subscription to {topic}: see its access rules")


def first_and_refusal(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """Of all that broke together the first, and the first that is a refusal: what it breaks may be told before it."""
    leaves: list[BaseException] = [error]
    while any(isinstance(one, BaseExceptionGroup) for one in leaves):
        leaves = [leaf for one in leaves for leaf in (one.exceptions if isinstance(one, BaseExceptionGroup) else [one])]
    refusals = (one for one in leaves if isinstance(one, RightsError) or _refuses(one))
    return leaves[0], next(refusals, None)


def _refuses(error: BaseException) -> bool:
    return isinstance(error, aiomqtt.MqttError) and is_refusal(error)


class BrokerLine:
    """Keeps a connection, publishes the board, passes on what functions say."""

    def __init__(
        self,
        broker: BrokerAddress,
        board: StatusBoard,
        *,
        agent: str,
        pool: str,
        echo_timeout_s: float,
        clear_on_exit: bool,
        on_control: Callable[[Control], None],
        on_doorbell: Callable[[], None],
    ) -> None:
        self._broker, self._board, self._agent, self._pool = broker, board, agent, pool
        self._echo_timeout_s = echo_timeout_s
        self._clear_on_exit = clear_on_exit
        self._on_control, self._on_doorbell = on_control, on_doorbell
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._echoed = asyncio.Event()
        self._rights_proven = False
        self.is_up = False
        board.on_change = self._changed.set

    def close(self) -> None:
        """Say goodbye; ``run`` returns soon."""
        self._closing.set()
        self._changed.set()

    async def run(self) -> None:
        """Stay connected until closed.

        Raises
        ------
        RightsError
            Where the login is refused, or what this agent publishes does not come back, before it ever did. Later on
            the same is taken for a broker in trouble.
        """
        pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
        while not self._closing.is_set():
            error: BaseException | None = None
            try:
                await self._one_connection()
            except* (aiomqtt.MqttError, RightsError) as several:
                error = several
            was_up, self.is_up = self.is_up, False
            if error is not None:
                self._judge(error)
            if was_up:
                pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
                self._on_doorbell()  # look at once, then at the pace of a worker nobody can ring
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), next(pauses))

    def _judge(self, error: BaseException) -> None:
        first, refusal = first_and_refusal(error)
        if refusal is not None and not self._rights_proven:
            raise RightsError(str(refusal)) from refusal
        log("broker_down", level=logging.WARNING, error=str(first))

    async def _one_connection(self) -> None:
        will = aiomqtt.Will(
            names.topic_status(self._agent), self._board.connect().to_json().encode(), qos=1, retain=True
        )
        self._echoed.clear()
        client = client_for(
            self._broker, identifier=f"orthoagent-{self._agent}", timeout_s=self._echo_timeout_s, will=will
        )
        async with client, asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(client), name="mqtt-read")
            await subscribe(
                client,
                names.topic_status(self._agent),
                names.topic_control(self._agent),
                names.topic_doorbell(self._agent),
            )
            teller = group.create_task(self._tell(client), name="mqtt-tell")
            await self._prove_rights()
            await teller
            await self._say_goodbye(client)
            reader.cancel()

    async def _prove_rights(self) -> None:
        """Wait for our own status to come back: a denied publish or subscribe is silent in MQTT."""
        try:
            async with asyncio.timeout(self._echo_timeout_s):
                await self._echoed.wait()
        except TimeoutError:
            raise RightsError(
                f"what this agent publishes on {names.topic_status(self._agent)} does not come back within "
                f"{self._echo_timeout_s:g} s: the broker's access rules must let its login write and read there"
            ) from None
        self.is_up = self._rights_proven = True
        log("broker_up")
        self._on_doorbell()  # a ring from before we listened is lost

    async def _tell(self, client: aiomqtt.Client) -> None:
        while not self._closing.is_set():
            wait_s = self._board.wait_s(time.monotonic())
            if wait_s > 0:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), wait_s)
                continue
            status = self._board.tell(time.monotonic())
            await client.publish(names.topic_status(self._agent), status.to_json().encode(), qos=1, retain=True)

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        topic = names.topic_status(self._agent)
        await client.publish(topic, self._board.farewell().to_json().encode(), qos=1, retain=True)
        if self._clear_on_exit:
            await client.publish(topic, b"", qos=1, retain=True)

    async def _read(self, client: aiomqtt.Client) -> None:
        status, control = names.topic_status(self._agent), names.topic_control(self._agent)
        async for message in client.messages:
            topic = str(message.topic)
            try:
                if topic == status:
                    self._on_own_status(_bytes(message))
                elif topic == control:
                    self._on_control(read_message(Control, _bytes(message), most_bytes=MAX_MQTT_BYTES))
                else:
                    self._on_ring(read_message(Doorbell, _bytes(message), most_bytes=MAX_MQTT_BYTES))
            except NotUnderstoodError as error:
                log("message_not_understood", level=logging.WARNING, topic=topic, why=str(error))

    def _on_ring(self, ring: Doorbell) -> None:
        if ring.pool == self._pool:
            log("rung", trace=trace_id_of(ring.traceparent))
            self._on_doorbell()

    def _on_own_status(self, payload: bytes) -> None:
        if not payload:
            return
        seen = read_message(AgentStatus, payload, most_bytes=MAX_MQTT_BYTES)
        if self._board.is_echo(seen):
            self._echoed.set()
        elif self._board.is_wrong(seen) and not self._closing.is_set():
            log("late_word", state=seen.state, session=seen.session)
            self._board.tell_again()


def _bytes(message: aiomqtt.Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else b""
