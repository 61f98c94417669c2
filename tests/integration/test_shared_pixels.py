"""Outputs that share pixels have the same values there, to the last bit: wherever they begin, however many threads."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.resampling import RESAMPLINGS
from orthokernel.result import OrthoResult
from reference.targets import frame_over

pytestmark = pytest.mark.parallel

SPACING_M = 10.0
RELIEF_M = 1500.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Mountains in the swath, speckle and noise."""
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("mountains"),
            size_lines_samples=(900, 1100),
            fractal_seed=5,
            relief_m=RELIEF_M,
            facets_per_pixel=1,
            polarisations=("vv", "vh"),
        )
    )


@pytest.fixture(scope="module")
def grid(scene: Scene) -> Grid:
    geometry = read_geometry(parse(next((scene.path / "annotation").glob("*-vv-*.xml"))))
    line, sample = np.meshgrid([-20, 920], [-20, 1120])  # beyond the image on all sides
    transform, n_rows, n_cols = frame_over(*geometry.image_to_ground(line, sample, 0.5 * RELIEF_M), 32633, SPACING_M)
    # Pixels that are multiples of the spacing from the map's origin, as tiles have them: others share no blocks.
    left, top = (SPACING_M * round(value / SPACING_M) for value in (transform.c, transform.f))
    return Grid(32633, Affine(SPACING_M, 0.0, left, 0.0, -SPACING_M, top), n_rows, n_cols)


def made(scene: Scene, grid: Grid, method: str, threads: int, bands: list[str]) -> OrthoResult:
    assert scene.dem_path is not None
    with open_product(scene.path) as product:
        return orthorectify(
            product,
            grid,
            Terrain(scene.dem_path, None),
            bands=bands,
            radiometry="sigma0",
            resampling=method,  # type: ignore[arg-type]
            noise_removal=True,
            threads=threads,
        )


@pytest.mark.parametrize("method", RESAMPLINGS)
def test_windows_at_random_places_have_the_values_of_the_whole(scene: Scene, grid: Grid, method: str) -> None:
    rng = np.random.default_rng(RESAMPLINGS.index(method))
    whole = made(scene, grid, method, 2, ["vv", "vh"])
    assert whole.data is not None
    assert whole.mask is not None
    assert 0.3 < whole.valid_fraction < 1.0
    valid = 0
    for threads in (1, 2, 3):
        # Offsets, but for the middle, that share no factor with a block's size or a node's step.
        row0, col0 = (int(rng.integers(1, n // 3)) | 1 for n in grid.shape)
        row1, col1 = (int(rng.integers(n // 2, n)) for n in grid.shape)
        bands = ["vh"] if threads == 3 else ["vv", "vh"]
        part = made(scene, grid.window(row0, row1, col0, col1), method, threads, bands)
        assert part.data is not None
        expected = whole.data[-part.data.shape[0] :, row0:row1, col0:col1]
        np.testing.assert_array_equal(part.data.view(np.uint32), expected.view(np.uint32))
        if threads != 3:
            np.testing.assert_array_equal(part.mask, whole.mask[row0:row1, col0:col1])
        valid += int(np.isfinite(part.data).sum())
    assert valid > 100_000
