"""Who you are to the service, and your keys."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.errors import UsageError

SCOPES = ("read", "submit", "operate", "admin")


def add_to(commands: Subcommands) -> None:
    commands.add("whoami", _whoami, "your name, what you may, and what you have used")
    keys = commands.add("keys", _keys, "list, make and revoke API keys")
    keys.add_argument("action", nargs="?", default="list", choices=("list", "make", "revoke"))
    keys.add_argument("name", nargs="?", metavar="NAME|ID", help="of the new key; or which to revoke")
    keys.add_argument("--scope", action="append", choices=SCOPES, help="repeatable (default: read, submit)")
    keys.add_argument("--expires-in-days", type=float, metavar="DAYS")
    keys.add_argument("--user", help="make it for somebody else, as an admin")


def _whoami(client: Client, arguments: argparse.Namespace) -> int:
    found = client.whoami()
    lines = [
        f"{found['user']}, known by {found['via']}",
        f"may {', '.join(found['scopes'])}",
        *([f"in {', '.join(found['groups'])}"] if found.get("groups") else []),
        *(f"{name}: {_used(found, name)} of {limit}" for name, limit in (found.get("limits") or {}).items() if limit),
    ]
    show(arguments, found, "\n".join(lines))
    return OK


def _used(found: dict[str, Any], limit: str) -> Any:
    """What is used of a limit, whose name may say over what time."""
    usage = found.get("usage") or {}
    return next((used for name, used in usage.items() if limit.startswith(name) and used is not None), "up to all")


def _keys(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.action != "list" and not arguments.name:
        raise UsageError(f"keys {arguments.action}: {'name the new key' if arguments.action == 'make' else 'which?'}")
    if arguments.action == "make":
        made = client.make_key(
            arguments.name,
            arguments.scope or ("read", "submit"),
            expires_in_days=arguments.expires_in_days,
            user=arguments.user,
        )
        show(arguments, made, f"{made['key']}\nThis is {made['id']}; it is shown this once: keep it safe.")
        return OK
    if arguments.action == "revoke":
        client.revoke_key(arguments.name)
        show(arguments, {"revoked": arguments.name}, f"{arguments.name} opens nothing any longer")
        return OK
    keys = client.keys()
    table = Table("key", "name", "scopes", "expires", "last used", "revoked")
    for key in keys:
        moments = (str(key.get(name) or "never") for name in ("expires", "last_used", "revoked"))
        table.add_row(key["id"], key.get("name", ""), ", ".join(key.get("scopes", ())), *moments)
    show(arguments, keys, table if keys else "no keys")
    return OK
