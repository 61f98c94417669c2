"""Agents for benches and tests of load: all of an agent is real but its compute child, which sleeps.

Each has a connection to the broker, a loop and a slot of its own; those of one process share its clients of storage.
When standard input closes, they end, and the deliveries they finished are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
from pathlib import Path

import aiohttp
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from orthoagent.adapters.clients import PATIENCE, AccountStorage
from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.mqtt import BrokerLine
from orthoagent.adapters.origins import Origins
from orthoagent.adapters.process import ComputeChild, OnLine
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.storage import Outbox, PoolQueue, Tickets
from orthoagent.adapters.transfer import Transfer
from orthoagent.adapters.upload import Uploader
from orthoagent.adapters.watch import SlotLimits
from orthoagent.childwords import ComputeJob, Made, OutputMade
from orthoagent.session import State
from orthoagent.status import StatusBoard
from orthoagent.vitals import Vitals
from orthoagent.walltime import Walltime
from orthoagent.work import Workplace
from orthoagent.worker import Pace, Worker
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import Fault
from orthocontracts.outputs import FILE_SUFFIX, file_kinds
from orthocontracts.version import KERNEL_RESULT_VERSION

APART_S = 0.03
IMAGE = b"II*\x00\xc0\x00\x00\x00GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n"
"""As much of a Cloud-Optimized GeoTIFF as the collector looks at."""


class SleepingChild(ComputeChild):
    """Sleeps, then has made every file."""

    def __init__(self, sleep_s: float) -> None:
        super().__init__(0, "none:none", environment={}, limits=SlotLimits(), warm=False, jobs_per_process=1)
        self._sleep_s = sleep_s

    async def start(self) -> None:
        pass

    async def run(self, job: ComputeJob, on_line: OnLine) -> Fault | None:
        await asyncio.sleep(self._sleep_s * random.uniform(0.5, 1.5))
        for output in job.outputs:
            on_line(Made(digest=output.digest, made=await asyncio.to_thread(_files, job, output.digest)))
        return None

    async def kill(self) -> None:
        pass


def _files(job: ComputeJob, digest: str) -> OutputMade:
    out = job.folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    files = {kind: out / f"{digest}{FILE_SUFFIX[kind]}" for kind in file_kinds(job.options)}
    for path in files.values():
        path.write_bytes(IMAGE)
    return OutputMade(files=files)


async def run(options: argparse.Namespace) -> None:
    over = asyncio.Event()
    session = secrets.token_hex(4)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with (
        QueueServiceClient.from_connection_string(options.storage, **PATIENCE) as queues,
        BlobServiceClient.from_connection_string(options.storage, **PATIENCE) as blobs,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        storage = AccountStorage(queues, blobs)

        async def one(number: int) -> int:
            agent = f"{options.pool}-{number:04d}"
            board = StatusBoard(
                agent=agent, pool=options.pool, session=session, version="0", machine="sleeps", min_s=10,
                every_s=options.every_s,
            )  # fmt: skip
            place = Workplace(
                agent=agent, pool=options.pool, scratch=options.scratch / agent, renew_every_s=options.lease_s / 3,
                tickets=Tickets(storage.container(names.ticket_container(options.pool))),
                outbox=Outbox(storage.queue(names.QUEUE_RESULTS)),
                fetcher=Fetcher(Transfer(Origins(http)), Sites({}), None, parallel=4),
                uploader=Uploader(http, Sites({})), board=board, limits=SlotLimits(), vitals=Vitals(),
                walltime=Walltime.lasting(None),
            )  # fmt: skip
            place.scratch.mkdir(parents=True, exist_ok=True)
            messages = storage.queue(names.pool_queue(options.pool, KERNEL_RESULT_VERSION))
            queue = PoolQueue(messages, lease_s=options.lease_s)
            pace = Pace(poll_up_s=60, poll_down_s=5, grace_s=10)
            worker = Worker(queue, [SleepingChild(options.sleep_s)], place, pace)
            line = BrokerLine(
                BrokerAddress.of(options.broker), board, agent=place.agent, pool=options.pool, echo_timeout_s=30,
                clear_on_exit=False, on_control=worker.control, on_doorbell=worker.look_now,
            )  # fmt: skip
            worker.doorbell_works = lambda: line.is_up
            await asyncio.sleep(APART_S * (number - options.first))
            talking = asyncio.create_task(line.run())
            working = asyncio.create_task(worker.run())
            await over.wait()
            worker.end("the bench is over")
            await working
            line.close()
            await asyncio.wait({talking}, timeout=5)
            talking.cancel()
            return place.vitals.ended.get(State.DONE, 0)

        agents = [asyncio.create_task(one(options.first + number)) for number in range(options.count)]
        await reader.read()
        over.set()
        print(json.dumps({"done": sum(await asyncio.gather(*agents))}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("storage")
    parser.add_argument("broker")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("sleep_s", type=float)
    parser.add_argument("--pool", default="hpc")
    parser.add_argument("--lease-s", type=int, default=60)
    parser.add_argument("--every-s", type=float, default=30.0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
