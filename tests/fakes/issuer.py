"""An OpenID Connect issuer on this machine: a discovery document, keys, and tokens signed with them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "api://orthoburst"
JWKS = "/keys"
ABOUT = "/.well-known/openid-configuration"


@dataclass
class Issuer:
    """``keys`` is what it publishes; ``calls`` counts what was asked of it, ``answers`` changes what it says."""

    url: str
    now_s: float
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, tuple[PrivateKeyTypes, str]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def add(self, kid: str, algorithm: str = "RS256", **more: Any) -> None:
        """Make a key pair and publish its public half."""
        private: Any
        match algorithm[:2]:
            case "RS" | "PS":
                private = rsa.generate_private_key(public_exponent=65537, key_size=more.pop("bits", 2048))
                public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
            case "ES":
                private = ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])
                public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
            case _:
                private = ed25519.Ed25519PrivateKey.generate()
                public = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        self.secrets[kid] = (private, algorithm)
        self.keys[kid] = {**public, "kid": kid, "use": "sig", "alg": algorithm, **more}

    def token(self, kid: str, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for somebody called 42 that holds for ten minutes, but for the claims given; None leaves one out."""
        key, algorithm = self.secrets[kid]
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "42",
            "iat": self.now_s,
            "nbf": self.now_s,
            "exp": self.now_s + 600,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        body = json.dumps(said).encode()
        token = jwt.api_jws.encode(body, key, algorithm=algorithm, headers={"kid": kid, **(headers or {})})  # type: ignore[arg-type]
        return token

    @property
    def fetches(self) -> int:
        return self.calls[ABOUT]

    def answer(self, path: str) -> tuple[int, bytes]:
        self.calls[path] += 1
        if path in self.answers:
            return self.answers[path]
        if path == ABOUT:
            return 200, json.dumps({"issuer": self.url, "jwks_uri": self.url + JWKS}).encode()
        if path == JWKS:
            return 200, json.dumps({"keys": list(self.keys.values())}).encode()
        return 404, b"{}"


@contextmanager
def local_issuer(now_s: float) -> Iterator[Issuer]:
    """An issuer that answers on loopback, with a key of RSA, ``r1``, and one of elliptic curves, ``e1``."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}", now_s)
    issuer.add("r1", "RS256")
    issuer.add("e1", "ES256")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
