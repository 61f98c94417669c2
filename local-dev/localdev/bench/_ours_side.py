"""Our side: orthorectifies, product on disk to image on disk, one request after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def _prepare(asked: dict[str, Any]) -> dict[str, Any]:
    out = Path(asked["out"])
    remove(sorted(out.parent.glob(f"{out.stem}*")))
    return {}


def _work(asked: dict[str, Any]) -> dict[str, Any]:
    grid = Grid.mgrs(asked["tile"], 10.0).window(*asked["window"])
    with open_product(asked["safe"]) as product:
        result = orthorectify(product, grid, Terrain(asked["dem"], None), out=asked["out"], **asked["options"])
    return {"valid_fraction": result.valid_fraction, "dem_coverage": result.dem_coverage}


if __name__ == "__main__":
    serve(_prepare, _work)
