"""The kinds of fault. Each strikes a target of its choice, undoes what it did, and returns; False where it found none.

Recovery is timed from the strike, where something goes on elsewhere, else from the moment the thing is back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil

from localdev.chaos.site import Site
from localdev.chaos.trouble import Trouble, doubled_messages, errors, late_messages, refused_links, silence
from localdev.chaos.watch import View
from localdev.servers import Server, ServerError

Fault = Callable[[Site], bool]
FULL_BUT_MB = 2
COMPUTE = "orthoagent.child"


def kill_agent(site: Site) -> bool:
    with _an_agent(site) as agent:
        if agent is None:
            return False
        running = site.watch.running_on(agent.name)
        agent.kill()
        site.watch.wait_for_tasks("kill_agent", running)
        site.pause(site.rng.uniform(1, 4))
        _start(agent)
    return True


def kill_worker(site: Site) -> bool:
    """A cloud worker; nobody restarts it."""
    workers = site.stack.cloud.servers if site.stack.cloud else []
    if not workers:
        return False
    worker = site.rng.choice(workers)
    running = site.watch.running_on(worker.name)
    with contextlib.suppress(ServerError, ProcessLookupError):
        os.killpg(worker.group, signal.SIGKILL)
        site.watch.wait_for_tasks("kill_worker", running)
        return True
    return False


def kill_child(site: Site) -> bool:
    with _an_agent(site) as agent:
        children = _children(agent) if agent is not None else []
        if agent is None or not children:
            return False
        running = site.watch.running_on(agent.name)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        site.watch.wait_for_tasks("kill_child", running)
    return True


def freeze_agent(site: Site) -> bool:
    """The agent and its children, past the lease."""
    with _an_agent(site) as agent:
        if agent is None:
            return False
        running = site.watch.running_on(agent.name)
        groups = [agent.group, *(child.pid for child in _children(agent))]
        _signal(groups, signal.SIGSTOP)
        try:
            site.watch.wait_for_tasks("freeze_agent", running)
            site.pause(site.lease_s + 3)
        finally:
            _signal(groups, signal.SIGCONT)
    return True


def kill_host(site: Site) -> bool:
    return _restart(site, site.stack.host, "kill_host", graceful=False)


def restart_storage(site: Site) -> bool:
    return _restart(site, site.stack.azurite, "restart_storage", graceful=True)


def kill_broker(site: Site) -> bool:
    """Presence is right again when every agent that ran all the while has said so since."""
    with site.hold("broker") as is_free:
        if not is_free:
            return False
        broker = site.stack.broker
        broker.kill()
        site.pause(site.rng.uniform(1, 3))
        _start(broker)
        back_s, back_at = time.monotonic(), time.time()
        held = {agent.name: agent.group for agent in site.stack.agents if agent.running}

        def is_right(view: View) -> bool:
            known = {agent.agent: agent for agent in view.agents()}
            through = {
                agent.name for agent in site.stack.agents if agent.running and agent.group == held.get(agent.name)
            }
            expected = [known.get(name) for name in through if not site.is_held(name)]
            return all(
                one is not None and one.state == "online" and one.received_at.timestamp() >= back_at for one in expected
            )

        site.watch.wait_for("kill_broker", is_right, since_s=back_s)
    return True


def fill_disk(site: Site) -> bool:
    """Of the first agent: whatever it runs, or takes, finds no room."""
    with site.hold("disk") as is_free:
        if not is_free or site.disk is None:
            return False
        agent = site.stack.agents[0]
        filler = site.disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:  # until it is full
                file.write(bytes(1 << 20))
        site.pause(site.rng.uniform(4, 8))
        filler.unlink(missing_ok=True)
        emptied_at = time.time()
        site.watch.wait_for("fill_disk", lambda view: view.began_on(agent.name, emptied_at))
    return True


def jump_clock(site: Site) -> bool:
    """Of one agent: forward past its links' end, or back."""
    with _an_agent(site) as agent:
        if agent is None:
            return False
        clock = site.clock_of(agent.name)
        clock.write_text(str(site.rng.choice([-86_400.0, -600.0, 600.0, 86_400.0])))
        site.pause(site.rng.uniform(4, 8))
        clock.write_text("0")
        back_at = time.time()
        site.watch.wait_for("jump_clock", lambda view: view.began_on(agent.name, back_at))
    return True


def _trouble(site: Site, kind: str, make: Callable[[Site], Trouble]) -> bool:
    """Bad weather between everybody and storage, for some seconds; at its worst for longer than a lease."""
    with site.hold(kind) as is_free:
        if not is_free:
            return False
        with site.proxy.during(make(site)):
            site.pause(site.rng.choice([2.0, 4.0, site.lease_s + 3]))
        site.watch.wait_for_commit(kind)
    return True


_TROUBLES: dict[str, Callable[[Site], Trouble]] = {
    "storage_500": lambda site: errors(500, site.rng.choice([0.3, 0.8, 1.0])),
    "storage_503": lambda site: errors(503, site.rng.choice([0.3, 0.8, 1.0])),
    "storage_silent": lambda site: silence(site.rng.choice([0.2, 0.5, 1.0])),
    "refuse_links": lambda site: refused_links(site.rng.choice([0.2, 0.5])),
    "delay_messages": lambda site: late_messages(0.5, site.rng.uniform(1, 4)),
    "double_messages": lambda _: doubled_messages(0.7),
}

KINDS: dict[str, Fault] = {
    "kill_agent": kill_agent,
    "kill_worker": kill_worker,
    "kill_child": kill_child,
    "freeze_agent": freeze_agent,
    "kill_host": kill_host,
    "restart_storage": restart_storage,
    "kill_broker": kill_broker,
    "fill_disk": fill_disk,
    "jump_clock": jump_clock,
    **{kind: partial(_trouble, kind=kind, make=make) for kind, make in _TROUBLES.items()},
}
STORAGE_KINDS = ("restart_storage", "storage_500", "storage_503", "storage_silent", "delay_messages", "double_messages")
"""What must never count as an attempt of a task."""


@contextlib.contextmanager
def _an_agent(site: Site) -> Iterator[Server | None]:
    agent = site.any_agent()
    if agent is None:
        yield None
        return
    with site.hold(agent.name) as is_free:
        yield agent if is_free else None


def _restart(site: Site, server: Server, kind: str, *, graceful: bool) -> bool:
    with site.hold(server.name) as is_free:
        if not is_free:
            return False
        if graceful:
            server.stop()
        else:
            server.kill()
        site.pause(site.rng.uniform(1, 3))
        _start(server)
        site.watch.wait_for_commit(kind)
    return True


def _start(server: Server, tries: int = 5) -> None:
    for left in reversed(range(tries)):
        try:
            server.start()
        except ServerError:
            if not left:
                raise
            time.sleep(1.0)
        else:
            return


def _children(agent: Server) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(agent.group).children(recursive=True)
        return [process for process in found if COMPUTE in process.cmdline()]
    return []


def _signal(groups: list[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
