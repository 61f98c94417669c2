"""The tiles of an area: fetched whole or not at all, by kernel and client alike, from the source that was named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.file_server import FileServer, cut, moved, status
from orthoburst.dem import DemError, fetch_dem
from orthocontracts.demtiles import AREA_MARGIN_DEG, Cell, cells_under, points_of, tile_name
from orthokernel.cli import main
from orthokernel.demfetch import fetch_tiles
from orthokernel.errors import DemFetchError

AREA = "12.2,41.2,12.3,41.4"
CELLS = [Cell(lon, lat) for lon in (11, 12) for lat in (40, 41)]
TILE = b"II*\x00" + bytes(300_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        for cell in CELLS[:-1]:
            running.files[f"/{tile_name(cell, '10')}/{tile_name(cell, '10')}.tif"] = TILE
        yield running


def by_kernel(server: FileServer, folder: Path) -> tuple[int, int]:
    found = fetch_tiles(cells_under(points_of(AREA), AREA_MARGIN_DEG), folder, source=server.address)
    return found.came, found.sea


def by_client(server: FileServer, folder: Path) -> tuple[int, int]:
    found = fetch_dem(AREA, folder, source=server.address)
    return found.fetched, found.sea


both = pytest.mark.parametrize("fetch", [by_kernel, by_client])
Fetch = Callable[[FileServer, Path], tuple[int, int]]


@both
def test_tiles_come_and_what_is_missing_is_the_sea(server: FileServer, tmp_path: Path, fetch: Fetch) -> None:
    assert fetch(server, tmp_path / "dem") == (3, 1)
    found = {path.name for path in (tmp_path / "dem").iterdir()}
    assert found == {f"{tile_name(cell, '10')}.tif" for cell in CELLS[:-1]}
    assert fetch(server, tmp_path / "dem") == (0, 1)


@both
def test_a_list_tells_the_sea_from_what_is_missing(server: FileServer, tmp_path: Path, fetch: Fetch) -> None:
    server.files["/tileList.txt"] = "\n".join(tile_name(cell, "10") for cell in CELLS).encode()
    with pytest.raises((DemFetchError, DemError), match="list names"):
        fetch(server, tmp_path)
    server.files["/tileList.txt"] = tile_name(CELLS[0], "10").encode()
    assert fetch(server, tmp_path / "other") == (1, 3)


@both
def test_nothing_half_is_left(server: FileServer, tmp_path: Path, fetch: Fetch) -> None:
    path = f"/{tile_name(CELLS[0], '10')}/{tile_name(CELLS[0], '10')}.tif"
    server.troubles[path] = [cut(1000), status(503)]
    assert fetch(server, tmp_path / "1") == (3, 1)
    for trouble in ([cut(1000)] * 9, [moved("https://evil.example.org/x")] * 9):
        server.troubles[path] = list(trouble)
        with pytest.raises((DemFetchError, DemError)):
            fetch(server, tmp_path / "2")
        assert not list((tmp_path / "2").glob(".*"))
    server.troubles.clear()
    server.files[path] = b"<html>"
    with pytest.raises((DemFetchError, DemError), match="TIFF"):
        fetch(server, tmp_path / "3")


@pytest.mark.parametrize(
    ("area", "cells"),
    [
        ("33TTG", {Cell(lon, lat) for lon in (10, 11, 12, 13) for lat in (40, 41, 42)}),
        (json.dumps({"type": "Point", "coordinates": [12.5, 41.5]}), {Cell(11, 41), Cell(12, 41), Cell(13, 42)}),
        ("179.8,-16.3,-179.9,-16.1", {Cell(179, -17), Cell(-180, -17), Cell(179, -16), Cell(-180, -16)}),
    ],
)
def test_areas(area: str, cells: set[Cell]) -> None:
    assert cells <= cells_under(points_of(area), AREA_MARGIN_DEG)
    assert len(cells_under(points_of(area), AREA_MARGIN_DEG)) < 20


@pytest.mark.parametrize("area", ["1,2,3", "33XXX", "{}", "5,50,6,40", "nowhere", "1,2,3,nan"])
def test_what_is_no_area(area: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says it in its own words
        points_of(area)
    assert main(["dem", area, "-o", str(tmp_path)]) == 2
    assert f"area {area}" in capsys.readouterr().err


def test_the_command(server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dem", AREA, "-o", str(tmp_path), "--source", server.address]) == 0
    assert "3 tiles came, 0 were there, 1 are sea" in capsys.readouterr().err
    assert main(["dem", AREA, "-o", str(tmp_path), "--source", "http://data.example.org"]) == 2 - 1
    assert "https address" in capsys.readouterr().err
