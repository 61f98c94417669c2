"""Scripts that complete the command in a shell, out of the parser: no process is started for a TAB."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from orthoburst.client import Client
from orthoburst.commands.grammar import Option, Subcommand, subcommands_of
from orthoburst.commands.output import OK
from orthoburst.commands.subparsers import Subcommands

HELP = "a script for your shell, which it reads at its start: source <(orthoburst completion bash)"
HELP_LENGTH = 80


def add_to(commands: Subcommands, parser: Callable[[], argparse.ArgumentParser]) -> None:
    def run(_: Client, arguments: argparse.Namespace) -> int:
        sys.stdout.write(_SCRIPTS[arguments.shell](subcommands_of(parser())))
        return OK

    commands.add("completion", run, HELP).add_argument("shell", choices=tuple(_SCRIPTS))


def bash(commands: Sequence[Subcommand]) -> str:
    words, values = [], []
    for one in commands:
        typed = " ".join([*(word for option in one.options for word in option.words), *one.choices])
        words.append(f"    {one.name}) words={shlex.quote(typed)} files={'yes' if one.takes_file else ''} ;;")
        for option in one.options:
            if option.takes_value:
                pattern = "|".join(f"{one.name}:{word}" for word in option.words)
                chosen, files = shlex.quote(" ".join(option.choices)), "yes" if option.is_file else ""
                values.append(f"    {pattern}) is_value=yes words={chosen} files={files} ;;")
    names = " ".join(one.name for one in commands)
    return _BASH.replace("@NAMES@", names).replace("@WORDS@", "\n".join(words)).replace("@VALUES@", "\n".join(values))


def zsh(commands: Sequence[Subcommand]) -> str:
    described = "\n".join(f"    {shlex.quote(f'{one.name}:{_short(one.help)}')}" for one in commands)
    cases = []
    for one in commands:
        specs = [spec for option in one.options for spec in _zsh_option(option)]
        rest = "_files" if one.takes_file else f"({' '.join(one.choices)})" if one.choices else ""
        specs.append(f"*:argument:{rest}")
        cases.append(f"    {one.name}) _arguments {' '.join(map(shlex.quote, specs))} ;;")
    return _ZSH.replace("@COMMANDS@", described).replace("@CASES@", "\n".join(cases))


def fish(commands: Sequence[Subcommand]) -> str:
    names = " ".join(one.name for one in commands)
    lines = [
        "complete -c orthoburst -f",
        f"complete -c orthoburst -n 'not __fish_seen_subcommand_from {names}' -l url -x -d 'the service'",
    ]
    for one in commands:
        lines.append(
            f"complete -c orthoburst -n 'not __fish_seen_subcommand_from {names}' "
            f"-a {one.name} -d {_fish(_short(one.help))}"
        )
        within = f"complete -c orthoburst -n '__fish_seen_subcommand_from {one.name}'"
        if one.takes_file:
            lines.append(f"{within} -F")
        if one.choices:
            lines.append(f"{within} -a {_fish(' '.join(one.choices))}")
        for option in one.options:
            flags = [f"-{'l' if word.startswith('--') else 's'} {word.lstrip('-')}" for word in option.words]
            value = ["-r"] if option.is_file else ["-x"] if option.takes_value else []
            choices = ["-a", _fish(" ".join(option.choices))] if option.choices else []
            lines.append(" ".join([within, *flags, *value, *choices, "-d", _fish(_short(option.help))]))
    return "\n".join(lines) + "\n"


def _zsh_option(option: Option) -> list[str]:
    said = _short(option.help).replace("\\", "").replace("[", "(").replace("]", ")").replace(":", " -")
    chosen = f"({' '.join(option.choices)})" if option.choices else " "
    value = f":value:{'_files' if option.is_file else chosen}" if option.takes_value else ""
    return [f"{'*' if option.repeats else ''}{word}[{said}]{value}" for word in option.words]


def _short(text: str) -> str:
    return text.partition(";")[0].replace("\n", " ")[:HELP_LENGTH]


def _fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_BASH = """\
# bash completion for orthoburst: source <(orthoburst completion bash)
_orthoburst() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command= words= files= is_value= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    --url) ((i++)) ;;
    -*) ;;
    *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  if [[ -z $command ]]; then
    [[ $previous == --url ]] || COMPREPLY=($(compgen -W '@NAMES@ --url --help' -- "$current"))
    return
  fi
  case $command:$previous in
@VALUES@
  esac
  if [[ -z $is_value ]]; then
    case $command in
@WORDS@
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $files && $current != -* ]]; then
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -F _orthoburst orthoburst
"""

_ZSH = """\
#compdef orthoburst
# zsh completion for orthoburst: source <(orthoburst completion zsh), after compinit
_orthoburst() {
  local curcontext=$curcontext state line
  local -a commands
  commands=(
@COMMANDS@
  )
  _arguments -C '--url[the service]:url: ' '--help[show help]' '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe -t commands command commands ;;
  argument)
    case $line[1] in
@CASES@
    esac
    ;;
  esac
}
compdef _orthoburst orthoburst
"""

_SCRIPTS: dict[str, Callable[[Sequence[Subcommand]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
