"""Tokens of a real issuer on loopback: which count, which do not, and what the issuer is asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from fakes.asgi import AsgiClient
from fakes.issuer import ABOUT, AUDIENCE, JWKS, Issuer, local_issuer
from fakes.memory_ports import ManualClock, memory_ports
from orthofunctions.adapters.issuer import FLOOR_S, FRESH_S, KEPT_S, IssuerKeys
from orthofunctions.adapters.transport import new_session
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.ports import IssuerDownError
from orthofunctions.settings import Settings

NOW = ManualClock()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with local_issuer(NOW.now().timestamp()) as running:
        yield running


@dataclass
class Service:
    """The API with that issuer, its monotonic clock in the test's hand."""

    client: AsgiClient
    system: System
    now_s: float = 1000.0

    def whoami(self, token: str) -> Any:
        return self.client.get("/whoami", headers={"Authorization": f"Bearer {token}".encode("latin-1")})

    def user(self, token: str) -> dict[str, Any]:
        answer = self.whoami(token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, token: str) -> str:
        answer = self.whoami(token)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")
        return str(answer.json()["detail"])


@pytest.fixture
def service(issuer: Issuer) -> Iterator[Service]:
    with service_of(issuer) as made:
        yield made


class service_of:  # noqa: N801 — reads as a function
    def __init__(self, issuer: Issuer, **settings: Any) -> None:
        chosen = {
            "ORTHOBURST_STORAGE": "unused",
            "oidc_issuer": issuer.url,
            "oidc_audience": AUDIENCE,
            "failed_proofs_per_minute": 10_000,
            **settings,
        }
        self._settings = Settings.model_validate(chosen)

    def __enter__(self) -> Service:
        self._session = new_session()
        settings = self._settings
        assert settings.oidc_issuer is not None
        system = System(
            settings,
            memory_ports(),
            settings.rules(),
            settings.limits(),
            self._session,
            issuer=IssuerKeys(settings.oidc_issuer, self._session, monotonic_s=lambda: service.now_s),
        )
        service = Service(AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1"), system)
        return service

    def __exit__(self, *_: object) -> None:
        self._session.close()


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "EdDSA"])
def test_tokens_signed_with_a_key_of_the_issuer_count(issuer: Issuer, service: Service, algorithm: str) -> None:
    issuer.add("new", algorithm)
    found = service.user(issuer.token("new"))
    assert found["user"] == "42"
    assert (found["via"], found["scopes"], found["groups"]) == ("token", ["read"], [])
    assert service.client.get("/whoami").status_code == 401, "nobody is local where there is an issuer"


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "https://elsewhere.example"}, "not of the issuer"),
        ({"iss": None}, "not of the issuer"),
        ({"aud": "api://other"}, "not for the audience"),
        ({"aud": ["api://other"]}, "not for the audience"),
        ({"aud": None}, "not for the audience"),
        ({"exp": NOW.now().timestamp() - 31}, "expired"),
        ({"exp": None}, "no end"),
        ({"exp": "tomorrow"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"nbf": NOW.now().timestamp() + 31}, "not hold yet"),
        ({"iat": NOW.now().timestamp() + 3600}, "not hold yet"),
        ({"sub": None}, "names nobody"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 42}, "names nobody"),
    ],
)
def test_what_a_token_must_say(issuer: Issuer, service: Service, claims: dict[str, Any], says: str) -> None:
    assert says in service.refused(issuer.token("r1", **claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW.now().timestamp() - 29},
        {"nbf": NOW.now().timestamp() + 29},
        {"nbf": None, "iat": None},
        {"aud": ["api://other", AUDIENCE]},
    ],
)
def test_clocks_may_differ_a_little_and_audiences_be_several(
    issuer: Issuer, service: Service, claims: dict[str, Any]
) -> None:
    service.user(issuer.token("r1", **claims))


def test_no_algorithm_but_those_with_a_private_key(issuer: Issuer, service: Service) -> None:
    private, _ = issuer.secrets["r1"]
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    good = issuer.token("r1")
    claims = jwt.decode(good, options={"verify_signature": False})
    assert "signed by none" in service.refused(signed("none", "r1", claims, b""))
    for alg in ("HS256", "hs256", "HS512"):  # the public key, which everybody has, as a shared secret
        for secret in (public, public.strip(), json.dumps(issuer.keys["r1"]).encode()):
            assert f"signed by {alg}" in service.refused(signed(alg, "r1", claims, secret))
    assert "no such key" in service.refused(signed("ES256", "r1", claims, b"x")), "its key is for RS256"
    del issuer.keys["r1"]["alg"]
    service.now_s += FRESH_S + 1
    service.user(good)
    for alg in ("ES256", "EdDSA", "RS512"):
        assert "signature is wrong" in service.refused(signed(alg, "r1", claims, b"x"))


