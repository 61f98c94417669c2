"""A site's locked broker: mosquitto with the very files of ``infra/mosquitto``, logins, and an authority of its own."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integration.worker_kit import until
from localdev.servers.broker import BrokerUser, mosquitto_command, password_line
from localdev.servers.process import Server, free_ports
from orthocontracts.brokers import BrokerAddress

INFRA = Path(__file__).resolve().parents[2] / "infra" / "mosquitto"
LOGINS = ("victim", "rogue", "revoked", "functions", "presence", "operator")
SHUT_OUT = """
user revoked
topic deny #
"""
"""What an operator adds for a certificate that is revoked, as docs/security.md says: see why there."""
Way = Literal["plain", "tls", "websocket"]
WAYS: tuple[Way, ...] = ("plain", "tls", "websocket")


class Authority:
    """Signs certificates. Its own is ``ca``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.ca = self.folder / "ca.crt"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        self._revoked: list[int] = []
        body = self._body(self._subject, self._key.public_key(), days=30)
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = body.add_extension(constraint, critical=True).add_extension(usage, critical=True)
        self.ca.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, days: float = 7, host: bool = False, revoked: bool = False) -> tuple[Path, Path]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        body = self._body(_named(name), key.public_key(), days)
        if host:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            body = body.add_extension(names, critical=False)
        made = body.sign(self._key, hashes.SHA256())
        if revoked:
            self._revoked.append(made.serial_number)
        cert, private = self.folder / f"{name}{days:g}.crt", self.folder / f"{name}{days:g}.key"
        cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert, private

    def revocations(self) -> bytes:
        """The list of what is revoked."""
        now = datetime.now(UTC)
        listed = x509.CertificateRevocationListBuilder().issuer_name(self._subject)
        listed = listed.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=7))
        for number in self._revoked:
            one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build()
            listed = listed.add_revoked_certificate(one)
        return listed.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _body(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class SiteBroker(Server):
    """mosquitto as ``infra/mosquitto/mosquitto.conf`` has it, in another folder and on other ports."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "site")
        self.certificates = {name: self.authority.issue(name, revoked=name == "revoked") for name in LOGINS}
        tls, websocket, plain = free_ports(3)
        self.ports: dict[Way, int] = {"plain": plain, "tls": tls, "websocket": websocket}
        here = folder / "broker"
        here.mkdir()
        cert, key = self.authority.issue("broker", host=True)
        (here / "ca.crt").write_bytes(self.authority.ca.read_bytes())
        (here / "broker.crt").write_bytes(cert.read_bytes())
        (here / "broker.key").write_bytes(key.read_bytes())
        (here / "revoked.pem").write_bytes(self.authority.revocations())
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
