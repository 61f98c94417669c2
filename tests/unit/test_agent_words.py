"""The worker's small pure parts: status timing, redaction, settings, words for how a child died."""

from __future__ import annotations

import errno
import inspect
import json
import logging
import signal
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from orthoagent.adapters.process import child_environment, describe_exit
from orthoagent.child import fault_of
from orthoagent.cli import main
from orthoagent.logs import JsonLines, redact
from orthoagent.patience import pauses_s
from orthoagent.settings import Settings
from orthoagent.status import StatusBoard
from orthocontracts.requests import Options, Radiometry
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthokernel import orthorectify
from orthokernel.errors import KernelError
from orthokernel.radiometry import RADIOMETRIES
from orthokernel.result import RESULT_VERSION


def board() -> StatusBoard:
    return StatusBoard(agent="a1", pool="hpc", session="s", version="0", machine="m", min_s=10, every_s=30)


def test_a_status_is_due_at_once_for_slots_after_a_while_for_progress_and_regularly_for_nothing() -> None:
    status = board()
    assert status.wait_s(now_s=100) == 0
    status.tell(now_s=100)
    assert status.wait_s(now_s=101) == pytest.approx(29)
    status.show("t", 1, "fetch")
    assert status.wait_s(now_s=101) == 0
    status.tell(now_s=101)
    status.show("t", 1, "fetch", 0.5)
    assert status.wait_s(now_s=102) == pytest.approx(9)
    status.show("t", 1, "compute", 0.0)
    assert status.wait_s(now_s=102) == 0
    status.tell(now_s=102)
    status.clear("t", 1)
    assert status.wait_s(now_s=103) == 0
    assert status.tell(now_s=103).running == ()


def test_an_agent_offers_its_slots_only_when_they_are_ready() -> None:
    status = board()
    assert status.tell(0).slots == 0
    status.open(2)
    assert status.tell(0).slots == 2


def test_a_last_will_is_newer_than_its_own_connection_and_older_than_the_next() -> None:
    status = board()
    first_will = status.connect()
    told = status.tell(0)
    second_will = status.connect()
    told_later = status.tell(1)
    assert told.sequence < first_will.sequence < told_later.sequence < second_will.sequence
    assert status.is_wrong(first_will)
    assert status.is_echo(told_later)
    assert not status.is_echo(second_will)


def test_progress_outside_its_range_does_not_break_a_status() -> None:
    status = board()
    status.show("t", 1, "compute", 1.2)
    assert status.tell(0).running[0].progress == 1


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x.blob/y.tif?sv=2021&sig=SECRET%2B1&se=2 failed",
        "AccountName=a;AccountKey=SECRET==;BlobEndpoint=http://x",
        "BlobEndpoint=x;SharedAccessSignature=sv=2021&sig=SECRET",
        "cannot reach mqtts://agent1:SECRET@broker:8883",
    ],
)
def test_what_opens_a_door_never_reaches_a_log(text: str) -> None:
    assert "SECRET" not in redact(text)
    record = logging.LogRecord("azure", logging.WARNING, "f", 1, text, (), None)
    line = JsonLines().format(record)
    assert "SECRET" not in line
    assert json.loads(line)["action"] == "library"


def test_neither_does_the_token_of_a_ticket() -> None:
    assert redact('no Report: {"pool":"hpc","token":"0123456789abcdef00"}') == 'no Report: {"pool":"hpc","token":"***"}'


def test_settings_share_the_cores_among_the_slots_and_key_the_cache_by_version(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "storage": "UseDevelopmentStorage=true",
            "pool": "hpc",
            "slots": 3,
            "cores": 8,
            "cache": tmp_path,
            "agent": "n1",
        }
    )
    assert settings.threads_per_slot == 2
    assert settings.numba_cache.parent == tmp_path
    assert settings.renew_every_s == 20
    assert "UseDevelopmentStorage" not in repr(settings)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("wrong", [{"pool": "Not An Id"}, {"slots": 0}, {"compute": "rm -rf"}, {"lease_s": 1}])
def test_unusable_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"storage": "x", "pool": "hpc", **wrong})


def test_the_command_names_a_bad_variable_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORTHOAGENT_STORAGE", "AccountKey=SECRET")
    monkeypatch.setenv("ORTHOAGENT_SLOTS", "many-SECRET")
    monkeypatch.delenv("ORTHOAGENT_POOL", raising=False)
    assert main(["run"]) == 2
    said = capsys.readouterr().err
    assert "ORTHOAGENT_POOL" in said
    assert "ORTHOAGENT_SLOTS" in said
    assert "SECRET" not in said


def test_how_a_child_died_is_said_in_words() -> None:
    assert describe_exit(-signal.SIGSEGV) == "was killed by SIGSEGV"
    assert "out of memory" in describe_exit(-signal.SIGKILL)
    assert describe_exit(3) == "ended with exit code 3"


def test_a_child_gets_threads_and_cache_and_no_secrets(tmp_path: Path) -> None:
    hidden = {"ORTHOAGENT_STORAGE": "s", "ORTHOAGENT_BROKER": "b", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x"}
    hidden |= {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x"}
    base = {"PATH": "/bin", **hidden}
    environment = child_environment(base, numba_cache=tmp_path, threads=2)
    assert environment["NUMBA_NUM_THREADS"] == "2"
    assert environment["NUMBA_CACHE_DIR"] == str(tmp_path)
    assert environment["PATH"] == "/bin"
    assert not hidden.keys() & environment.keys()


def test_worker_and_kernel_agree_on_the_result_version() -> None:
    """The kernel writes its own into every Item; queues and digests carry the contracts'."""
    assert RESULT_VERSION == KERNEL_RESULT_VERSION


def test_the_kernel_takes_every_option_that_a_request_may_have() -> None:
    """The worker passes options on by name."""
    assert set(Options.model_fields) <= set(inspect.signature(orthorectify).parameters)
    assert set(get_args(Radiometry)) == set(RADIOMETRIES)


def test_the_kernel_says_itself_whether_another_try_can_help() -> None:
    class TransientError(KernelError):
        permanent = False

    folder = Path("scratch/task")
    assert fault_of(KernelError("scratch/task/in/products/x: bad"), folder).permanent
    assert fault_of(KernelError("scratch/task/in/products/x: bad"), folder).message == "in/products/x: bad"
    assert not fault_of(TransientError("busy"), folder).permanent
    assert not fault_of(ValueError("unexpected"), folder).permanent


def test_a_full_disk_and_short_memory_are_named_and_never_permanent() -> None:
    class WriteError(KernelError):
        """As rasterio's trouble looks, wrapped by the kernel."""

    folder = Path("scratch")
    assert fault_of(OSError(errno.ENOSPC, "x"), folder).kind == "DiskFull"
    wrapped = fault_of(WriteError("out.tif: No space left on device"), folder)
    assert (wrapped.kind, wrapped.permanent) == ("DiskFull", False)
    assert fault_of(MemoryError(), folder).kind == "OutOfMemory"


def test_pauses_grow_to_a_limit_and_differ() -> None:
    pauses = pauses_s(first_s=1, longest_s=8)
    taken = [next(pauses) for _ in range(50)]
    assert max(taken) <= 8
    assert min(taken[3:]) >= 4
    assert len(set(taken)) > 40
