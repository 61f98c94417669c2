"""The command ``orthoagent``."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from orthoagent import enroll, operate
from orthoagent.bootstrap import run_doctor, run_presence, run_procure, run_watch, run_worker, set_up_logs
from orthoagent.envfile import EnvFileError, read_env_file
from orthoagent.errors import AgentError, RightsError
from orthoagent.logs import log, redact
from orthoagent.settings import BrokerSettings, ProcureSettings, ScaleSettings, Settings, StorageSettings, WatchSettings
from orthocontracts.brokers import BrokerAddress

EXIT_FAILED, EXIT_SETTINGS, EXIT_RIGHTS = 1, 2, 3

S = TypeVar("S", bound=BrokerSettings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 a clean end, 1 a failure, 2 unusable settings, 3 the broker denies this agent."""
    parsed = make_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return command(parsed)
    except ValidationError as error:
        # Not pydantic's own text: it quotes what was given, secrets included.
        for item in error.errors(include_input=False, include_url=False):
            name = "".join(f"ORTHOAGENT_{str(part).upper()}: " for part in item["loc"][:1])
            sys.stderr.write(f"orthoagent: {name}{item['msg']}\n")
        return EXIT_SETTINGS
    except EnvFileError as error:
        sys.stderr.write(f"orthoagent: {error}\n")
        return EXIT_SETTINGS


def _work(parsed: argparse.Namespace) -> int:
    return _run(run_worker(_read(Settings, parsed)), is_daemon=True)


def _scale(parsed: argparse.Namespace) -> int:
    settings = _read(ScaleSettings, parsed)
    try:
        from orthoagent.pilots.bootstrap import run_scale  # noqa: PLC0415 (only this command needs PSI/J)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"orthoagent: scale needs {error.name}: pip install 'orthoburst[scale]'\n")
        return EXIT_SETTINGS
    return _run(run_scale(settings), is_daemon=True)


def _presence(parsed: argparse.Namespace) -> int:
    return _run(run_presence(_read(StorageSettings, parsed)), is_daemon=True)


def _watch(parsed: argparse.Namespace) -> int:
    return _run(run_watch(_read(WatchSettings, parsed)), is_daemon=True)


def _procure(parsed: argparse.Namespace) -> int:
    return _run(run_procure(_read(ProcureSettings, parsed)), is_daemon=True)


def _doctor(parsed: argparse.Namespace) -> int:
    return _run(_examine(_read(Settings, parsed), parsed))


async def _examine(settings: Settings, parsed: argparse.Namespace) -> None:
    findings = []
    async for finding in run_doctor(settings, parsed.dem):
        findings.append(finding)
        if not parsed.json:
            _say(str(finding))
    if parsed.json:
        _say(json.dumps([asdict(finding) for finding in findings]))
    failed = [finding.check for finding in findings if finding.mark == "fail"]
    if failed:
        raise AgentError(f"not fit for work yet: {', '.join(failed)}")


def _status(parsed: argparse.Namespace) -> int:
    async def show() -> None:
        broker, timeout_s = _broker()
        statuses = await operate.show_status(broker, timeout_s, parsed.pool)
        if parsed.json:
            _say(json.dumps([status.model_dump(mode="json") for status in statuses]))
            return
        if not statuses:
            where = f" of pool {parsed.pool}" if parsed.pool else ""
            raise AgentError(f"no agent{where} has a status, or this login may not read them")
        _say(operate.table(statuses))

    return _run(show())


def _drain_or_resume(parsed: argparse.Namespace) -> int:
    async def order() -> None:
        if bool(parsed.agents) == bool(parsed.pool):
            raise AgentError(f"name the agents to {parsed.command}, or --pool POOL for all of a pool")
        broker, timeout_s = _broker()
        agents = await operate.drain_or_resume(broker, timeout_s, parsed.command, parsed.agents, parsed.pool)
        _say(f"{parsed.command}: {', '.join(agents) or 'nobody runs there'}")

    return _run(order())


def _hand_back(parsed: argparse.Namespace) -> int:
    async def order() -> None:
        agents = await operate.hand_back(*_broker(), parsed.tasks)
        _say(f"stopped on {', '.join(agents)}; the dispatcher places the work anew")

    return _run(order())


