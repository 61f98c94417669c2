"""What the quick start says is typed, in its order, and does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

from localdev.servers.process import free_ports

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs/quickstart.md").read_text()
BINARIES = Path(sys.executable).parent
READY_S, COMMAND_S = 400, 300


def typed(page: str) -> list[tuple[str, str]]:
    """Commands of its console blocks, each with what it is said to print."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((" ".join(command.split()), output.strip()))
    return found


def named_as_here(text: str, folder: Path) -> str:
    """With the checksum of the product that was made here, which may differ between machines in its last bits."""
    made = {path.stem[:-5]: path.stem for path in folder.glob("scenes/S1A_*.zip")}
    return re.sub(r"(S1A_\w{58})_[0-9A-F]{4}", lambda name: made.get(name[1], name[0]), text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """`./local-dev/up`, at a port and in a folder of its own."""
    (port,) = free_ports(1)
    command = [TOP / "local-dev/up", "--port", str(port), "--folder", folder / "up", "--json"]
    with (folder / "up.log").open("w") as log:
        system = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True)
    assert system.stdout is not None
    try:
        yield json.loads(system.stdout.readline())["api"]
    finally:
        system.send_signal(signal.SIGINT)
        system.wait(60)
        system.stdout.close()


@pytest.mark.slow
def test_step_by_step(folder: Path, url: str) -> None:
    environment = {**os.environ, "ORTHOBURST_URL": url, "PATH": f"{BINARIES}:{os.environ['PATH']}", "COLUMNS": "200"}
    environment.pop("PYTHONPATH", None)
    job_id = ""
    commands = typed(PAGE)
    assert [command for command, _ in commands][:2] == ["./local-dev/demo", "./local-dev/up"]
    for number in range(2, len(commands)):
        command, output = (named_as_here(text, folder) for text in commands[number])
        words = shlex.split(command)
        if words[:2] == ["orthoburst", "fetch"]:
            words[2] = job_id  # the page's is another's
        if words[0] == "./local-dev/upload":
            words += ["--folder", str(folder / "up")]
        if words[0].startswith("./"):
            words[0] = str(TOP / words[0])
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if words[:2] == ["orthoburst", "submit"]:
            job_id = done.stdout.split()[0]
            assert re.fullmatch("j[0-9a-z]+", job_id)
        elif output:
            assert done.stdout.strip() == output, command
    (image,) = (path for path in (folder / "images").glob("*.tif") if not path.stem.endswith("_mask"))
    for path in (image, folder / "out.tif"):
        with rasterio.open(path) as file:
            assert (file.read(1, masked=True).count()) > 0, path
    with rasterio.open(image) as file:
        assert file.res == (20.0, 20.0)
