"""Heights on real DEMs, against altitudes that ESA's Sen2VM computed and against the slow twin."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from orthokernel.errors import TerrainError
from orthokernel.terrain import Terrain, TerrainFlag
from realdata import real_data
from reference import terrain as twin

pytestmark = [pytest.mark.real, pytest.mark.parallel]


def test_altitudes_are_those_of_sen2vm_on_land_and_at_sea() -> None:
    """Madeira: DTED tiles, gaps between them that are sea, an ENVI geoid; 11,310 points of the reference grids."""
    madeira = real_data("sentinel2/l1b-madeira")
    terrain = Terrain(madeira / "dem", next((madeira / "geoid").glob("*.gtx")))
    points = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for path in sorted((madeira / "reference/Direct").glob("*.tif")):
            with rasterio.open(path) as source:
                points.append(source.read().reshape(3, -1))
    lon, lat, altitude = np.concatenate(points, axis=1)
    height, flags = terrain.heights(lon, lat)
    worst = np.abs(height - altitude).max()
    print(f"{lon.size} points, {np.mean(flags == TerrainFlag.SEA):.0%} at sea, worst difference {worst:.1e} m")
    assert set(np.unique(flags).tolist()) == {0, int(TerrainFlag.SEA)}
    assert worst < 1e-6


def test_the_compound_system_of_rome_takes_its_geoid_once() -> None:
    dem, geoid = real_data("sentinel1/rome/Rome-30m-DEM.tif"), real_data("geoid/egm96_15.gtx")
    lon, lat = np.meshgrid(np.linspace(12.451, 12.549, 50), np.linspace(41.951, 42.049, 50))
    height, flags = Terrain(dem, geoid).heights(lon, lat)
    np.testing.assert_allclose(height, twin.heights(dem, geoid, lon, lat), atol=1e-6)
    assert not flags.any()
    assert 45 < height.min() < 60  # 5 m above the sea, which is 48 m above the ellipsoid here
    with pytest.raises(TerrainError, match=r"EGM96 height.*geoid=None"):
        Terrain(dem, None)
