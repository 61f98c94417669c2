"""Where the broker is, and who we are to it: by user and password, or by a client certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
WEBSOCKET_PATH = "/mqtt"


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """A broker and a login. ``password`` is a secret: ``repr`` leaves it out.

    Attributes
    ----------
    path : str
        Of the WebSocket, where it is one.
    ca_file, cert_file, key_file : str or None
        PEM files: whom to believe that it is the broker (None: what the system believes), our certificate, its key.
    """

    host: str
    port: int
    tls: bool = False
    websocket: bool = False
    path: str = WEBSOCKET_PATH
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        return f"BrokerAddress({self.host}:{self.port}, tls={self.tls}, user={self.user})"

    @classmethod
    def of(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
    ) -> BrokerAddress:
        """Read ``mqtt://``, ``mqtts://``, ``ws://`` or ``wss://``; user and password may stand in it.

        Raises
        ------
        ValueError
            For another scheme, no host, or a certificate without TLS. The message never repeats the address: it may
            hold a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("the broker's address must be like mqtt://host:1883, mqtts://, ws:// or wss://")
        tls = parts.scheme in ("mqtts", "wss")
        if (ca_file or cert_file or key_file) and not tls:
            raise ValueError("certificates need mqtts:// or wss://: over the broker's address they would not be used")
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            tls=tls,
            websocket=parts.scheme in ("ws", "wss"),
            path=parts.path if parts.path not in ("", "/") else WEBSOCKET_PATH,
            user=user or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """What a connection is made with; read anew for each, so that renewed certificates are taken up.

        Raises
        ------
        OSError
            Where a file is not there or holds no certificate or key.
        """
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
