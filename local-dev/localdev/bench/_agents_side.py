"""Simulated agents for the bench of presence: each a connection of its own, with its last will.

Standard input says ``kill K``: that agent's socket is cut, as a node cuts it that loses its power.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import sys
from datetime import UTC, datetime

import aiomqtt

from orthocontracts import names
from orthocontracts.messages import AgentStatus
from orthocontracts.version import KERNEL_RESULT_VERSION

AT_ONCE = 40
SLOTS = 4


def agent_name(number: int) -> str:
    return f"sim-{number:05d}"


class SimulatedAgent:
    """Says every ``every_s`` that it is there, until it is killed."""

    def __init__(self, number: int, host: str, port: int, every_s: float) -> None:
        self._name, self._every_s = agent_name(number), every_s
        self._topic = names.topic_status(self._name)
        will = aiomqtt.Will(self._topic, self._status("offline", 10**9).to_json().encode(), qos=1, retain=True)
        self._client = aiomqtt.Client(
            host, port, identifier=self._name, protocol=aiomqtt.ProtocolVersion.V311, keepalive=60, will=will
        )

    def _status(self, state: str, sequence: int) -> AgentStatus:
        return AgentStatus.model_validate(
            {
                "agent": self._name, "pool": "hpc", "session": "s", "sequence": sequence, "state": state,
                "at": datetime.now(UTC), "slots": SLOTS if state == "online" else 0,
                "result_version": KERNEL_RESULT_VERSION, "version": "0.1.0", "machine": "simulated, 4 cores",
            }
        )  # fmt: skip

    async def begin(self) -> None:
        await self._client.__aenter__()
        await self._say(1)

    async def go_on(self) -> None:
        sequence = 1
        await asyncio.sleep(self._every_s * random.random())
        while True:
            sequence += 1
            await self._say(sequence)
            await asyncio.sleep(self._every_s)

    async def _say(self, sequence: int) -> None:
        await self._client.publish(self._topic, self._status("online", sequence).to_json(), qos=1, retain=True)

    def kill(self) -> None:
        connection = self._client._client.socket()  # nothing else cuts a connection without a goodbye
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)


async def run(first: int, count: int, host: str, port: int, every_s: float) -> None:
    agents = {number: SimulatedAgent(number, host, port, every_s) for number in range(first, first + count)}
    turns = asyncio.Semaphore(AT_ONCE)

    async def begin(agent: SimulatedAgent) -> None:
        async with turns:
            await agent.begin()

    await asyncio.gather(*(begin(agent) for agent in agents.values()))
    saying = {number: asyncio.create_task(agent.go_on()) for number, agent in agents.items()}
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for word in line.split()[1:]:
            saying[int(word)].cancel()
            agents[int(word)].kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("first", "count", "port"):
        parser.add_argument(name, type=int)
    parser.add_argument("every_s", type=float)
    options = parser.parse_args()
    asyncio.run(run(options.first, options.count, "127.0.0.1", options.port, options.every_s))


if __name__ == "__main__":
    main()
