"""``orthoagent enroll``: a key that never leaves the node, a request for the site's authority, and what comes back.

The key of a certificate in use stays until the new certificate is there and fits; both are then put in place, and the
agent's next connection uses them. Works with the ``openssl`` command, which every node has.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orthoagent.errors import AgentError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIMEOUT_S: Final = 30


@dataclass(frozen=True)
class Paths:
    """Files of an agent's login at the broker, in one folder."""

    folder: Path
    name: str

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def next_key(self) -> Path:
        return self.folder / f"{self.name}.key.next"

    @property
    def request(self) -> Path:
        return self.folder / f"{self.name}.csr"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.crt"


def ask(paths: Paths) -> None:
    """Make a key, unless one waits for its certificate already, and a request for it.

    Raises
    ------
    AgentError
        Where the name is no agent's id, or files cannot be made.
    """
    if not _NAME.fullmatch(paths.name):
        raise AgentError(f"{paths.name!r} is no agent's id: lower case letters, digits and hyphens, 63 at most")
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        if not paths.next_key.exists():
            part = paths.next_key.with_suffix(f".{os.getpid()}")
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(part))
            part.replace(paths.next_key)
    except OSError as error:
        raise AgentError(f"cannot make a key in {paths.folder}: {error}") from error
    _openssl("req", "-new", "-key", str(paths.next_key), "-subj", f"/CN={paths.name}", "-out", str(paths.request))


def take(paths: Paths, signed: Path, authority: Path | None = None) -> str:
    """Put a signed certificate and its key in place, once they are seen to be right.

    Parameters
    ----------
    signed : Path
        What the authority made of the request.
    authority : Path, optional
        Its own certificate, to hold this one against.

    Returns
    -------
    str
        When it ends, as openssl says it.

    Raises
    ------
    AgentError
        Where it is no certificate, another's, of another key, of another authority, or has ended. Nothing is changed.
    """
    key = paths.next_key if paths.next_key.exists() else paths.key
    if not key.exists():
        raise AgentError(f"there is no key of {paths.name} in {paths.folder}: orthoagent enroll {paths.name} makes one")
    said = _openssl("x509", "-in", str(signed), "-noout", "-subject", "-enddate", "-nameopt", "multiline")
    name, ends = (re.search(pattern, said) for pattern in (r"commonName\s*= (.*)", r"notAfter=(.*)"))
    if name is None or ends is None or name[1].strip() != paths.name:
        raise AgentError(f"{signed} is a certificate of {name[1].strip() if name else 'nobody'}, not of {paths.name}")
    if _openssl("x509", "-in", str(signed), "-noout", "-pubkey") != _openssl("pkey", "-in", str(key), "-pubout"):
        raise AgentError(f"{signed} was made for another key than {key}: was another request signed, or an old one?")
    if authority is not None:
        _openssl("verify", "-purpose", "sslclient", "-CAfile", str(authority), str(signed))
    else:
        _openssl("x509", "-in", str(signed), "-noout", "-checkend", "0")
    part = paths.certificate.with_suffix(f".{os.getpid()}")
    try:
        part.write_bytes(signed.read_bytes())
        part.replace(paths.certificate)
        if key == paths.next_key:
            key.replace(paths.key)
        paths.request.unlink(missing_ok=True)
    except OSError as error:
        raise AgentError(f"cannot put the certificate in place: {error}") from error
    return ends[1].strip()


def ends_soon(certificate: Path, seconds: float) -> bool:
    """Whether a certificate has ended, or will within so long. Raises AgentError where it cannot be read."""
    _openssl("x509", "-in", str(certificate), "-noout")
    try:
        _openssl("x509", "-in", str(certificate), "-noout", "-checkend", str(int(seconds)))
    except AgentError:
        return True
    return False


def _openssl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["openssl", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, umask=0o077
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AgentError(f"openssl {arguments[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise AgentError(f"openssl {arguments[0]}: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout
