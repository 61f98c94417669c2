"""Tiles of a DEM and orbit files: which ones a product takes, by their names, and what is said where they are not."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.memory_ports import memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, ROME_RING, put_safe
from orthocontracts.demtiles import Cell, cell_of, cells_in_list, cells_under, tile_name
from orthocontracts.orbits import best_orbit, orbit_of
from orthocontracts.outputs import Source
from orthocontracts.requests import Request
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.orbits import OrbitFile, orbits_of_pass
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.plan import plan_request, read_plan

ROME_CELLS = [Cell(lon, lat) for lon in range(11, 16) for lat in range(40, 44)]
START = datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)


@pytest.fixture
def ports() -> Ports:
    ports = memory_ports()
    put_safe(ports.blobs)
    put_safe(ports.blobs, NEXT_SLICE, NEXT_RING)
    return ports


def plan(ports: Ports, request_id: str = "r", **changes: Any) -> tuple[JobRecord, Plan | None]:
    asked = {"request_id": request_id, "products": [f"products/{ROME}.SAFE"], "terrain": {"dem": "aux/glo30"},
             "grid": {"kind": "mgrs", "tiles": ["33TUG"]}, **changes}  # fmt: skip
    job = plan_request(ports, Request.model_validate(asked), Limits(), Rules())
    return job, read_plan(ports, job.job_id)


def digests(ports: Ports, request_id: str, **changes: Any) -> dict[str, str]:
    job, made = plan(ports, request_id, **changes)
    assert made is not None, job.fault_message
    return {str(output.identity.grid.tile): output.digest for output in made.outputs}


def put_tiles(ports: Ports, cells: list[Cell], body: bytes = b"heights", folder: str = "glo30") -> None:
    for cell in cells:
        name = tile_name(cell, "10")
        ports.blobs.write("aux", f"{folder}/{name}/{name}.tif", body)
        ports.blobs.write("aux", f"{folder}/{name}/AUXFILES/{name.removesuffix('_DEM')}_EDM.tif", b"errors")


class TestTiles:
    def test_a_product_takes_those_it_touches_each_by_its_content(self, ports: Ports) -> None:
        put_tiles(ports, [*ROME_CELLS, Cell(0, 0), Cell(-12, 42)])
        _, made = plan(ports)
        assert made is not None
        terrain = made.tasks[0].terrain
        assert terrain.tiles is not None
        found = {cell_of(tile.ref) for tile in terrain.tiles}
        assert found == {(cell, "10") for cell in ROME_CELLS}
        assert terrain.dem is not None
        assert (terrain.dem.ref, terrain.dem.kind) == ("aux/glo30", "folder")
        assert {source.ref for source in terrain.tiles} <= {source.ref for source in made.tasks[0].sources}

    def test_images_depend_on_their_own_tiles_alone(self, ports: Ports) -> None:
        put_tiles(ports, [Cell(lon, lat) for lon in range(10, 18) for lat in range(39, 46)])
        both = {"products": [f"products/{ROME}.SAFE", f"products/{NEXT_SLICE}.SAFE"],
                "grid": {"kind": "mgrs", "tiles": ["33TUF", "33TUJ"]}}  # fmt: skip
        before = digests(ports, "r1", **both)
        put_tiles(ports, [Cell(13, 44)], b"mended")  # under the northern slice only
        after = digests(ports, "r2", **both)
        assert before["33TUF"] == after["33TUF"]
        assert before["33TUJ"] != after["33TUJ"]

    def test_where_there_is_none_is_the_sea_unless_the_list_has_it(self, ports: Ports) -> None:
        put_tiles(ports, ROME_CELLS[:-2])
        assert plan(ports, "r1")[0].fault_kind is None
        lines = "\n".join(tile_name(cell, "10") for cell in ROME_CELLS[:-1])
        ports.blobs.write("aux", "glo30/tileList.txt", lines.encode())
        job, _ = plan(ports, "r2")
        assert job.fault_kind == "AuxiliaryMissing"
        assert "lacks the tile of N42 E015, which its list has" in str(job.fault_message)
        put_tiles(ports, ROME_CELLS[-2:-1])
        assert plan(ports, "r3")[0].fault_kind is None

    def test_nothing_there_is_an_error(self, ports: Ports) -> None:
        assert "is not there" in str(plan(ports, "r1")[0].fault_message)
        put_tiles(ports, [Cell(100, 0)])
        assert "no Copernicus DEM tile from" in str(plan(ports, "r2")[0].fault_message)

    def test_a_coarse_tile_serves_where_no_fine_one_is(self, ports: Ports) -> None:
        put_tiles(ports, ROME_CELLS[1:])
        coarse = tile_name(ROME_CELLS[0], "30")
        ports.blobs.write("aux", f"glo30/{coarse}.tif", b"90 m")
        ports.blobs.write("aux", f"glo30/{tile_name(ROME_CELLS[1], '30')}.tif", b"90 m")
        _, made = plan(ports)
        assert made is not None
        tiles = made.tasks[0].terrain.tiles or ()
        assert [tile.ref for tile in tiles if "COG_30" in tile.ref] == [f"aux/glo30/{coarse}.tif"]

    def test_one_file_is_what_it_was(self, ports: Ports) -> None:
        ports.blobs.write("aux", "dem.tif", b"heights")
        _, made = plan(ports, terrain={"dem": "aux/dem.tif"})
        assert made is not None
        terrain = made.tasks[0].terrain
        assert (terrain.tiles, str(terrain.dem and terrain.dem.ref)) == (None, "aux/dem.tif")

    @pytest.mark.parametrize(
        ("name", "cell"),
        [
            ("Copernicus_DSM_COG_10_N41_00_E012_00_DEM.tif", (Cell(12, 41), "10")),
            ("a/Copernicus_DSM_COG_30_S01_00_W180_00_DEM", (Cell(-180, -1), "30")),
            ("Copernicus_DSM_10_N00_00_E000_00_DEM.dt2", (Cell(0, 0), "10")),
            ("Copernicus_DSM_COG_10_N41_00_E012_00_WBM.tif", None),
            ("tileList.txt", None),
        ],
    )
    def test_names(self, name: str, cell: tuple[Cell, str] | None) -> None:
        assert cell_of(name) == cell
        if cell is not None and "COG" in name:
            assert tile_name(*cell) in name  # type: ignore[arg-type]
        assert cells_in_list([name, ""]) == ({cell[0]} if cell else set())

    @given(st.floats(-179.9, 179.9), st.floats(-84, 84), st.floats(0.01, 2.5))
    def test_every_point_of_a_box_and_its_margin_lies_in_a_cell(self, lon: float, lat: float, half: float) -> None:
        ring = [(lon - half, lat - half), (lon + half, lat - half), (lon + half, lat + half), (lon - half, lat + half)]
        ring = [((x + 180) % 360 - 180, y) for x, y in ring]
        cells = cells_under(ring, 0.25)
        for x, y in [*ring, (lon, lat), (lon, lat + half + 0.24), (lon, lat - half - 0.24)]:
            assert Cell((math.floor(x) + 180) % 360 - 180, math.floor(y)) in cells
        assert len(cells) < (2 * half + 3 + 0.5 / math.cos(math.radians(min(abs(lat) + half + 0.25, 88)))) * (
            2 * half + 3
        )

    def test_around_a_pole_everything_below_it(self) -> None:
        ring = [(-135.0, 84.5), (-45.0, 83.5), (45.0, 84.0), (135.0, 84.2)]
        cells = cells_under(ring, 0.25)
        assert {cell.lat_deg for cell in cells} == set(range(83, 90))
        assert len({cell.lon_deg for cell in cells}) == 360


def orbit_name(kind: str = "POEORB", platform: str = "S1B", created: str = "20220112T112345", **days: float) -> str:
    start = START - timedelta(days=days.get("before", 0.5))
    stop = START + timedelta(days=days.get("after", 0.5))
    return f"{platform}_OPER_AUX_{kind}_OPOD_{created}_V{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}.EOF"


class TestOrbits:
    def test_the_best_of_the_pass_is_in_the_names_of_its_images(self, ports: Ports) -> None:
        asked = {"terrain": {"height_m": 0}, "orbits": "aux/orbits/"}
        own = digests(ports, "r0", terrain={"height_m": 0})
        job, _ = plan(ports, "r1", **asked)
        assert "holds no precise or restituted orbit files" in str(job.fault_message)
        ports.blobs.write("aux", f"orbits/{orbit_name('PREORB')}", b"predicted")
        assert plan(ports, "r2", **asked)[0].fault_kind == "AuxiliaryMissing"
        ports.blobs.write("aux", f"orbits/{orbit_name(platform='S1A')}", b"another satellite's")
        assert digests(ports, "r3", **asked) == own
        ports.blobs.write("aux", f"orbits/2021/{orbit_name('RESORB')}", b"restituted")
        restituted = digests(ports, "r4", **asked)
        ports.blobs.write("aux", f"orbits/{orbit_name()}", b"precise")
        _, made = plan(ports, "r5", **asked)
        assert made is not None
        (source,) = made.tasks[0].orbits or ()
        assert source.ref == f"aux/orbits/{orbit_name()}"
        precise = {str(one.identity.grid.tile): one.digest for one in made.outputs}
        ports.blobs.write("aux", f"orbits/{orbit_name()}", b"precise, mended")
        found = [own, restituted, precise, digests(ports, "r6", **asked)]
        assert len({one["33TUG"] for one in found}) == 4

    def test_the_sites_default_is_taken_where_it_has_any(self, ports: Ports) -> None:
        text = b'{"sentinel1": {}, "terrain": {"height_m": 0}, "orbits": "aux/orbits"}'
        ports.blobs.write("settings", "default_order.json", text)
        own = digests(ports, "r0", terrain=None)
        ports.blobs.write("aux", f"orbits/{orbit_name()}", b"precise")
        assert digests(ports, "r1", terrain=None) != own

    def test_an_image_is_not_made_of_two_orbits(self) -> None:
        def product(name: str, start: datetime) -> ProductFacts:
            return ProductFacts(
                source=Source(ref=name, content="x", size_bytes=1), mission="sentinel-1", name=ROME, pass_key="p",
                footprint_lonlat=ROME_RING, reach_lonlat=ROME_RING, start=start, stop=start + timedelta(seconds=25),
            )  # fmt: skip

        names = [orbit_of(orbit_name(after=0.01))]
        shelf = {one.path: OrbitFile(one, Source(ref=one.path, content="c", size_bytes=1)) for one in names if one}
        first = product("a", START)
        assert list(orbits_of_pass([first], shelf) or {}) == ["a"]
        assert orbits_of_pass([first, product("b", START + timedelta(hours=1))], shelf) is None
        assert orbits_of_pass([replace(first, mission="rpc")], shelf) is None

    def test_of_those_that_serve_the_latest_of_the_best_kind(self) -> None:
        files = {
            "early": orbit_name(created="20220110T000000"),
            "late": orbit_name(created="20220113T000000"),
            "restituted": orbit_name("RESORB", created="20230101T000000"),
            "short": orbit_name(created="20240101T000000", after=0.001),
        }
        orbits = [one for name in files.values() if (one := orbit_of(name)) is not None]
        best = best_orbit(orbits, "S1B", START, START + timedelta(seconds=25))
        assert best is not None
        assert best.path == files["late"]
        assert best_orbit(orbits, "S1A", START, START) is None
        assert orbit_of("notes.EOF") is None
        assert orbit_of(orbit_name().replace("_V2021", "_V2099").replace("12", "13")) is None
