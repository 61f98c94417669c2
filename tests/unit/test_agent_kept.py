"""Inputs that are kept for further tasks: shared by processes, bounded, and never taken from a task."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from localdev.servers.closing import clean_up
from orthoagent.adapters import fetch as fetch_module
from orthoagent.adapters.fetch import Fetched, Fetcher
from orthoagent.adapters.kept import KeptInputs, name_of
from orthoagent.adapters.origins import Origins
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.transfer import Transfer
from orthoagent.errors import FaultError
from orthocontracts.inputs import InputFile

pytestmark = pytest.mark.alone

SIZE = 1_000_000


def body(name: str) -> bytes:
    return name.encode() * (SIZE // len(name))


def input_file(name: str, url: str = "http://x") -> InputFile:
    data = body(name)
    return InputFile(path=name, url=f"{url}/{name}", size_bytes=len(data), md5=hashlib.md5(data).hexdigest())


class Server:
    """Serves any name, each with its own content, and counts what it is asked for."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.asked: list[str] = []
        self._slow_s = slow_s

    async def __aenter__(self) -> Server:
        app = web.Application()
        app.router.add_get("/{name}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        assert self._runner.addresses
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await clean_up(self._runner)

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        await asyncio.sleep(self._slow_s)
        return web.Response(body=body(name), headers={"ETag": '"v1"'})


async def bring(kept: KeptInputs, server: Server, folder: Path, *names: str) -> Fetched:
    async with aiohttp.ClientSession() as http:
        files = [input_file(name, server.url) for name in names]
        return await Fetcher(Transfer(Origins(http)), Sites({}), kept, parallel=4).fetch(files, folder, lambda _: None)


@pytest.fixture
def kept(tmp_path: Path) -> KeptInputs:
    found = KeptInputs(tmp_path / "kept", 3 * SIZE)
    found.open()
    return found


def names_in(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "kept").iterdir() if path.is_file()}


def test_a_second_task_fetches_nothing(kept: KeptInputs, tmp_path: Path) -> None:
    async def run() -> None:
        async with Server() as server:
            assert await bring(kept, server, tmp_path / "1", "aaaa", "bbbb") == Fetched(2 * SIZE, 0)
            assert await bring(kept, server, tmp_path / "2", "aaaa", "cccc") == Fetched(SIZE, SIZE)
            assert sorted(server.asked) == ["aaaa", "bbbb", "cccc"]
        assert (tmp_path / "2/aaaa").read_bytes() == body("aaaa")

    asyncio.run(run())


def test_tasks_that_start_together_fetch_once(kept: KeptInputs, tmp_path: Path) -> None:
    async def run() -> None:
        async with Server(slow_s=0.3) as server:
            await asyncio.gather(*(bring(kept, server, tmp_path / str(n), "aaaa") for n in range(4)))
            assert server.asked == ["aaaa"]

    asyncio.run(run())


def test_what_was_used_longest_ago_goes_first_and_a_task_keeps_its_file(kept: KeptInputs, tmp_path: Path) -> None:
    async def run() -> None:
        async with Server() as server:
            for number, name in enumerate(("aaaa", "bbbb", "cccc")):
                await bring(kept, server, tmp_path / name, name)
                (tmp_path / name / name).unlink()  # that task is over
                os.utime(tmp_path / "kept" / str(name_of(input_file(name))), (number, number))
            await bring(kept, server, tmp_path / "again", "aaaa")
            await bring(kept, server, tmp_path / "dddd", "dddd")
            held = {name for name in ("aaaa", "bbbb", "cccc", "dddd") if kept.has(input_file(name))}
            assert held == {"aaaa", "cccc", "dddd"}
            kept.make_room(10 * SIZE)
            assert names_in(tmp_path) == {name_of(input_file("aaaa")), name_of(input_file("dddd"))}, "those in use"
            assert (tmp_path / "again/aaaa").read_bytes() == body("aaaa")

    asyncio.run(run())


