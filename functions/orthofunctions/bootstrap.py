"""Builds the clients, once, when the first trigger asks. Nothing connects at import."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field

import requests

from orthocontracts.brokers import BrokerAddress
from orthofunctions.adapters.bell import MqttBell, SilentBell
from orthofunctions.adapters.blobs import AzureBlobs
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.adapters.issuer import IssuerKeys
from orthofunctions.adapters.links import AccountKeyLinks
from orthofunctions.adapters.pages import HttpPages
from orthofunctions.adapters.poster import PinnedPoster
from orthofunctions.adapters.queues import AzureQueues
from orthofunctions.adapters.servers import Servers
from orthofunctions.adapters.tables import AzureTables
from orthofunctions.adapters.transport import new_session
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Pages, Ports, Poster, SigningKeys
from orthofunctions.settings import Settings
from orthofunctions.usecases.callers import Callers
from orthofunctions.usecases.rounds import Rounds


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

    @property
    def poster(self) -> Poster:
        return PinnedPoster(self.settings.allowed_hosts())

    @property
    def pages(self) -> Pages:
        return HttpPages(self.session)

    def close(self) -> None:
        """Publish what waits for the broker, close connections."""
        if isinstance(self.ports.bell, MqttBell):
            self.ports.bell.close()
        self.session.close()


def build(settings: Settings) -> System:
    """A system from settings. Clients connect when they are first used."""
    # At INFO the SDK logs every request with its headers: noise, and too near to secrets.
    logging.getLogger("azure").setLevel(logging.WARNING)
    storage = settings.storage.get_secret_value()
    session = new_session()
    return System(
        settings=settings,
        ports=Ports(
            blobs=AzureBlobs.connect(storage, session),
            queues=AzureQueues.connect(storage, session),
            tables=AzureTables.connect(storage, session),
            links=AccountKeyLinks(storage),
            bell=_bell(settings),
            clock=SystemClock(),
            remote=Servers(settings.hosts(), settings.product_buckets, settings.product_logins),
        ),
        rules=settings.rules(),
        limits=settings.limits(),
        session=session,
        issuer=IssuerKeys(settings.oidc_issuer, session) if settings.oidc_issuer else None,
        callers=Callers(in_azure="WEBSITE_SITE_NAME" in os.environ),
    )


_lock = threading.Lock()
_built: list[System] = []


def system() -> System:
    """The process's one system, built from the environment at the first call."""
    with _lock:
        if not _built:
            _built.append(build(Settings()))
        return _built[0]


def _bell(settings: Settings) -> MqttBell | SilentBell:
    if settings.broker is None:
        return SilentBell()
    return MqttBell(
        BrokerAddress.of(
            settings.broker.get_secret_value(),
            user=settings.broker_user,
            password=settings.broker_password.get_secret_value() if settings.broker_password else None,
            ca_file=settings.broker_ca_file,
            cert_file=settings.broker_cert_file,
            key_file=settings.broker_key_file,
        )
    )
