"""The ``orthoburst`` command: each module is a group of its subcommands."""

from orthoburst.commands.run import main

__all__ = ["main"]
