"""``python -m orthofunctions.keys make --user ana --scopes read,submit --name laptop``: API keys, straight in storage.

For whoever holds the functions' settings: that is how a site gets its first key.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orthocontracts.model import Identifier
from orthocontracts.wire import explain
from orthofunctions.bootstrap import build
from orthofunctions.domain.keytext import id_of
from orthofunctions.domain.principals import Scope, with_implied
from orthofunctions.domain.records import KeyRecord
from orthofunctions.grant import write_private
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.keys import (
    KeyOrder,
    TooManyKeysError,
    find_key,
    is_valid,
    keys_of,
    make_key,
    revoke_key,
)

_USER: TypeAdapter[str] = TypeAdapter(Identifier)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 no such key or too many, 2 unusable settings."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"settings: {explain(error)}\n")
        return 2
    system = build(settings)
    try:
        code: int = asked.run(system.ports, asked)
    finally:
        system.close()
    return code


def _make(ports: Ports, asked: argparse.Namespace) -> int:
    ends = ports.clock.now() + timedelta(days=asked.days) if asked.days is not None else None
    order = KeyOrder(asked.name, asked.user, with_implied(asked.scopes), created_by="operator", expires_at=ends)
    try:
        key, record = make_key(ports, order)
    except TooManyKeysError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if asked.out is None:
        sys.stdout.write(f"{key}\n")
    else:
        write_private(asked.out, f"{key}\n")
    sys.stderr.write(f"{_line(ports, record)}\nIt is not shown again.\n")
    return 0


def _list(ports: Ports, asked: argparse.Namespace) -> int:
    for record in keys_of(ports, asked.user):
        sys.stdout.write(f"{_line(ports, record)}\n")
    return 0


def _revoke(ports: Ports, asked: argparse.Namespace) -> int:
    record = find_key(ports, asked.id)
    if record is None:
        sys.stderr.write(f"there is no key {asked.id}: python -m orthofunctions.keys list\n")
        return 1
    sys.stdout.write(f"{_line(ports, revoke_key(ports, record))}\n")
    return 0


def _line(ports: Ports, record: KeyRecord) -> str:
    if record.revoked_at is not None:
        state = f"revoked {record.revoked_at:%Y-%m-%d %H:%M}"
    elif not is_valid(record, ports.clock.now()):
        state = f"expired {record.expires_at:%Y-%m-%d %H:%M}"
    else:
        state = f"until {record.expires_at:%Y-%m-%d %H:%M}" if record.expires_at else "until it is revoked"
    return f"{id_of(record.digest)}  {record.user}  {record.scopes}  {state}  {record.name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orthofunctions.keys", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser("make", help="make a key and show it, once")
    make.add_argument("--user", type=_user, required=True, help="whose key it is")
    make.add_argument("--name", required=True, help="what it is for")
    make.add_argument(
        "--scopes", type=_scopes, default=(Scope.READ, Scope.SUBMIT),
        help=f"some of {','.join(Scope)}, separated by commas; read,submit by default",
    )  # fmt: skip
    make.add_argument("--days", type=_days, help="how long it holds; until it is revoked by default")
    make.add_argument("--out", type=Path, metavar="FILE", help="written with mode 0600; standard output by default")
    make.set_defaults(run=_make)
    listing = commands.add_parser("list", help="all keys, or those of a user")
    listing.add_argument("--user")
    listing.set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="no instance takes it any longer, within a minute")
    revoke.add_argument("id", help="as it is listed")
    revoke.set_defaults(run=_revoke)
    return parser


def _user(text: str) -> str:
    try:
        return _USER.validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError("lower case, digits and hyphens, 63 at most") from error


def _scopes(text: str) -> tuple[Scope, ...]:
    try:
        return tuple(Scope(one.strip()) for one in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"some of {','.join(Scope)}") from error


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError("between 0 and 3650")
    return days


if __name__ == "__main__":
    sys.exit(main())
