"""A site's locked broker: mosquitto with the very files of ``infra/mosquitto``, logins, and an authority of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from integration.worker_kit import until
from localdev.servers.broker import BrokerUser, mosquitto_command, password_line
from localdev.servers.process import Server, free_ports
from orthocontracts.brokers import BrokerAddress

INFRA = Path(__file__).resolve().parents[2] / "infra" / "mosquitto"
LOGINS = ("victim", "rogue", "revoked", "leaves", "functions", "presence", "operator", "scale", "pilots")
SHUT_OUT = """
user revoked
topic deny #
"""
"""What an operator adds for a certificate that is revoked, as docs/security.md says: see why there."""
Way = Literal["plain", "tls", "websocket"]
WAYS: tuple[Way, ...] = ("plain", "tls", "websocket")


class Authority:
    """Signs certificates, as ``infra/mosquitto/authority`` does for a site. Its own is ``ca``."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self.folder = folder
        folder.mkdir(parents=True)
        self("init")
        self.ca, self.revoked = folder / "ca.crt", folder / "revoked.pem"

    def __call__(self, *arguments: object) -> None:
        subprocess.run([INFRA / "authority", *map(str, arguments)], cwd=self.folder, check=True, timeout=60)

    def client(self, name: str, days: int = 7) -> tuple[Path, Path]:
        """Files of a certificate and its key; those of one that is there already are moved aside."""
        self("client", name, days)
        files = (self.folder / f"{name}.crt", self.folder / f"{name}.key")
        cert, key = (file.rename(file.with_name(f"{days}-{file.name}")) for file in files)
        return cert, key

    def expired(self, name: str) -> tuple[Path, Path]:
        """A client's certificate that held until yesterday, which no tool makes willingly."""
        cert, key = self.client(name, days=1)
        made = x509.load_pem_x509_certificate(cert.read_bytes())
        yesterday = datetime.now(UTC) - timedelta(days=1)
        builder = x509.CertificateBuilder(made.issuer, made.subject, made.public_key(), made.serial_number)
        builder = builder.not_valid_before(yesterday - timedelta(days=7)).not_valid_after(yesterday)
        signer = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        cert.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
        return cert, key


class SiteBroker(Server):
    """mosquitto as ``infra/mosquitto/mosquitto.conf`` has it, in another folder and on other ports."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        self.authority("broker", "127.0.0.1")
        self.certificates = {name: self.authority.client(name) for name in LOGINS}
        self.authority("revoke", "revoked")
        tls, websocket, plain = free_ports(3)
        self.ports: dict[Way, int] = {"plain": plain, "tls": tls, "websocket": websocket}
        here = folder / "broker"
        here.mkdir()
        for name in ("ca.crt", "broker.crt", "broker.key", "revoked.pem"):
            shutil.copy(self.authority.folder / name, here)
        (here / "orthoburst.acl").write_text((INFRA / "orthoburst.acl").read_text() + SHUT_OUT)
        (here / "passwords").write_text("".join(password_line(name, BrokerUser(word(name))) for name in LOGINS))
        for name in ("passwords", "orthoburst.acl"):
            (here / name).chmod(0o600)
        text = (INFRA / "mosquitto.conf").read_text()
        for theirs, ours in (
            ("/etc/mosquitto/orthoburst/", f"{here}/"),
            ("/var/lib/mosquitto/", f"{here}/"),
            ("listener 8883\n", f"listener {tls} 127.0.0.1\n"),
            ("listener 443\n", f"listener {websocket} 127.0.0.1\n"),
            ("listener 1883 127.0.0.1\n", f"listener {plain} 127.0.0.1\n"),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        command = mosquitto_command(here / "mosquitto.conf", text)
        super().__init__("mosquitto", command, log=here / "log", ready=r"mosquitto version \S+ running")

    def read_again(self) -> None:
        """What SIGHUP does on a site, after the list of revoked certificates was copied there."""
        shutil.copy(self.authority.revoked, self.log.parent)
        os.killpg(self.group, signal.SIGHUP)

    def address(self, way: Way, name: str) -> BrokerAddress:
        """How a login comes in: by password where the way is plain, by certificate where it is not."""
        if way == "plain":
            return BrokerAddress.of(self.url(way), user=name, password=word(name))
        return self.by_certificate(way, self.certificates[name])

    def by_certificate(self, way: Way, files: tuple[Path, Path] | None) -> BrokerAddress:
        cert, key = map(str, files) if files else (None, None)
        return BrokerAddress.of(self.url(way), ca_file=str(self.authority.ca), cert_file=cert, key_file=key)

    def url(self, way: Way) -> str:
        scheme = {"plain": "mqtt", "tls": "mqtts", "websocket": "wss"}[way]
        return f"{scheme}://127.0.0.1:{self.ports[way]}"


def word(name: str) -> str:
    return f"word of {name}"


@dataclass
class Client:
    """A client that does whatever it likes, and keeps what it hears."""

    address: BrokerAddress
    will: tuple[str, bytes] | None = None
    identifier: str = ""
    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        address = self.address
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=self.identifier,
            transport="websockets" if address.websocket else "tcp",
        )
        if address.websocket:
            self._client.ws_set_options(address.path)
        if address.user is not None:
            self._client.username_pw_set(address.user, address.password)
        if (tls := address.tls_context()) is not None:
            self._client.tls_set_context(tls)
        if self.will is not None:
            self._client.will_set(self.will[0], self.will[1], qos=1, retain=True)
        self._client.on_message = lambda _client, _data, one: self.heard.append((one.topic, one.payload, one.retain))
        lost: list[object] = []
        self._client.on_disconnect = lambda *_: lost.append(_)
        self._client.connect(address.host, address.port)
        self._client.loop_start()
        until(lambda: self._client.is_connected() or lost, "an answer of the broker", 10)
        if not self._client.is_connected():
            self.close()
            raise ConnectionRefusedError("the broker did not let it in")

    def listen(self, *topics: str) -> None:
        """Subscribe, and wait until the broker has said what it makes of it."""
        done: list[int] = []
        self._client.on_subscribe = lambda _client, _data, mid, _codes, _properties: done.append(mid)
        for topic in topics:
            _, mid = self._client.subscribe(topic, qos=1)
            until(lambda mid=mid: mid in done, f"an answer to the subscription to {topic}", 5)

    def say(self, topic: str, body: str | bytes, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has acknowledged it, whatever it makes of it."""
        self._client.publish(topic, body, qos=1, retain=retain).wait_for_publish(5)

    def hears(self, topic: str, body: bytes) -> None:
        until(lambda: any(one[:2] == (topic, body) for one in list(self.heard)), f"{body!r} on {topic}", 10)

    def break_off(self) -> None:
        """Without a goodbye: the broker publishes the last will."""
        self._client.loop_stop()
        connection = self._client.socket()
        assert connection is not None
        raw = getattr(connection, "_socket", connection)  # paho's own wrapper of a WebSocket
        raw.shutdown(socket.SHUT_RDWR)
        raw.close()
        time.sleep(0.1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
