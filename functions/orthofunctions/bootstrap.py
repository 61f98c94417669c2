"""Builds the clients, once, when the first trigger asks. Nothing connects at import."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests

from orthocontracts.brokers import BrokerAddress
from orthofunctions.adapters.account import Account, by_identity, by_key, default_identity
from orthofunctions.adapters.bell import MqttBell, SilentBell
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.adapters.issuer import IssuerKeys
from orthofunctions.adapters.pages import HttpPages
from orthofunctions.adapters.pem import as_file
from orthofunctions.adapters.poster import PinnedPoster
from orthofunctions.adapters.servers import Servers
from orthofunctions.adapters.transport import new_session
from orthofunctions.domain.exporting import wanted_exporters
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, Poster, SigningKeys
from orthofunctions.settings import Settings
from orthofunctions.telemetry import NoMeter, NoTracer, Telemetry
from orthofunctions.usecases.callers import Callers
from orthofunctions.usecases.rounds import Rounds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class System:
    """The running program: its settings and its hands, and what it remembers of its callers."""

    settings: Settings
    ports: Ports
    rules: Rules
    limits: Limits
    session: requests.Session
    rounds: Rounds = field(default_factory=Rounds)
    issuer: SigningKeys | None = None
    callers: Callers = field(default_factory=Callers)
    telemetry: Telemetry | None = None

    @property
    def poster(self) -> Poster:
        return PinnedPoster(self.settings.allowed_hosts())

    def close(self) -> None:
        """Publish what waits for the broker, close connections."""
        if isinstance(self.ports.bell, MqttBell):
            self.ports.bell.close()
        if self.telemetry is not None:
            self.telemetry.close()
        self.session.close()


def build(settings: Settings) -> System:
    """A system from settings. Clients connect when they are first used."""
    # At INFO the SDK logs every request with its headers: noise, and too near to secrets.
    logging.getLogger("azure").setLevel(logging.WARNING)
    session = new_session()
    account = open_account(settings, session)
    telemetry = open_telemetry(settings, os.environ)
    return System(
        settings=settings,
        ports=Ports(
            blobs=account.blobs,
            queues=account.queues,
            tables=account.tables,
            links=account.links,
            bell=_bell(settings),
            clock=SystemClock(),
            remote=Servers(settings.hosts(), settings.product_buckets, settings.product_logins),
            pages=HttpPages(session),
            tracer=NoTracer() if telemetry is None else telemetry.tracer,
            meter=NoMeter() if telemetry is None else telemetry.meter,
        ),
        rules=settings.rules(),
        limits=settings.limits(),
        session=session,
        issuer=IssuerKeys(settings.oidc_issuer, session) if settings.oidc_issuer else None,
        callers=Callers(in_azure="WEBSITE_SITE_NAME" in os.environ),
        telemetry=telemetry,
    )


def open_account(settings: Settings, session: requests.Session) -> Account:
    """The storage account of the settings."""
    if settings.storage_account is not None:
        return by_identity(settings.storage_account, session)
    assert settings.storage is not None  # the settings see to it
    return by_key(settings.storage.get_secret_value(), session)


def open_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry | None:
    """What is sent where, as the environment says. None where it says nothing, and where it cannot be done: work goes
    on without it, and the log says so."""
    wanted = wanted_exporters(environ)
    for wrong in wanted.wrong:
        logger.warning("%s", wrong, extra={"action": "telemetry_off"})
    if not wanted.any:
        return None
    try:
        from orthofunctions.adapters.telemetry import OtelTelemetry  # noqa: PLC0415  # a tenth of a second

        return OtelTelemetry(wanted, default_identity if settings.storage_account is not None else None)
    except ModuleNotFoundError as error:
        says = "telemetry is configured, and %s is not installed: install orthoburst[functions,telemetry]"
        logger.warning(says, error.name, extra={"action": "telemetry_off"})
    except Exception:
        logger.exception("telemetry is configured, and cannot be started", extra={"action": "telemetry_off"})
    return None


_lock = threading.Lock()
_built: list[System] = []


def system() -> System:
    """The process's one system, built from the environment at the first call."""
    with _lock:
        if not _built:
            _built.append(build(Settings()))
        return _built[0]


@contextlib.contextmanager
def running_as(other: System) -> Iterator[None]:
    """Let this process's functions run as a system with other hands: a simulation calls the very functions that a host
    calls."""
    with _lock:
        before = list(_built)
        _built[:] = [other]
    try:
        yield
    finally:
        with _lock:
            _built[:] = before


def _bell(settings: Settings) -> MqttBell | SilentBell:
    if settings.broker is None:
        return SilentBell()
    cert_file, key_file = settings.broker_cert_file, settings.broker_key_file
    if settings.broker_cert is not None and settings.broker_key is not None:
        cert_file = as_file(settings.broker_cert.get_secret_value())
        key_file = as_file(settings.broker_key.get_secret_value())
    return MqttBell(
        BrokerAddress.of(
            settings.broker.get_secret_value(),
            user=settings.broker_user,
            password=settings.broker_password.get_secret_value() if settings.broker_password else None,
            ca_file=settings.broker_ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )
    )
