"""How a subcommand is added: each has ``--json``, and each its function."""

from __future__ import annotations

import argparse
from typing import Any

from orthoburst.commands.output import Run


class Subcommands:
    """The subcommands of a parser."""

    def __init__(self, action: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._action = action

    def add(self, name: str, run: Run, text: str, **more: Any) -> argparse.ArgumentParser:
        command = self._action.add_parser(name, help=text, description=text, **more)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command