def test_changed_and_broken_tokens(issuer: Issuer, service: Service) -> None:
    header, body, signature = issuer.token("r1").split(".")
    other = issuer.token("r1", sub="43").split(".")[1]
    assert "signature is wrong" in service.refused(f"{header}.{other}.{signature}")
    assert "signature is wrong" in service.refused(f"{header}.{body}.")
    for text in (
        "x",
        "a.b.c",
        "..",
        f"{header}.{body}",
        header,
        b64(b'{"alg": ["RS256"], "kid": "r1"}') + ".e30.",
        "ö.ö.ö",
    ):
        assert service.whoami(text).status_code == 401, text
    nested = b64(b"[" * 10_000)
    assert service.whoami(f"{nested}.{nested}.x").status_code == 401
    assert "longer than" in service.refused(f"{header}.{'A' * 20_000}.{signature}")
    for extension in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}):
        service.refused(issuer.token("r1", headers=extension))
    assert service.whoami(signed("RS256", 7, {}, b"")).status_code == 401


def test_a_rotated_key_is_honoured_and_a_withdrawn_one_goes(issuer: Issuer, service: Service) -> None:
    old = issuer.token("r1")
    service.user(old)
    issuer.add("r2")
    service.now_s += FLOOR_S
    service.user(issuer.token("r2"))
    assert issuer.fetches == 2
    del issuer.keys["r1"]
    service.user(old)
    service.now_s += FRESH_S + 1
    assert "no such key" in service.refused(old)
    service.user(issuer.token("r2"))


def test_tokens_without_a_key_id_need_an_issuer_with_one_key(issuer: Issuer, service: Service) -> None:
    private, _ = issuer.secrets["r1"]
    claims = jwt.decode(issuer.token("r1"), options={"verify_signature": False})
    token = jwt.encode(claims, private, algorithm="RS256")
    assert "no such key" in service.refused(token)
    del issuer.keys["e1"]
    service.now_s += FRESH_S + 1
    service.user(token)


