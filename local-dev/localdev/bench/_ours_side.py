"""Our side: orthorectifies, product on disk to image on disk, one request after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyproj
from affine import Affine

from localdev.bench._serve import serve
from localdev.bench._sides import remove
from orthokernel import Grid, Terrain, open_product, orthorectify


def request(
    safe: Path, dem: Path, out: Path, window: tuple[int, int, int, int], tile: str, **options: Any
) -> dict[str, Any]:
    """What the process is asked: rows and columns ``window`` of a tile of 10 m; ``options`` of `orthorectify`."""
    return {
        "safe": str(safe),
        "dem": str(dem),
        "out": str(out),
        "window": list(window),
        "tile": tile,
        "options": options,
    }


def request_on(product: Path, out: Path, grid: Grid, dem: Path | None = None, **options: Any) -> dict[str, Any]:
    """The same on any grid; without a DEM of a product that needs no terrain."""
    place = {"crs": grid.crs.to_wkt(), "transform": list(grid.transform)[:6], "shape": list(grid.shape)}
    return {
        "safe": str(product),
        "dem": None if dem is None else str(dem),
        "out": str(out),
        "grid": place,
        "options": options,
    }


def _prepare(asked: dict[str, Any]) -> dict[str, Any]:
    out = Path(asked["out"])
    remove(sorted(out.parent.glob(f"{out.stem}*")))
    return {}


def _work(asked: dict[str, Any]) -> dict[str, Any]:
    terrain = None if asked["dem"] is None else Terrain(asked["dem"], None)
    with open_product(asked["safe"]) as product:
        result = orthorectify(product, _grid(asked), terrain, out=asked["out"], **asked["options"])
    return {"valid_fraction": result.valid_fraction, "dem_coverage": result.dem_coverage}


def _grid(asked: dict[str, Any]) -> Grid:
    if "grid" in asked:
        place = asked["grid"]
        return Grid(pyproj.CRS.from_wkt(place["crs"]), Affine(*place["transform"]), *place["shape"])
    return Grid.mgrs(asked["tile"], 10.0).window(*asked["window"])


if __name__ == "__main__":
    serve(_prepare, _work)
