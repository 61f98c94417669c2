"""A handful of small scenes over one landscape: what the demo feeds to the system."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from localdev.scene.fractal import write_fractal_dem
from localdev.scene.rpc_image import RpcImage, RpcSpec, make_rpc_image
from localdev.scene.sentinel1 import make_sentinel1
from localdev.scene.spec import Scene, SceneSpec

CENTRE_LONLAT_DEG = (12.5, 42.0)
DEM_BOUNDS_DEG = (12.30, 41.80, 12.70, 42.20)
SIZE_PX = 1400
SLICE_PX = (900, 1400)
RELIEF_M, SEA_FRACTION, SEED = 1100.0, 0.2, 11


@dataclass(frozen=True)
class DemoScenes:
    """What was made; every product lies over ``dem_path``, whose heights are ellipsoidal."""

    dem_path: Path
    sentinel1: list[Scene]
    rpc: list[RpcImage]


def demo_scenes(folder: Path) -> DemoScenes:
    """Four Sentinel-1 products (two slices of one pass, the repeat pass, an ascending one) and two RPC images.

    About 35 MB. The radar scenes cover part of MGRS tiles 33TTG and 33TUG; two are zips, two are SAFE folders, one
    has two polarisations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dem = folder / "dem.tif"
    write_fractal_dem(dem, DEM_BOUNDS_DEG, SEED, RELIEF_M, sea_fraction=SEA_FRACTION)
    first = SceneSpec(
        out_folder=folder,
        centre_lonlat_deg=CENTRE_LONLAT_DEG,
        size_lines_samples=(SIZE_PX, SIZE_PX),
        dem_file=dem,
        sea_level_db=-17.0,
        targets=6,
        seed=SEED,
    )
    specs = [
        replace(first, size_lines_samples=SLICE_PX, zip_it=True),
        replace(first, size_lines_samples=SLICE_PX, zip_it=True, slice_offset_lines=SLICE_PX[0]),
        replace(first, start=first.start + timedelta(days=12), seed=SEED + 1, polarisations=("vv", "vh")),
        replace(first, start=first.start + timedelta(days=3, hours=11, minutes=54), ascending=True, seed=SEED + 2),
    ]
    camera = RpcSpec(
        out_file=folder / "optical-1.tif",
        centre_lonlat_deg=(12.53, 42.02),
        size_lines_samples=(1500, 1500),
        gsd_m=2.0,
        dem_file=dem,
        targets=6,
        seed=SEED,
    )
    cameras = [camera, replace(camera, out_file=folder / "optical-2.tif", form="text", roll_deg=-14.0, pitch_deg=-5.0)]
    return DemoScenes(dem, [make_sentinel1(spec) for spec in specs], [make_rpc_image(spec) for spec in cameras])
