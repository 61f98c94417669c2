"""Point targets of simulated images with RPC, in the COG, however the coefficients are delivered."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from figures import tell
from localdev.scene import RpcSpec, make_rpc_image
from localdev.scene.rpc_image import RpcForm
from localdev.scene.terrain import read_surface
from orthokernel import Grid, Terrain, open_product, orthorectify
from reference.targets import TargetImage, frame_over

pytestmark = pytest.mark.parallel

PROMISED_PX = 0.1
EXACT_PX = 0.01
"""Of the displacement: what the lattice promises."""
GSD_M = 2.0


@pytest.mark.parametrize(
    ("form", "crop_origin", "turn_deg"),
    [
        ("tags", None, 0.0),
        ("tags", None, 30.0),
        ("text", None, 0.0),
        ("dimap", None, 0.0),
        ("text", (5000, 4000), 0.0),
        ("dimap", (5000, 4000), 0.0),
    ],
    ids=["tags", "tags, turned grid", "_RPC.TXT", "DIMAP", "crop with _RPC.TXT", "crop with DIMAP"],
)
def test_targets_in_the_hills(
    tmp_path: Path, form: RpcForm, crop_origin: tuple[int, int] | None, turn_deg: float
) -> None:
    image = make_rpc_image(
        RpcSpec(
            tmp_path / "IMG_HILLS.tif",
            form=form,
            crop_origin=crop_origin,
            size_lines_samples=(400, 450),
            gsd_m=GSD_M,
            roll_deg=20.0,
            fractal_seed=3,
            targets=9,
        )
    )
    assert (image.rpc_path is None) == (form == "tags")
    assert image.dem_path is not None
    lon, lat = (np.array([getattr(t, name) for t in image.targets]) for name in ("lon_deg", "lat_deg"))
    grid = Grid(32633, *frame_over(lon, lat, 32633, GSD_M, turn_deg=turn_deg))
    cog = tmp_path / "ortho.tif"
    with open_product(image.path) as product:
        terrain = Terrain(image.dem_path, image.geoid_path)
        result = orthorectify(product, grid, terrain, resampling="bilinear", out=cog)
    assert result.radiometry == "dn"
    assert result.lattice_error_px < 0.01
    bounds = (lon.min() - 0.01, lat.min() - 0.01, lon.max() + 0.01, lat.max() + 0.01)
    surface = read_surface(image.dem_path, image.geoid_path, bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(image.path) as source:
            pixels = source.read(1).astype(np.float64)
    found = TargetImage(cog, image.targets)
    errors, displacements = found.errors(), found.displacements(image.camera.ground_to_image, surface.height, pixels)
    tell(f"RPC by {form}: point targets from their map position, worst, px", errors.worst_px, "0.1")
    assert len(errors.rowcol_px) == 9
    assert errors.worst_px < PROMISED_PX
    assert displacements.worst_px < EXACT_PX
