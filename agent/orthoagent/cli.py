"""The command ``orthoagent``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import textwrap
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from orthoagent.bootstrap import run_presence, run_worker, set_up_logs
from orthoagent.errors import AgentError, RightsError
from orthoagent.logs import log, redact
from orthoagent.settings import Settings, StorageSettings

EXIT_FAILED, EXIT_SETTINGS, EXIT_RIGHTS = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 a clean end, 1 a failure, 2 unusable settings, 3 the broker denies this agent."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == "run":
            given = {"until_empty": parsed.until_empty or None, "linger_s": parsed.linger}
            settings = Settings(**{name: value for name, value in given.items() if value is not None})
            set_up_logs(settings)
            return _run(run_worker(settings))
        presence = StorageSettings()
        set_up_logs(presence)
        return _run(run_presence(presence))
    except ValidationError as error:
        # Not pydantic's own text: it quotes what was given, secrets included.
        for item in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in item["loc"]).upper()
            sys.stderr.write(f"orthoagent: ORTHOAGENT_{name}: {item['msg']}\n")
        return EXIT_SETTINGS


def _run(program: Coroutine[Any, Any, None]) -> int:
    failure: BaseException | None = None
    try:
        asyncio.run(program)
    except* AgentError as several:
        failure = several
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is None:
        return 0
    log("failed", level=logging.CRITICAL, error=str(failure), kind=type(failure).__name__)
    sys.stderr.write(f"orthoagent: {redact(str(failure))}\n")
    return EXIT_RIGHTS if isinstance(failure, RightsError) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthoagent",
        description="The orthoburst worker. All settings are variables that start with ORTHOAGENT_.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="take tasks from the pool's queue until told to end (SIGTERM drains)",
        epilog="\n".join(["settings:", *_settings_help()]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--until-empty", action="store_true", help="leave when the queue stays empty (cloud containers)")
    run.add_argument("--linger", type=float, metavar="SECONDS", help="for how long it must stay empty")
    commands.add_parser("presence", help="forward the agents' statuses from the broker into queue capacity")
    return parser


def _settings_help() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        yield f"  ORTHOAGENT_{name.upper()}{' (required)' if field.is_required() else ''}"
        yield from textwrap.wrap(field.description or "", 100, initial_indent="      ", subsequent_indent="      ")


if __name__ == "__main__":
    sys.exit(main())