def test_what_is_in_use_or_too_large_never_makes_it_outgrow_its_limit(kept: KeptInputs, tmp_path: Path) -> None:
    async def run() -> None:
        async with Server() as server:
            await bring(kept, server, tmp_path / "1", "aaaa", "bbbb", "cccc", "dddd", "eeee")
            assert len(names_in(tmp_path)) == 3
        assert (tmp_path / "1/eeee").read_bytes() == body("eeee")

    asyncio.run(run())


def test_room_is_made_of_kept_inputs_before_a_task_is_refused(
    kept: KeptInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with Server() as server:
            await bring(kept, server, tmp_path / "1", "aaaa", "bbbb")
            for name in ("aaaa", "bbbb"):
                (tmp_path / "1" / name).unlink()

            def disk(_: Path) -> SimpleNamespace:
                return SimpleNamespace(free=fetch_module.SPARE_BYTES + SIZE * (3 - len(names_in(tmp_path))))

            monkeypatch.setattr(fetch_module.shutil, "disk_usage", disk)
            await bring(kept, server, tmp_path / "2", "cccc", "dddd")
            with pytest.raises(FaultError, match="DiskFull"):
                await bring(kept, server, tmp_path / "3", "eeee", "ffff", "gggg", "hhhh", "iiii")

    asyncio.run(run())


def test_what_is_thrown_out_while_it_is_lent_is_the_tasks_all_the_same(
    kept: KeptInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be fetched into the link, which may not be written to."""

    def thrown_out(path: Path) -> None:
        path.unlink()
        raise FileNotFoundError(path)

    async def run() -> None:
        async with Server() as server:
            await bring(kept, server, tmp_path / "1", "aaaa")
            monkeypatch.setattr(os, "utime", thrown_out)
            assert await bring(kept, server, tmp_path / "2", "aaaa") == Fetched(0, SIZE)
            assert server.asked == ["aaaa"]
        assert (tmp_path / "2/aaaa").read_bytes() == body("aaaa")

    asyncio.run(run())


def test_a_file_without_a_name_of_its_content_is_kept_by_its_version() -> None:
    plain = InputFile(path="a", url="http://h/c/a?sig=1", size_bytes=1)
    assert name_of(plain) is None
    first, again = (plain.model_copy(update={"etag": "1", "url": f"http://h/c/a?sig={n}"}) for n in (1, 2))
    assert name_of(first) == name_of(again) is not None
    assert name_of(first) != name_of(plain.model_copy(update={"etag": "2"}))


WORKER = """
import asyncio, sys
from pathlib import Path
from unit.test_agent_kept import KeptInputs, bring
class Server: url = sys.argv[2]
kept = KeptInputs(Path(sys.argv[1]), 3_000_000)
for number in range(20):
    names = ["abcdefgh"[(number * 7 + int(sys.argv[3])) % 8] * 4, "abcdefgh"[number % 8] * 4]
    folder = Path(sys.argv[1]).parent / sys.argv[3] / str(number)
    asyncio.run(bring(kept, Server, folder, *dict.fromkeys(names)))
    for name in names:
        assert (folder / name).read_bytes() == (name * 250_000).encode(), name
        (folder / name).unlink(missing_ok=True) if names.count(name) == 1 else None
"""


def test_processes_share_it(kept: KeptInputs, tmp_path: Path) -> None:
    """Four at a time, more files than there is room for, one killed in the middle: none ever reads a wrong file."""

    async def run() -> None:
        async with Server(slow_s=0.01) as server:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            command = [sys.executable, "-c", WORKER, str(tmp_path / "kept"), server.url]
            workers = [
                await asyncio.create_subprocess_exec(*command, str(n), env=environment, stderr=subprocess.PIPE)
                for n in range(4)
            ]
            await asyncio.sleep(1.0)
            workers[0].kill()
            for worker in workers[1:]:
                _, said = await asyncio.wait_for(worker.communicate(), 60)
                assert worker.returncode == 0, said.decode()
            await workers[0].wait()
        sizes = [path.stat().st_size for path in (tmp_path / "kept").iterdir() if path.is_file()]
        assert sum(sizes) <= 3 * SIZE
        assert set(sizes) <= {SIZE}

    asyncio.run(run())
