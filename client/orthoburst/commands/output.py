"""What a command prints: JSON for programs, else a table or lines for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from orthoburst.client import Client
from orthoburst.terminal import Terminal

Run = Callable[[Client, argparse.Namespace], int]
"""A subcommand: does what was asked and returns the exit code."""

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130

EXIT_CODES = """exit codes:
  0    it was done
  1    the service refused it, a job failed, or files could not be fetched
  2    it was asked for in a wrong way: an option, a line of a file
  3    the service does not answer
  130  interrupted; jobs go on"""


def print_json(value: Any) -> None:
    """On one line, for programs."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def show(arguments: argparse.Namespace, value: Any, for_people: Any) -> None:
    """``value`` as JSON where that was asked for, else what people read."""
    if arguments.json:
        print_json(value)
    else:
        Terminal().print(for_people, markup=False, highlight=False, soft_wrap=True)
