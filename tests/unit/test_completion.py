"""Completion scripts, loaded by the shells they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orthoburst.commands.completion import bash, fish, zsh
from orthoburst.commands.grammar import subcommands_of
from orthoburst.commands.parser import make_parser

ORTHOBURST = Path(sys.executable).with_name("orthoburst")


def run(shell: str, script: str, cwd: Path | None = None) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    found = subprocess.run(
        [shell, *(("--no-config",) if shell == "fish" else ("-f",) if shell == "zsh" else ("--norc",)), "-c", script],
        capture_output=True, text=True, timeout=60, cwd=cwd, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, ""), found.stderr
    return found.stdout


def completed(words: str, cwd: Path, source: str = "") -> set[str]:
    """What bash offers after words, of which the last is begun."""
    typed = words.split(" ")
    script = f"""
    source {source or cwd / "orthoburst.bash"}
    complete -p orthoburst >/dev/null || exit 9
    COMP_WORDS=({" ".join(f"'{word}'" for word in typed)})
    COMP_CWORD={len(typed) - 1}
    _orthoburst
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(run("bash", script, cwd).split())


def test_bash_completes_commands_options_and_choices(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").touch()
    (tmp_path / "orthoburst.bash").write_text(bash(subcommands_of(make_parser())))
    commands = {one.name for one in subcommands_of(make_parser())}
    by_the_command = f"<({ORTHOBURST} completion bash)"
    assert completed("orthoburst ", tmp_path, by_the_command) == {*commands, "--url", "--help"}
    assert completed("orthoburst re", tmp_path) == {"results", "retry"}
    assert completed("orthoburst submit --ra", tmp_path) == {"--radiometry"}
    new = {"--dem", "--geoid", "--height", "--area", "--notify", "--share", "--keep-days", "--dry-run"}
    assert new <= completed("orthoburst submit --", tmp_path)
    assert completed("orthoburst --url http://x pools p", tmp_path) == {"pause"}
    assert completed("orthoburst jobs --status f", tmp_path) == {"failed"}
    assert completed("orthoburst jobs --batch ", tmp_path) == set(), "an id is not ours to guess"
    assert completed("orthoburst batch ord", tmp_path) == {"orders.csv"}
    assert completed("orthoburst submit --area ord", tmp_path) == {"orders.csv"}
    assert completed("orthoburst submit ord", tmp_path) == set(), "products lie in the store"
    assert completed("orthoburst completion ", tmp_path) >= {"bash", "zsh", "fish"}


def test_fish_completes_commands_options_and_choices(tmp_path: Path) -> None:
    script = tmp_path / "orthoburst.fish"
    script.write_text(fish(subcommands_of(make_parser())))

    def offered(line: str) -> set[str]:
        told = run("fish", f"source {script}; complete -C '{line}'")
        return {one.split("\t")[0] for one in told.splitlines()}

    assert {"submit", "batch", "watch", "completion"} <= offered("orthoburst ")
    assert "--radiometry" in offered("orthoburst submit --ra")
    assert offered("orthoburst jobs --status f") == {"failed"}
    assert {"pause", "resume"} <= offered("orthoburst pools ")


def test_zsh_takes_the_script_and_knows_every_command(tmp_path: Path) -> None:
    script = tmp_path / "_orthoburst"
    script.write_text(zsh(subcommands_of(make_parser())))
    told = run(
        "zsh", f"autoload -U compinit; compinit -D; source {script}; print $_comps[orthoburst]; which _orthoburst"
    )
    assert told.startswith("_orthoburst\n")
    for one in subcommands_of(make_parser()):
        assert f"({one.name})" in told


def test_scripts_hold_no_line_that_the_parser_did_not_give() -> None:
    commands = subcommands_of(make_parser())
    for script in (bash(commands), zsh(commands), fish(commands)):
        assert "@" not in script.replace("$@", "").replace("[@]", "")
