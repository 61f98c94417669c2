"""Every command that a page has somebody type is one that its program takes: words, options and values."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orthoagent import cli as agent
from orthoburst.commands.parser import make_parser as make_client_parser
from orthofunctions import grant, keys, rebuild
from orthokernel import cli as kernel

TOP = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((TOP / "docs").glob("*.md")),
    *sorted((TOP / "infra").rglob("README.md")),
    TOP / "README.md",
    TOP / "ARCHITECTURE.md",
]
PARSERS: dict[str, Callable[[], Any]] = {
    "orthoburst": make_client_parser,
    "orthoagent": agent.make_parser,
    "orthokernel": kernel.make_parser,
    "python -m orthofunctions.grant": grant._parser,
    "python -m orthofunctions.keys": keys._parser,
    "python -m orthofunctions.rebuild": rebuild._parser,
}
AUTHORITY = TOP / "infra/mosquitto/authority"


def typed() -> list[tuple[str, str]]:
    """Page and command of every line of a block that a shell reads, without remarks, one for each of ``a && b``."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
                line = re.sub(r"(^|\s)#.*", "", part.splitlines()[0])
                found += [(page.name, " ".join(one.split())) for one in re.split(r"&&|\|", line)]
    return found


TYPED = typed()


def words_of(command: str) -> tuple[str, list[str]]:
    """The program, and its words: without variables before it, and what a shell would put in."""
    command = re.sub(r"^source <\((.*)\)$", r"\1", command)
    words = [word for word in shlex.split(command) if word]
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    n_of_program = 3 if words[:2] == ["python", "-m"] else 1
    return " ".join(words[:n_of_program]), words[n_of_program:]


OURS = [
    (page, command)
    for page, command in TYPED
    if re.search(r"(^|\s|\()(ortho\w+ |orthoburst$|python -m ortho)", command)
]


@pytest.mark.parametrize(("page", "command"), OURS, ids=[f"{page}: {command[:60]}" for page, command in OURS])
def test_its_program_takes_it(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        program, words = words_of(command)
    except ValueError:
        pytest.fail(f"{page}: a quotation without its end: {command}")
    if program not in PARSERS:
        assert not program.startswith("ortho"), f"{page}: no such program: {command}"
        return
    monkeypatch.setenv("COLUMNS", "200")
    try:
        PARSERS[program]().parse_args(words)
    except SystemExit as refused:
        pytest.fail(f"{page}: {command} ends with {refused.code}")


def test_there_are_many() -> None:
    assert len(OURS) > 50
    assert {words_of(command)[0] for _, command in OURS} >= set(PARSERS)


def test_scripts_and_files_that_are_typed_are_there() -> None:
    for page, command in TYPED:
        for path in re.findall(r"(?<![\w/.])(?:\./)?((?:local-dev|infra)/[\w./-]+)", command):
            assert (TOP / path).exists(), f"{page}: {command}"


def test_the_authority_takes_its_words() -> None:
    words = {command.split()[1] for _, command in TYPED if command.startswith("authority ")}
    assert words == {"init", "broker", "client", "revoke", "sign"}
    told = subprocess.run([AUTHORITY], capture_output=True, text=True, check=False)
    for word in words:
        assert word in told.stdout + told.stderr
