"""The MQTT broker of one machine: mosquitto where it is on PATH, else aedes through Node."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localdev.servers.node import LOCAL_DEV, find_node
from localdev.servers.process import Server, free_ports

Kind = Literal["mosquitto", "aedes"]

# mosquitto's "$7$" password entry: PBKDF2-HMAC-SHA512, a 12-byte salt, a 64-byte hash.
HASH_ITERATIONS = 101
SALT_BYTES = 12


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A login and the topic filters it may publish to and receive from.

    What is denied is dropped in silence, as MQTT 3.1.1 brokers do: a publish is acknowledged all the same.
    """

    password: str
    publish: Sequence[str] = ("#",)
    subscribe: Sequence[str] = ("#",)


class Broker(Server):
    """An MQTT 3.1.1 broker on a loopback port; retained messages survive stop and start.

    Parameters
    ----------
    folder : Path
        Configuration, stored messages and log; made if absent.
    users : mapping of name to BrokerUser, optional
        Logins. Anyone may do anything without it.
    port : int, optional
        Loopback TCP port; a free one by default, and kept over restarts.
    kind : {'mosquitto', 'aedes'}, optional
        Which broker; mosquitto by default where PATH has it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, BrokerUser] | None = None,
        port: int | None = None,
        kind: Kind | None = None,
    ) -> None:
        self.folder = folder
        self.users = dict(users or {})
        self.port = port if port is not None else free_ports(1)[0]
        self.kind: Kind = kind if kind is not None else default_kind()
        folder.mkdir(parents=True, exist_ok=True)
        if self.kind == "mosquitto":
            command, ready = self._mosquitto(), r"mosquitto version \S+ running"
        else:
            command, ready = self._aedes(), "aedes is listening"
        super().__init__(self.kind, command, log=folder / f"{self.kind}.log", ready=ready)

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:<port>``."""
        return f"mqtt://127.0.0.1:{self.port}"

    def _mosquitto(self) -> list[str]:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {self.folder}/",
            "persistence_file mosquitto.db",
            "autosave_interval 5",
            "max_queued_messages 100000",  # who listens to all agents gets all their statuses at once
            "log_dest stderr",
            "log_type information",
            "connection_messages false",
            "log_type notice",
            "log_type warning",
            "log_type error",
            f"allow_anonymous {'false' if self.users else 'true'}",
        ]
        if self.users:
            passwords, rights = self.folder / "passwords", self.folder / "acl"
            _write_private(passwords, "".join(password_line(name, user) for name, user in self.users.items()))
            _write_private(rights, "".join(_acl(name, user) for name, user in self.users.items()))
            lines += [f"password_file {passwords}", f"acl_file {rights}"]
        return mosquitto_command(self.folder / "mosquitto.conf", "\n".join(lines) + "\n")

    def _aedes(self) -> list[str]:
        settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "store": str(self.folder / "aedes-retained.json"),
            "users": {
                name: {"password": user.password, "publish": [*user.publish], "subscribe": [*user.subscribe]}
                for name, user in self.users.items()
            },
        }
        config = self.folder / "aedes.json"
        _write_private(config, json.dumps(settings))
        return [find_node(), str(LOCAL_DEV / "broker.mjs"), str(config)]


def default_kind() -> Kind:
    """Which broker this machine has: mosquitto if installed, else aedes."""
    return "mosquitto" if _mosquitto_path() else "aedes"


def mosquitto_command(config: Path, text: str) -> list[str]:
    """Write a configuration; the command that runs mosquitto with it."""
    if os.geteuid() == 0:
        # Started by root it becomes user "mosquitto", who may not write into this folder.
        text = f"user root\n{text}"
    config.write_text(text)
    return [_mosquitto_path() or "mosquitto", "-c", str(config)]


def password_line(name: str, user: BrokerUser) -> str:
    """A line of mosquitto's password file."""
    return f"{name}:{_hash(user.password)}\n"


def _mosquitto_path() -> str | None:
    # Debian installs it in /usr/sbin, which is not on every user's PATH.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin")


def _hash(password: str) -> str:
    salt = os.urandom(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ITERATIONS)
    return f"$7${HASH_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _acl(name: str, user: BrokerUser) -> str:
    rights = [f"topic write {topic}" for topic in user.publish] + [f"topic read {topic}" for topic in user.subscribe]
    return "\n".join([f"user {name}", *rights]) + "\n\n"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text(text)
