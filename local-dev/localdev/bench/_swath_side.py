"""A side of `swath vs pyresample`: a whole OLCI frame onto a map, product on disk to array, by us or by pyresample."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from localdev.bench._serve import serve

BAND = "oa08"


def _nothing(asked: dict[str, Any]) -> dict[str, Any]:
    del asked
    return {}


def _ours(asked: dict[str, Any]) -> dict[str, Any]:
    from orthokernel import Grid, open_product, orthorectify  # noqa: PLC0415

    grid = Grid.from_bounds(asked["epsg"], tuple(asked["bounds"]), asked["spacing_m"])
    with open_product(asked["path"]) as product:
        result = orthorectify(product, grid, bands=[BAND], resampling=asked["resampling"], threads=asked["threads"])
    assert result.data is not None
    return _facts(result.data[0], asked)


def _pyresample(asked: dict[str, Any]) -> dict[str, Any]:
    os.environ.setdefault("OMP_NUM_THREADS", str(asked["threads"]))
    import h5py  # noqa: PLC0415
    from pyresample import geometry, kd_tree  # noqa: PLC0415

    folder = Path(asked["path"])

    def scaled(file: str, name: str) -> Any:
        with h5py.File(folder / file) as opened:
            values, about = opened[name], opened[name].attrs
            numbers = values[...]
            missing = numbers == np.squeeze(about["_FillValue"])
            found = numbers * float(np.squeeze(about["scale_factor"])) + float(np.squeeze(about.get("add_offset", 0.0)))
            return np.ma.array(found, mask=missing)

    lon, lat = scaled("geo_coordinates.nc", "longitude"), scaled("geo_coordinates.nc", "latitude")
    values = scaled("Oa08_radiance.nc", "Oa08_radiance").astype(np.float32)
    left, bottom, right, top = asked["bounds"]
    n_cols, n_rows = round((right - left) / asked["spacing_m"]), round((top - bottom) / asked["spacing_m"])
    area = geometry.AreaDefinition(
        "map", "map", "map", f"EPSG:{asked['epsg']}", n_cols, n_rows, (left, bottom, right, top)
    )  # fmt: skip
    swath = geometry.SwathDefinition(lons=lon.filled(np.nan), lats=lat.filled(np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = kd_tree.resample_nearest(
            swath, values, area, radius_of_influence=asked["radius_m"], fill_value=np.nan, nprocs=asked["nprocs"]
        )
    return _facts(np.ma.filled(image, np.nan).astype(np.float32), asked)


def _facts(image: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Where there is data, and some pixels: for the comparison afterwards."""
    if "out" in asked:
        np.save(asked["out"], image)
    return {"share": float(np.isfinite(image).mean()), "shape": list(image.shape)}


if __name__ == "__main__":
    serve(_nothing, {"ours": _ours, "pyresample": _pyresample}[sys.argv[1]])