def test_a_flood_of_unknown_keys_asks_the_issuer_no_oftener_than_the_floor(issuer: Issuer, service: Service) -> None:
    service.user(issuer.token("r1"))
    issuer.add("gone")
    tokens = [issuer.token("gone", headers={"kid": f"random-{number}"}) for number in range(200)]
    threads = [
        threading.Thread(target=lambda part=tokens[at::4]: [service.refused(one) for one in part]) for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert issuer.fetches == 1
    service.now_s += FLOOR_S
    for token in tokens:
        service.refused(token)
    assert (issuer.fetches, issuer.calls[JWKS]) == (2, 2)


def test_many_first_callers_at_once_fetch_once(issuer: Issuer, service: Service) -> None:
    token, found = issuer.token("r1"), []
    threads = [threading.Thread(target=lambda: found.append(service.user(token)["user"])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["42"] * 12
    assert issuer.fetches == 1


@pytest.mark.parametrize("path", [ABOUT, JWKS])
@pytest.mark.parametrize(
    "wrong",
    [
        (500, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (200, b'{"issuer": "https://elsewhere.example", "jwks_uri": "https://elsewhere.example", "keys": []}'),
        (200, b"x" * (1024 * 1024 + 1)),
        (302, b"/elsewhere"),
    ],
)
def test_while_the_issuer_is_down_known_keys_go_on_and_unknown_ones_wait(
    issuer: Issuer, service: Service, path: str, wrong: tuple[int, bytes]
) -> None:
    token = issuer.token("r1")
    issuer.answers[path] = wrong
    answer = service.whoami(token)
    assert (answer.status_code, answer.json()["title"]) == (503, "Try again")
    assert 1 <= int(answer.headers["retry-after"]) <= FLOOR_S
    assert answer.headers["content-type"] == "application/problem+json"
    issuer.answers.clear()
    service.now_s += FLOOR_S
    service.user(token)
    issuer.answers[path] = wrong
    issuer.add("r2")
    service.now_s += FRESH_S + 1
    service.user(token)
    assert service.whoami(issuer.token("r2")).status_code == 503
    service.now_s += KEPT_S
    assert service.whoami(token).status_code == 503, "a day later nobody knows whether it was withdrawn"


@pytest.mark.parametrize("path", [ABOUT, JWKS])
def test_redirects_are_not_followed(issuer: Issuer, service: Service, path: str) -> None:
    issuer.answers["/moved"] = issuer.answer(path)
    issuer.answers[path] = (302, b"/moved")
    assert service.whoami(issuer.token("r1")).status_code == 503


def test_a_discovery_document_of_another_issuer_leads_nowhere(issuer: Issuer, service: Service) -> None:
    about = {"issuer": issuer.url + "/", "jwks_uri": issuer.url + JWKS}
    issuer.answers[ABOUT] = (200, json.dumps(about).encode())
    assert service.whoami(issuer.token("r1")).status_code == 503


def test_an_issuer_that_is_not_there(issuer: Issuer) -> None:
    with new_session() as session, pytest.raises(IssuerDownError):
        IssuerKeys("http://127.0.0.1:9", session).find("r1")


def test_keys_over_plain_http_from_elsewhere_are_not_fetched(issuer: Issuer, service: Service) -> None:
    about = {"issuer": issuer.url, "jwks_uri": "http://192.0.2.1/keys"}
    issuer.answers[ABOUT] = (200, json.dumps(about).encode())
    assert service.whoami(issuer.token("r1")).status_code == 503
    for url in ("http://issuer.example", "ftp://issuer.example", "issuer.example", "https://"):
        with pytest.raises(ValueError, match="not https"):
            service_of(issuer, oidc_issuer=url)
    with pytest.raises(ValueError, match="set together"):
        service_of(issuer, oidc_audience=None)


def test_keys_that_are_no_signing_keys_are_passed_over(issuer: Issuer, service: Service) -> None:
    issuer.add("short", bits=1024)
    issuer.add("encrypts", use="enc")
    issuer.keys["secret"] = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}
    issuer.keys["odd"] = {"kty": "RSA", "kid": "odd", "n": "!", "e": "AQAB"}
    service.user(issuer.token("e1"))
    assert "no such key" in service.refused(issuer.token("encrypts"))
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        short = issuer.token("short")
    assert "no such key" in service.refused(short)
    claims = jwt.decode(issuer.token("r1"), options={"verify_signature": False})
    assert "signed by HS256" in service.refused(signed("HS256", "secret", claims, b"secret"))


def test_roles_groups_and_scopes(issuer: Issuer) -> None:
    with service_of(issuer, oidc_roles={"earth-operators": "operate"}) as service:
        found = service.user(issuer.token("r1", roles=["orthoburst.submit", "other"], groups=["hydrology", "/Geo/Été"]))
        assert found["scopes"] == ["read", "submit"]
        assert found["groups"][1] == "hydrology"
        assert found["groups"][0].startswith("geo-ete-")
        assert service.user(issuer.token("r1", roles=["earth-operators"]))["scopes"] == ["operate", "read"]
        everything = ["admin", "operate", "read", "submit"]
        assert service.user(issuer.token("r1", roles=["orthoburst.admin"]))["scopes"] == everything
        assert service.user(issuer.token("r1", roles={"orthoburst.admin": 1}, groups=7, scope="orthoburst.admin"))[
            "scopes"
        ] == ["read"]
    with service_of(issuer, oidc_roles_claim="scope", oidc_default_scopes="") as service:
        assert service.user(issuer.token("r1", scope="openid orthoburst.submit"))["scopes"] == ["read", "submit"]
        refused = service.whoami(issuer.token("r1", scope="openid"))
        assert (refused.status_code, refused.json()["detail"]) == (403, "this needs the scope read, which 42 has not")
    with service_of(
        issuer, oidc_roles_claim="realm_access.roles", oidc_user_claim="https://site.example/name"
    ) as service:
        claims = {"realm_access": {"roles": ["orthoburst.operate"]}, "https://site.example/name": "ana"}
        found = service.user(issuer.token("r1", **claims))
        assert (found["user"], found["scopes"]) == ("ana", ["operate", "read"])


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(alg: str, kid: Any, claims: dict[str, Any], secret: bytes) -> str:
    """A token as a forger makes it: any header, signed with HMAC."""
    content = f"{b64(json.dumps({'alg': alg, 'kid': kid, 'typ': 'JWT'}).encode())}.{b64(json.dumps(claims).encode())}"
    hashed = hashlib.sha512 if alg.endswith("512") else hashlib.sha256
    signature = hmac.new(secret, content.encode(), hashed).digest() if alg != "none" else b""
    return f"{content}.{b64(signature)}"
