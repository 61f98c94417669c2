"""All tables and queues of a storage account are gone, and an operator types the command."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from fakes.memory_ports import ManualClock
from fakes.world import run_to_the_end
from integration.azurite_world import AzuriteWorld
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.states import OutputState
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.provision import provision

N_JOBS = 12
TOP = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_everything_but_the_blobs_is_lost(tmp_path: Path) -> None:
    with Azurite(tmp_path / "azurite") as server, requests.Session() as session:
        connection = server.connection_string
        provision(connection)
        with azure_ports(connection) as ports:
            world = AzuriteWorld(
                real=ports,
                connection_string=connection,
                transport=RequestsTransport(session=session, session_owner=False),
                clock=ManualClock(SystemClock().now()),
            )
            tasks = [world.job(f"job-{number}", f"{chr(0x400 + number)}B") for number in range(N_JOBS)]
            world.status("node-1", slots=4)
            world.round()
            for _ in range(4):
                delivery = world.take()
                assert delivery is not None
                delivery.report("started")
                delivery.succeed()
            world.deliver_results()
            made = {entry.digest: entry.task_id for entry in world.catalogue()}
            assert 4 <= len(made) <= 5, "one output is every job's"

            with TableServiceClient.from_connection_string(connection) as tables:
                for table in names.TABLES:
                    tables.delete_table(table)
            with QueueServiceClient.from_connection_string(connection) as queues:
                for queue in list(queues.list_queues()):
                    queues.delete_queue(queue)

            n_before = _killed_amid(connection)
            done = _command(connection)
            assert done.returncode == 0, done.stderr
            assert f"{N_JOBS} plans looked at" in done.stdout
            made_again = re.search(r"made again: (\d+) jobs", done.stdout)
            assert made_again is not None
            assert int(made_again[1]) <= N_JOBS - n_before, "jobs that were there are not made again"
            again = _command(connection)
            assert "made again: 0 jobs, 0 tasks, 0 further rows, 0 images" in again.stdout

            run_to_the_end(world, lambda one: one.succeed())
            assert len(world.jobs()) == N_JOBS
            assert {output.state for output in world.outputs()} == {OutputState.COMMITTED}
            assert {task.task_id for task in world.tasks()} <= set(tasks)
            now = {entry.digest: entry.task_id for entry in world.catalogue()}
            assert len(now) == N_JOBS + 1
            assert made.items() <= now.items(), "what was there was not made again"


COMMAND = [sys.executable, "-m", "orthofunctions.rebuild"]


def _killed_amid(connection: str) -> int:
    """The command, killed as soon as it has made a job. How many it had made."""
    with TableServiceClient.from_connection_string(connection) as tables:
        jobs = tables.get_table_client(names.TABLE_JOBS)
        process = subprocess.Popen(COMMAND, env=_environment(connection), stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                with contextlib.suppress(ResourceNotFoundError):  # the table is not there yet
                    if next(iter(jobs.list_entities()), None) is not None:
                        break
        finally:
            process.kill()
            process.wait()
        return sum(1 for _ in jobs.list_entities())


def _command(connection: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, env=_environment(connection), capture_output=True, text=True, timeout=120, check=False
    )


def _environment(connection: str) -> dict[str, str]:
    return {**os.environ, "ORTHOBURST_STORAGE": connection, "PYTHONPATH": str(TOP / "functions")}
