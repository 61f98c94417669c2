"""All tables and queues of a storage account are gone, and an operator types the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
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

            done = _command(connection)
            assert done.returncode == 0, done.stderr
            assert f"{N_JOBS} plans looked at" in done.stdout
            assert f"{N_JOBS} jobs" in done.stdout
            again = _command(connection)
            assert "made again: 0 jobs, 0 tasks, 0 further rows, 0 images" in again.stdout

            run_to_the_end(world, lambda one: one.succeed())
            assert len(world.jobs()) == N_JOBS
            assert {output.state for output in world.outputs()} == {OutputState.COMMITTED}
            assert {task.task_id for task in world.tasks()} <= set(tasks)
            now = {entry.digest: entry.task_id for entry in world.catalogue()}
            assert len(now) == N_JOBS + 1
            assert made.items() <= now.items(), "what was there was not made again"


def _command(connection: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ORTHOBURST_STORAGE": connection, "PYTHONPATH": str(TOP / "functions")}
    command = [sys.executable, "-m", "orthofunctions.rebuild"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
