"""The batch script of a pilot. It holds no secret: the worker reads those from a file that is its user's alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from orthoagent.pilots.scheduler import PilotSpec


def pilot_script(agent: str, directives: Iterable[str], spec: PilotSpec) -> str:
    """Bash that becomes the worker: so the scheduler's signals reach it, and no shell dies of them before it."""
    environment = {**spec.environment, "ORTHOAGENT_AGENT": agent}
    lines = [
        "#!/bin/bash",
        *directives,
        "umask 077",
        f"exec >>{shlex.quote(str(spec.folder / 'logs' / f'{agent}.log'))} 2>&1",
        *(f"export {name}={shlex.quote(value)}" for name, value in environment.items()),
        f"exec {shlex.join(spec.command)}",
    ]
    return "\n".join(lines) + "\n"


def refusal(scheduler: str, said: str, options: dict[str, str]) -> str:
    """Why a pilot was refused: the options the scheduler complains of, else all, and its own words."""
    words = {"partition": ("partition", "queue"), "account": ("account",), "qos": ("qos",)}
    named = [name for name in options if any(word in said.lower() for word in words.get(name, ()))] or list(options)
    given = " ".join(f"--{name} {options[name]}" for name in named)
    quoted = " / ".join(line.strip() for line in said.splitlines() if line.strip())
    return f"{scheduler} refuses the pilot{f' with {given}' if given else ''}: {quoted}"
