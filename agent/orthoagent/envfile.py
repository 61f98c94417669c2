"""Variables from a file that only its owner can read: one ``NAME=value`` a line, as systemd's ``EnvironmentFile``.

Read, never run: a connection string has semicolons, which a shell would take for its own.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from orthoagent.errors import AgentError

_NAME = re.compile(r"[A-Za-z_]\w*")


class EnvFileError(AgentError):
    """The file is not there, is open to others, or says what is no variable. Values are never quoted."""


def read_env_file(path: Path) -> dict[str, str]:
    """Variables by name.

    Raises
    ------
    EnvFileError
        Which says what to do.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as error:
        raise EnvFileError(f"the environment file {path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise EnvFileError(f"the environment file {path} holds secrets and others can open it: chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content[0] in "#;":
            continue
        name, equals, value = content.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise EnvFileError(f"{path}, line {number}: expected NAME=value")
        found[name] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
