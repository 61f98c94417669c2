"""The part of ``requirements.lock`` that some extras of the project need: the same pins, the same hashes.

``python -m packing.lock EXTRA... [--without PACKAGE]`` prints it.

The lock says below every pin which packages ask for it, so the part is found without a network. Of a package's own
extras the lock does not tell which asked: ``--without`` leaves out what only those bring. That nothing is missing
the installer proves: with hashes required, it refuses a dependency that is not pinned.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "orthoburst"

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"\s+#\s+(?:via\b)?\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OWN_EXTRAS = re.compile(rf"{PROJECT}\[([^]]*)]")


class LockError(Exception):
    """The lock or the project file does not say what is asked of it."""


@dataclass(frozen=True)
class Pin:
    """One package of the lock, as it stands there: a package may stand there twice, for different Pythons.

    Attributes
    ----------
    text : str
        Its lines, with hashes and without remarks.
    asked_by : frozenset of str
        Names of the packages that need it.
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    asked_by: frozenset[str]
    text: str


def read_lock(path: Path = ROOT / "requirements.lock") -> list[Pin]:
    """Every pin of a lock that ``uv pip compile --generate-hashes`` wrote.

    Raises
    ------
    LockError
        Where a pin has no hash, or a line belongs to none.
    """
    blocks: list[list[str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if _PIN.match(line):
            blocks.append([line])
        elif blocks and (line.startswith(" ") or not line):
            blocks[-1].append(line)
        elif not line.startswith("#"):
            raise LockError(f"{path} has a line that pins nothing: {line!r}")
    return [_pin(block, path) for block in blocks]


def _pin(lines: Sequence[str], path: Path) -> Pin:
    head = _PIN.match(lines[0])
    assert head is not None
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    hashes = tuple(_HASH.findall("\n".join(kept)))
    if not hashes:
        raise LockError(f"{path}: {lines[0]} has no hash: compile it with --generate-hashes")
    said = [via["name"] for line in lines if (via := _VIA.match(line)) and via["name"]]
    return Pin(
        name=normal(head["name"]),
        version=head["version"],
        marker=head["marker"].strip() if head["marker"] else None,
        hashes=hashes,
        asked_by=frozenset(normal(name) for name in said),
        text="\n".join(kept).rstrip(" \\") + "\n",
    )


def part_for(extras: Iterable[str], pins: Sequence[Pin], *, without: Collection[str] = ()) -> list[Pin]:
    """The pins that the project with these extras needs, in the lock's order.

    Raises
    ------
    LockError
        Where the project has no such extra, or asks for a package that the lock does not pin.
    """
    left_out = {normal(name) for name in without}
    wanted = asked_for(extras)
    missing = wanted - {pin.name for pin in pins}
    if missing:
        raise LockError(f"requirements.lock does not pin {', '.join(sorted(missing))}: compile it again")
    while True:
        further = {pin.name for pin in pins if pin.asked_by & wanted} - left_out - wanted
        if not further:
            return [pin for pin in pins if pin.name in wanted]
        wanted |= further


def asked_for(extras: Iterable[str], project: Path = ROOT / "pyproject.toml") -> set[str]:
    """Names of the packages that the project itself asks for with these extras."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    offered: dict[str, list[str]] = table["optional-dependencies"]
    wanted = {_name_of(line) for line in table["dependencies"]}
    for extra in extras:
        if extra not in offered:
            raise LockError(f"{project.name} has no extra {extra!r}; there are {', '.join(sorted(offered))}")
        for line in offered[extra]:
            own = _OWN_EXTRAS.match(line)
            wanted |= asked_for(own[1].split(","), project) if own else {_name_of(line)}
    return wanted


def normal(name: str) -> str:
    """A package's name as all registries write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _name_of(requirement: str) -> str:
    found = _NAME.match(requirement)
    assert found is not None
    return normal(found[0])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="packing.lock", description="Print the part of the lock for some extras.")
    parser.add_argument("extras", nargs="+", metavar="EXTRA")
    parser.add_argument("--without", action="append", default=[], metavar="PACKAGE")
    options = parser.parse_args(arguments)
    try:
        for pin in part_for(options.extras, read_lock(), without=options.without):
            sys.stdout.write(pin.text)
    except LockError as error:
        sys.stderr.write(f"lock: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
