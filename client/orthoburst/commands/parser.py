"""Every subcommand and its options, in one parser: help and shell completion follow from it."""

from __future__ import annotations

import argparse

from orthoburst.commands import (
    archive,
    batches,
    campaigns,
    catalogue,
    completion,
    heights,
    jobs,
    keys,
    orders,
    site,
    stubs,
    submit,
    trace,
)
from orthoburst.commands.output import EXIT_CODES
from orthoburst.commands.subparsers import Subcommands

DESCRIPTION = "Ask for orthoimages, watch them come, fetch them."
EPILOG = f"""environment:
  ORTHOBURST_URL, ORTHOBURST_API_KEY

{EXIT_CODES}"""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthoburst",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", help="the service (default: ORTHOBURST_URL, else this machine)")
    commands = Subcommands(parser.add_subparsers(required=True, metavar="COMMAND", dest="command"))
    for group in (submit, batches, jobs, trace, catalogue, archive, orders, campaigns, site, keys, stubs, heights):
        group.add_to(commands)
    completion.add_to(commands, make_parser)
    return parser