def _enroll(parsed: argparse.Namespace) -> int:
    async def enrolling() -> None:
        paths = enroll.Paths(parsed.folder, parsed.agent)
        if parsed.certificate is None:
            enroll.ask(paths)
            _say(f"{paths.request}: for the authority (authority sign {paths.request.name}); the key stays here. Then:")
            _say(f"orthoagent enroll {parsed.agent} --folder {parsed.folder} --certificate {paths.certificate.name}")
            return
        ends = enroll.take(paths, parsed.certificate, parsed.authority)
        _say(f"ORTHOAGENT_BROKER_CERT_FILE={paths.certificate}")
        _say(f"ORTHOAGENT_BROKER_KEY_FILE={paths.key}")
        _say(f"until {ends}")

    return _run(enrolling())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _read(kind: type[S], parsed: argparse.Namespace) -> S:
    """Settings from the options that were given, the environment, and a file of more where one is named."""
    given = {name: value for name, value in vars(parsed).items() if value is not None and value is not False}
    if kind is Settings and "env_file" in given:
        for name, value in read_env_file(given["env_file"]).items():
            os.environ.setdefault(name, value)
    settings = kind(**{name: value for name, value in given.items() if name in kind.model_fields})
    set_up_logs(settings)
    return settings


def _broker() -> tuple[BrokerAddress, float]:
    settings = BrokerSettings()
    set_up_logs(settings)
    if settings.broker is None:
        raise AgentError("ORTHOAGENT_BROKER is not set: agents are seen and steered through the broker")
    return settings.broker_address(), settings.echo_timeout_s


