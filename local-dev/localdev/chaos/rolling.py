"""A rolling restart as docs/upgrade.md has it: every program of a running stack, one after the other, under load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from localdev.servers import Server
from localdev.stack import Stack

STOP_LIMIT_S = 60.0


def roll(stack: Stack, to: Path, *, pause_s: float = 0.5) -> Iterator[str]:
    """Restart everything, from then on out of a source tree; says what has been restarted each time.

    Storage is provisioned for the new release before anything of it runs. The emulator and the broker, which are
    nobody's release, come last.
    """
    stack.functions_from = to
    stack.provision()
    stack.workers_from = to
    for number, agent in enumerate(stack.agents):
        drain(stack, agent)
        yield _replace(agent, lambda number=number: stack.renew_agent(number))  # type: ignore[misc]
        time.sleep(pause_s)
    # they are not started again: the pool starts others, as long as there is work
    for worker in stack.cloud.servers if stack.cloud else []:
        worker.stop(STOP_LIMIT_S)
        yield worker.name
    for server, renew in ((stack.presence, stack.renew_presence), (stack.host, stack.renew_host)):
        if server is not None:
            yield _replace(server, renew)
            time.sleep(pause_s)
    for server in (stack.broker, stack.azurite):
        yield _replace(server, lambda server=server: server)  # type: ignore[misc]
        time.sleep(pause_s)


def drain(stack: Stack, agent: Server) -> None:
    """``orthoagent drain``: it takes nothing more, and finishes what it runs."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("orthoagent")), "drain", agent.name],
        env={**os.environ, "ORTHOAGENT_BROKER": stack.broker.url},
        capture_output=True,
        text=True,
        timeout=STOP_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{agent.name} was not drained: {done.stderr.strip()}")


def _replace(server: Server, renew: Callable[[], Server]) -> str:
    server.stop(STOP_LIMIT_S)
    renew().start()
    return server.name
