"""A node on which an administrator installs the units of ``infra/systemd``, as docs/hpc.md says."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from numba.core.caching import _CacheLocator

from integration.systemd_kit import CHECKOUT, Machine
from integration.test_worker_broker import Ear
from integration.worker_kit import Storage
from localdev.servers import Azurite, Broker
from orthocontracts.messages import AgentStatus
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.adapters.grants import AccountKeyGrants

UNIT = "orthoagent"
UNITS = ("orthoagent", "orthoscale", "orthowatch", "orthoprocure")
QUICK = {"lease_s": 3, "poll_up_s": 0.3, "poll_down_s": 0.3, "status_min_s": 0.2, "grace_s": 5, "warm": "false"}
SLEEPING = {"compute": "integration.worker_compute:act"}
"""In place of the kernel; its product says how long it sleeps and how it ends."""
ENDED = ("ActiveState", "Result", "ExecMainStatus")


def commands_of_the_docs() -> list[str]:
    """What docs/hpc.md has an administrator type."""
    _, _, section = (CHECKOUT / "docs" / "hpc.md").read_text().partition("## As a service\n")
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.removeprefix("# ") for line in block[1].splitlines()]


def variables(settings: dict[str, object]) -> str:
    return "".join(f"ORTHOAGENT_{name.upper()}={value}\n" for name, value in settings.items())


def ended(state: str, result: str, status: int) -> dict[str, str]:
    """What systemd shows of a unit that has ended."""
    return dict(zip(ENDED, (state, result, str(status)), strict=True))


class Node(Machine):
    """One on which an administrator installs the agent."""

    def __init__(self, folder: Path, azurite: Azurite, broker: Broker) -> None:
        super().__init__(folder)
        self.storage, self.broker, self.ear = Storage(azurite), broker, Ear(broker)

    def install(self) -> None:
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        with AccountKeyGrants(self.storage.connection) as grants:
            grant = grants.for_pool(self.storage.pool, KERNEL_RESULT_VERSION, expires)
        self.write("/srv/papers/hpc.grant", grant.to_json())
        self.set_agent("/srv/papers/agent.env")
        commands = commands_of_the_docs()
        installed = [command for command in commands if "pip install" not in command]
        assert len(installed) == len(commands) - 1, "Python and packages are there already"
        self.shell("\n".join(["cd /srv/papers", "ln -s /srv/checkout/infra .", *installed]))
        self.shell("install -d -o orthoburst /shared/orthoburst")
        for unit in UNITS[1:]:
            self.run("install", "-m", "0644", f"/srv/checkout/infra/systemd/{unit}.service", "/etc/systemd/system/")

    def set_agent(self, path: str = "/etc/orthoburst/agent.env", **settings: object) -> None:
        given = {
            "pool": self.storage.pool,
            "grant": "/etc/orthoburst/hpc.grant",
            "broker": self.broker.url,
            **QUICK,
            **settings,
        }
        self.write(path, variables(given) + "PYTHONPATH=/srv/checkout/tests\n")

    def status(self) -> AgentStatus | None:
        """The agent's; its id is the name of its node."""
        return self.ear.last(self.hostname)

    def stop(self, timeout_s: float = 15) -> None:
        super().stop(timeout_s)
        self.ear.close()
        self.storage.close()

    def bring_compiled(self) -> None:
        """The loop and the writer, which take most of a minute, where this checkout has them. Models of sensors lie in
        another folder: those the agent compiles itself."""
        subfolder = _CacheLocator.get_suitable_cache_subpath("/srv/checkout/kernel/orthokernel/loop.py")
        cache = self.root / f"var/cache/orthoagent/numba-r{KERNEL_RESULT_VERSION}" / subfolder
        cache.mkdir(parents=True, exist_ok=True)
        for path in (CHECKOUT / "kernel" / "orthokernel" / "__pycache__").glob("*.nb?"):
            shutil.copy2(path, cache)
        self.shell("chown -R orthoburst: /var/cache/orthoagent")

    def variant(self, name: str, program: str) -> str:
        """A unit as it is installed, with another program, which runs once."""
        text = (self.root / f"etc/systemd/system/{name}.service").read_text()
        for setting, value in (("ExecStart", program), ("Type", "oneshot"), ("Restart", "no"), ("RestartSec", "0")):
            text = re.sub(f"^{setting}=.*\n", "", text, flags=re.MULTILINE)
            text = text.replace("[Service]\n", f"[Service]\n{setting}={value}\n")
        return text

    def ends(self, name: str, unit: str) -> str:
        """Exit status of a unit that runs once."""
        self.write(f"/run/systemd/system/{name}.service", unit)
        self.systemctl("daemon-reload")
        self.systemctl("start", name, check=False)
        return self.shown(name, "ExecMainStatus")["ExecMainStatus"]

    def probed(self, name: str, unit: str) -> dict[str, bool]:
        """What a process can do as this unit."""
        assert self.ends(name, unit) == "0", self.journal(name)
        self.run("journalctl", "--sync")
        said = self.run("journalctl", "--output=cat", f"_SYSTEMD_UNIT={name}.service")
        found: dict[str, bool] = json.loads(said)
        return found

    @contextlib.contextmanager
    def dropped_in(self, text: str) -> Iterator[None]:
        """What ``systemctl edit`` writes."""
        path = f"/etc/systemd/system/{UNIT}.service.d/override.conf"
        self.write(path, f"[Service]\n{text}", "0644")
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            self.run("rm", path)
            self.systemctl("daemon-reload")
