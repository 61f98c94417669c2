"""The notebooks of the handbook run, cell by cell, against the whole system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from e2e.conftest import Site
from localdev.demo.work import DEM_REF
from orthocontracts import names

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
GIVEN = {"DEM": DEM_REF, "BATCH": "four-fields"}
"""What a reader puts in: the cell that says so is run first, then these take its place."""


def run(notebook: Path) -> dict[str, Any]:
    """Run every cell; the names that are there at the end."""
    known: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}:{cell['id']}", "exec"), known)
            known |= {name: value for name, value in GIVEN.items() if name in known}
    return known


@pytest.mark.slow
def test_from_a_product_to_numbers(
    start_site: Callable[..., Site], scenes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mpl.use("agg")
    site = start_site()
    monkeypatch.setenv("ORTHOBURST_URL", site.stack.api_url)
    site.store.upload_product(scenes["zip"])
    site.wait_until("the product is listed", lambda _: any(True for _ in site.client.products()))
    assert len(NOTEBOOKS) == 1
    known = run(NOTEBOOKS[0])
    known["client"].close()  # a reader's ends with the kernel; here its sockets would be found by another test
    plt.close("all")
    assert known["batch"].states == {"successful": 4}
    assert known["table"]["gamma0_db"].between(-30, 5).all()
    assert known["gamma0"].count() > 0.9 * known["gamma0"].size
    assert len(site.committed_digests()) >= 5, names.CONTAINER_CATALOGUE