def _run(program: Coroutine[Any, Any, None], *, is_daemon: bool = False) -> int:
    failure: BaseException | None = None
    try:
        asyncio.run(program)
    except* AgentError as several:
        failure = several
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is None:
        return 0
    if is_daemon:
        log("failed", level=logging.CRITICAL, error=str(failure), kind=type(failure).__name__)
    sys.stderr.write(f"orthoagent: {redact(str(failure))}\n")
    return EXIT_RIGHTS if isinstance(failure, RightsError) else EXIT_FAILED


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthoagent",
        description="The orthoburst worker. All settings are variables that start with ORTHOAGENT_.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="take tasks from the pool's queue until told to end (SIGTERM drains)",
        epilog="\n".join(["settings:", *_settings_help(Settings)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--until-empty", action="store_true", help="leave when the queue stays empty (cloud containers)")
    run.add_argument("--linger", type=float, metavar="SECONDS", dest="linger_s", help="for how long it must stay empty")
    run.set_defaults(run=_work)
    doctor = commands.add_parser("doctor", help="check what a worker on this node needs, and say what to fix")
    doctor.add_argument("--dem", metavar="FILE", help="a DEM to open: a path, or site://STORE/PATH")
    doctor.add_argument("--json", action="store_true", help="a JSON list on standard output")
    doctor.set_defaults(run=_doctor)
    for command in (run, doctor):
        command.add_argument("--env-file", type=Path, metavar="FILE", help="NAME=value lines, mode 0600, read at start")
    presence = commands.add_parser("presence", help="forward the agents' statuses from the broker into queue capacity")
    presence.set_defaults(run=_presence)
    watch = commands.add_parser(
        "watch",
        help="announce the products that come into an archive of the site, which stay there",
        epilog="\n".join(["settings, which the options set too:", *_settings_help(WatchSettings)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    watch.set_defaults(run=_watch)
    _add_watch(watch)
    procure = commands.add_parser(
        "procure",
        help="fetch with EODAG the products that requests name and nobody here has",
        epilog="\n".join(["settings, which the options set too:", *_settings_help(ProcureSettings)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    procure.set_defaults(run=_procure)
    _add_procure(procure)
    scale = commands.add_parser(
        "scale",
        help="keep as many pilot jobs in a batch scheduler as the pool's demand asks for",
        epilog="\n".join(["settings, which the options set too:", *_settings_help(ScaleSettings)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scale.set_defaults(run=_scale)
    _add_scale(scale)
    status = commands.add_parser("status", help="what the agents say of themselves, through the broker")
    status.add_argument("--pool", help="only of this pool")
    status.add_argument("--json", action="store_true", help="a JSON list on standard output")
    status.set_defaults(run=_status)
    for name, meaning in (("drain", "let agents take nothing more"), ("resume", "let drained agents take work again")):
        order = commands.add_parser(name, help=f"{meaning}, through the broker")
        order.add_argument("agents", nargs="*", metavar="AGENT")
        order.add_argument("--pool", help="all that run in this pool")
        order.set_defaults(run=_drain_or_resume)
    cancel = commands.add_parser(
        "cancel",
        help="stop runs of tasks where they are, through the broker",
        description="Stop runs of tasks and hand the work back: the dispatcher places it anew. "
        "What is to be cancelled for good is cancelled with `orthoburst cancel`.",
    )
    cancel.add_argument("tasks", nargs="+", metavar="TASK")
    cancel.set_defaults(run=_hand_back)
    enrolling = commands.add_parser(
        "enroll",
        help="make a key and a request for the broker's authority; then, put the certificate in place",
        description="Without --certificate: make a key, which stays here, and a request. With it: put the certificate "
        "in place, once it is seen to be this agent's. To renew, the same again: the agent goes on meanwhile.",
    )
    enrolling.add_argument("agent", metavar="AGENT", help="its id, or functions, presence, operator")
    enrolling.add_argument("--folder", type=Path, default=Path(), metavar="FOLDER", help="of the files; default: here")
    enrolling.add_argument("--certificate", type=Path, metavar="FILE", help="what the authority made of the request")
    enrolling.add_argument("--authority", type=Path, metavar="FILE", help="ca.crt, to hold the certificate against")
    enrolling.set_defaults(run=_enroll)
    return parser


def _add_scale(scale: argparse.ArgumentParser) -> None:
    """Options of ``scale``, named as its settings are."""
    scale.add_argument("--pool", metavar="NAME")
    scale.add_argument("--scheduler", choices=["slurm", "pbs"])
    scale.add_argument("--max", type=int, metavar="PILOTS", dest="max_pilots")
    scale.add_argument("--env-file", type=Path, metavar="FILE")
    for name in ("partition", "account", "qos"):
        scale.add_argument(f"--{name}", metavar="NAME")
    for name, kind in (("slots", int), ("cores", int), ("memory-gb", float)):
        scale.add_argument(f"--{name}", type=kind, metavar="N")
    scale.add_argument("--walltime", type=float, metavar="SECONDS", dest="walltime_s")
    scale.add_argument("--linger", type=float, metavar="SECONDS", dest="linger_s")
    scale.add_argument("--scheduler-args", metavar="ARGUMENTS", help="quoted: --scheduler-args='--constraint=skylake'")
    scale.add_argument("--state", type=Path, metavar="FOLDER")


def _add_procure(procure: argparse.ArgumentParser) -> None:
    """Options of ``procure``, named as its settings are."""
    procure.add_argument("--store", metavar="NAME")
    procure.add_argument("--root", type=Path, metavar="FOLDER")
    procure.add_argument("--folder", type=Path, metavar="FOLDER")
    procure.add_argument("--providers", metavar="NAME,…")
    procure.add_argument("--eodag-python", type=Path, metavar="FILE")
    procure.add_argument("--parallel", type=int, metavar="N")


def _add_watch(watch: argparse.ArgumentParser) -> None:
    """Options of ``watch``, named as its settings are."""
    watch.add_argument("folder", nargs="?", metavar="PATH")
    watch.add_argument("--store", metavar="NAME")
    watch.add_argument("--root", type=Path, metavar="FOLDER")
    watch.add_argument("--prefix", metavar="PREFIX/")
    watch.add_argument("--state", type=Path, metavar="FOLDER")
    watch.add_argument("--settle", type=float, metavar="SECONDS", dest="settle_s")
    watch.add_argument("--rescan", type=float, metavar="SECONDS", dest="rescan_s")
    watch.add_argument("--parallel", type=int, metavar="N")
    watch.add_argument("--only-new", action="store_true")
    watch.add_argument("--once", action="store_true")


def _settings_help(settings: type[BrokerSettings]) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        yield f"  ORTHOAGENT_{name.upper()}{' (required)' if field.is_required() else ''}"
        yield from textwrap.wrap(field.description or "", 100, initial_indent="      ", subsequent_indent="      ")


if __name__ == "__main__":
    sys.exit(main())
