"""What may be typed, read off the parser: what shell completion is made of."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    words: tuple[str, ...]
    help: str
    takes_value: bool
    repeats: bool
    choices: tuple[str, ...]
    is_file: bool


@dataclass(frozen=True)
class Subcommand:
    """``choices`` are of its arguments, ``takes_file`` whether one of them is a file."""

    name: str
    help: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    takes_file: bool


def subcommands_of(parser: argparse.ArgumentParser) -> list[Subcommand]:
    # argparse shows its parts to help formatters only
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    helps = {one.dest: one.help or "" for one in commands._choices_actions}
    return [_subcommand(name, helps[name], one) for name, one in commands.choices.items()]


def _subcommand(name: str, text: str, parser: argparse.ArgumentParser) -> Subcommand:
    options = [_option(one) for one in parser._actions if one.option_strings]
    arguments = [one for one in parser._actions if not one.option_strings]
    choices = [str(choice) for one in arguments for choice in one.choices or ()]
    takes_file = any(_names_file(name, one) for one in arguments)
    return Subcommand(name, text, tuple(options), tuple(choices), takes_file)


def _option(action: argparse.Action) -> Option:
    return Option(
        words=tuple(action.option_strings),
        help=action.help or "",
        takes_value=action.nargs != 0,
        repeats=isinstance(action, argparse._AppendAction),
        choices=tuple(map(str, action.choices or ())),
        is_file=action.dest in {"area", "fetch", "root"},
    )


def _names_file(command: str, action: argparse.Action) -> bool:
    return action.dest in {"file", "folder", "into"} or (command, action.dest) == ("stub", "product")
