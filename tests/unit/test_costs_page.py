"""The worked example of ``docs/costs.md`` follows from the inputs that it states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "costs.md").read_text()
DAYS_A_MONTH = 30
GB_A_CALL = 2.0


def table(first_cell: str) -> dict[str, list[str]]:
    """Rows of the table whose head begins so, by their first cell."""
    lines = PAGE.partition(f"| {first_cell} |")[2].splitlines()[2:]
    rows: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip().replace("**", "") for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


def number(text: str) -> float:
    found = re.search(r"\d[\d,]*\.?\d*", text)
    assert found is not None, text
    return float(found[0].replace(",", ""))


INPUTS = {name: number(cells[0]) for name, cells in table("input").items()}
PRICED = table("what")


def per_day() -> dict[str, tuple[float, float]]:
    """How much a day, in what the price is for, and of what that is one."""
    n, images = INPUTS["products a day"], INPUTS["images a day"]
    calls = n * INPUTS["calls of functions a product"] + INPUTS["calls by the clock a day"]
    written = n * INPUTS["blobs written a product"] + images * INPUTS["blobs written an image"]
    products_gb = n * INPUTS["bytes of a product"]
    images_gb = images * INPUTS["bytes of an image"]
    return {
        "cloud slots": (INPUTS["slot-hours paid for in the cloud"], 1),
        "calls of functions": (calls * GB_A_CALL, 1),
        "the same, per call": (calls, 1e6),
        "tables": (n * INPUTS["operations of tables a product"], 1e5),
        "queues": (n * INPUTS["messages of queues a product"], 1e5),
        "blobs read": (n * INPUTS["blobs read a product"], 1e5),
        "blobs written": (written, 1e5),
        "products for three days": (products_gb * INPUTS["days that products are kept"], DAYS_A_MONTH),
        "images for thirty days": (images_gb * INPUTS["days that images are kept"], DAYS_A_MONTH),
        "products fetched by an HPC centre from the cloud": (products_gb, 1),
    }


@pytest.mark.parametrize("name", [name for name in PRICED if name != "all of that"])
def test_a_line_is_its_amount_at_its_price(name: str) -> None:
    amount, of = per_day()[name]
    _, price, eur = PRICED[name]
    assert number(eur) == pytest.approx(amount / of * number(price), rel=0.03)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("the same, per call", 1), ("tables", 1e6), ("queues", 1e6), ("blobs read", 1e6), ("blobs written", 1e6),
        ("products for three days", 1e3), ("images for thirty days", 1e3), ("cloud slots", 1),
    ],
)  # fmt: skip
def test_how_much_a_day_follows_from_the_inputs(name: str, unit: float) -> None:
    assert number(PRICED[name][0]) * unit == pytest.approx(per_day()[name][0], rel=0.02)


def test_the_sum_is_that_of_the_lines() -> None:
    lines = [number(cells[2]) for name, cells in PRICED.items() if name in list(PRICED)[:-2]]
    assert number(PRICED["all of that"][2]) == pytest.approx(sum(lines), abs=0.5)
    assert list(PRICED)[-2] == "all of that"


def test_the_days_figures_are_those_that_were_measured() -> None:
    measured = re.sub(r"\s+", " ", (DOCS / "performance.md").read_text())
    assert f"{INPUTS['images a day']:,.0f} images" in measured
    assert f"A product costs {INPUTS['calls of functions a product']:.0f} calls of functions" in measured
    found = re.search(r"runs of (\d+) slot-hours on-prem, \d+ of (\d+) in the cloud for ([\d.]+) EUR", measured)
    assert found is not None
    assert f"own {found[1]} slot-hours" in re.sub(r"\s+", " ", PAGE)
    assert f"{found[2]} of work" in table("input")["slot-hours paid for in the cloud"][1]
    assert number(PRICED["cloud slots"][2]) == pytest.approx(float(found[3]), abs=0.05)
