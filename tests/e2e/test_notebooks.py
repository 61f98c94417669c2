"""The notebooks of the handbook run, cell by cell, against the whole system."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from e2e.conftest import Site, site_starter
from localdev.demo.work import DEM_REF
from localdev.scene import SceneSpec, Sentinel2Spec, make_sentinel1, make_sentinel2
from orthocontracts import names

FOLDER = Path(__file__).parents[2] / "docs/notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
OVERPASSES = [("33TTG", datetime(2024, 6, 5)), ("32TQM", datetime(2024, 6, 5)), ("33TTG", datetime(2024, 6, 15))]
"""Upper left corners of neighbours in two UTM zones overlap."""


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Path]) -> list[Path]:
    """A scene on a DEM, two slices of a pass, three tiles of two zones and two days."""
    folder = tmp_path_factory.mktemp("products")
    slices = [
        make_sentinel1(
            SceneSpec(
                folder / f"slice{number}",
                centre_lonlat_deg=(12.5, 42.0),
                size_lines_samples=(260, 240),
                slice_offset_lines=(number - 1) * 240,
                start=datetime(2024, 3, 9, 5, 11, 22),  # the scene is the newest
                fractal_seed=None,
                targets=3,
                zip_it=True,
            )
        ).path
        for number in range(2)
    ]
    tiles = [
        make_sentinel2(
            Sentinel2Spec(
                folder / f"tile{number}",
                tile=tile,
                level="L2A",
                bands=("B04", "B08"),
                size_60m_px=150,
                sensing=day.replace(hour=10, second=31),
                seed=number,
                zip_it=True,
            )
        ).path
        for number, (tile, day) in enumerate(OVERPASSES)
    ]
    return [scenes["zip"], *slices, *tiles]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Path], products: list[Path]) -> Iterator[Site]:
    """One system for all notebooks, with the products in its store."""
    with site_starter(tmp_path_factory.mktemp("site"), scenes) as start:
        site = start()
        for path in products:
            site.store.upload_product(path)
        site.wait_until("the products are listed", lambda _: len(list(site.client.products())) == len(products))
        yield site


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs every cell of a notebook; gives the names that are there at the end.

    ``given`` is what a reader puts in: the cell that says so is run first, then these take its place.
    """
    mpl.use("agg")
    monkeypatch.setenv("ORTHOBURST_URL", site.stack.api_url)
    known: dict[str, Any] = {}

    def run_cells(name: str, **given: str) -> dict[str, Any]:
        for cell in json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{name}:{cell['id']}", "exec"), known)
                known.update({name: value for name, value in given.items() if name in known})
        return known

    yield run_cells
    if "client" in known:
        known["client"].close()  # a reader's ends with the kernel; here its sockets would be found by another test
    plt.close("all")


def test_all_are_run_here_and_none_has_outputs() -> None:
    assert NOTEBOOKS == ["costs", "product-to-numbers", "standing-order", "vegetation"]
    for name in NOTEBOOKS:
        cells = json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
        assert all(not cell.get("outputs") for cell in cells), name
        assert len({cell["id"] for cell in cells}) == len(cells), name


@pytest.mark.slow
def test_from_a_product_to_numbers(site: Site, run: Callable[..., dict[str, Any]]) -> None:
    known = run("product-to-numbers", DEM=DEM_REF, BATCH="four-fields")
    assert known["batch"].states == {"successful": 4}
    assert known["table"]["gamma0_db"].between(-30, 5).all()
    assert known["gamma0"].count() > 0.9 * known["gamma0"].size
    assert len(site.committed_digests()) >= 5, names.CONTAINER_CATALOGUE


@pytest.mark.slow
def test_a_standing_order_and_a_batch(run: Callable[..., dict[str, Any]]) -> None:
    known = run("standing-order")
    assert "+" in known["joined"].title, "of both slices"
    assert known["sigma0"].count() == known["sigma0"].size, "neither alone covers it"
    assert known["batch"].states == {"successful": 4}
    assert len(known["table"]) == 4
    assert known["table"].geometry.is_valid.all()
    assert {one["id"] for one in known["client"].orders()}.isdisjoint({known["NAME"]})


@pytest.mark.slow
def test_vegetation_over_two_zones_and_two_dates(run: Callable[..., dict[str, Any]]) -> None:
    known = run("vegetation")
    first, second, joined = known["covered"]
    assert max(first, second) < 0.8
    assert joined > 0.99
    assert abs(known["mosaic"]).max() <= 1
    assert known["change"].count() > 0
    assert float(abs(known["change"]).max()) > 0.05, "another day is another image"


@pytest.mark.slow
def test_what_it_costs_and_why_it_ran_where(run: Callable[..., dict[str, Any]]) -> None:
    known = run("costs", DEM=DEM_REF, NAME="priced")
    assert known["estimate"]["total"]["valid"] == 4
    assert known["batch"].states == {"successful": 4}
    assert all(decision["sentence"].startswith(f"{pool}: ") for pool, decision in known["decisions"])
    assert set(known["burst"]["figures"]) == {"hpc", "cloud"}
    assert known["costs"]["on_prem_slot_s"] > 0
