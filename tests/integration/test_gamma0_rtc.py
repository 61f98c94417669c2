"""Terrain-flattened gamma0 as it is delivered: level on mountains, hidden ground marked, adjacent tiles equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rio_cogeo.cogeo import cog_validate

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from orthokernel import Grid, MaskBit, OrthoResult, Terrain, open_product, orthorectify
from orthokernel.cog import output_names
from orthokernel.errors import OptionError, RadiometryError
from orthokernel.flattening import LAYOVER, SHADOW, VISIBLE

pytestmark = pytest.mark.parallel

LEVEL_DB = -8.0
BOX = (286_000.0, 4_648_500.0, 291_500.0, 4_652_500.0)
ALL_EXTRAS = ("layover_shadow", "local_incidence", "scattering_area", "acquisition")


@pytest.fixture(scope="module")
def alps(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """3000 m of relief, one gamma0, neither speckle nor noise."""
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("alps"),
            size_lines_samples=(700, 900),
            fractal_seed=7,
            relief_m=3000.0,
            level_db=LEVEL_DB,
            speckle_looks=None,
            noise_db=None,
            facets_per_pixel=3,
            polarisations=("vv", "vh"),
        )
    )


def _ortho(scene: Scene, grid: Grid, **more: object) -> OrthoResult:
    assert scene.dem_path is not None
    with open_product(scene.path) as product:
        return orthorectify(product, grid, Terrain(scene.dem_path, None), **{"radiometry": "gamma0_rtc", **more})  # type: ignore[arg-type]


def _db(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(values.astype(np.float64)))


def test_mountains_of_one_gamma0_come_out_level(alps: Scene) -> None:
    grid = Grid.from_bounds(32633, BOX, 10.0)
    result = _ortho(alps, grid, extras=ALL_EXTRAS)
    assert result.data is not None
    assert result.mask is not None
    vv, valid = result.data[0], (result.mask & MaskBit.VALID) != 0
    angle = result.extras["local_incidence"]
    slope, _ = np.polyfit(angle[valid].astype(np.float64), _db(vv[valid]), 1)
    mean_db = float(_db(vv[valid].mean(dtype=np.float64)))
    tell("gamma0_rtc of simulated alps in the output: slope, dB/degree", slope, "0.02")
    tell("the same: mean less truth, dB", mean_db - LEVEL_DB, "0.05")
    assert np.ptp(angle[valid]) > 40.0
    assert abs(slope) < 0.02
    assert mean_db == pytest.approx(LEVEL_DB, abs=0.05)
    plain = _ortho(alps, grid, radiometry="gamma0").data
    assert plain is not None
    before, _ = np.polyfit(angle[valid].astype(np.float64), _db(plain[0][valid]), 1)
    tell("the same of gamma0 without flattening: slope, dB/degree", before, "none")
    assert abs(before) > 0.1  # what was there to be flattened
    difference = np.abs(_db(result.data[1][valid]) - _db(vv[valid]) + 7.0)
    assert np.quantile(difference, 0.999) < 0.2  # of rounded digital numbers


def test_layover_and_shadow_are_no_data_and_marked(alps: Scene) -> None:
    grid = Grid.from_bounds(32633, BOX, 10.0)
    result = _ortho(alps, grid, extras=ALL_EXTRAS)
    assert result.data is not None
    assert result.mask is not None
    seen, mask = result.extras["layover_shadow"], result.mask
    assert (
        {VISIBLE, SHADOW, LAYOVER} <= set(np.unique(seen).tolist()) <= {0, VISIBLE, SHADOW, LAYOVER, SHADOW | LAYOVER}
    )
    hidden = (seen & (SHADOW | LAYOVER)) != 0
    assert 0.01 < hidden.mean() < 0.5
    assert np.isnan(result.data[:, hidden]).all()
    np.testing.assert_array_equal((mask & MaskBit.SHADOW) != 0, (seen & SHADOW) != 0)
    np.testing.assert_array_equal((mask & MaskBit.LAYOVER) != 0, (seen & LAYOVER) != 0)
    assert not (mask[hidden] & MaskBit.VALID).any()
    assert np.mean((mask[seen == VISIBLE] & MaskBit.VALID) != 0) > 0.999
    assert not mask[seen == 0].any()
    np.testing.assert_array_equal(result.extras["acquisition"] == 1, np.isfinite(result.data).any(axis=0))
    area = np.where(result.extras["scattering_area"] > 0.03, result.extras["scattering_area"], np.float32(np.nan))
    ratio = _ortho(alps, grid, radiometry="beta0").data
    assert ratio is not None
    # Where the area hardly changes from sample to sample, dividing before or after interpolating is nearly the same.
    even = ~hidden & (np.abs(_db(area) - np.roll(_db(area), 1, axis=1)) < 0.05)
    difference = np.abs(_db(ratio[0][even] / area[even]) - _db(result.data[0][even]))
    assert np.median(difference) < 0.02
    assert np.quantile(difference, 0.95) < 0.1


def test_flattening_flat_ground_changes_nothing(tmp_path: Path) -> None:
    scene = make_sentinel1(
        SceneSpec(
            tmp_path, size_lines_samples=(200, 900), flat_height_m=300.0, speckle_looks=None, noise_db=None, targets=0
        )
    )
    grid = Grid.from_bounds(32633, (289_500.0, 4_652_500.0, 296_500.0, 4_653_400.0), 10.0)
    with open_product(scene.path) as product:
        flattened, plain = (
            orthorectify(product, grid, Terrain.constant(300.0), radiometry=kind).data  # type: ignore[arg-type]
            for kind in ("gamma0_rtc", "gamma0")
        )
    assert flattened is not None
    assert plain is not None
    both = np.isfinite(flattened) & np.isfinite(plain)
    assert both.mean() > 0.5
    worst = float(np.abs(_db(flattened[both]) - _db(plain[both])).max())
    tell("gamma0_rtc on flat ground less gamma0, worst, dB", worst, "0.05")
    assert worst < 0.05
    np.testing.assert_array_equal(np.isfinite(flattened), np.isfinite(plain))


@pytest.mark.parametrize("resampling", ["bilinear", "average"])
def test_adjacent_outputs_agree_bit_for_bit(alps: Scene, resampling: str) -> None:
    """Whatever else they hold, however they are cut into blocks, on however many threads."""
    whole = Grid.from_bounds(32633, BOX, 10.0)
    parts = [(0, 260, 0, 300, 1), (101, 400, 37, 550, 2), (0, 400, 211, 549, 3)]
    one = _ortho(alps, whole, extras=ALL_EXTRAS, resampling=resampling, threads=2)
    for row0, row1, col0, col1, threads in parts:
        window = whole.window(row0, row1, col0, col1)
        other = _ortho(alps, window, extras=ALL_EXTRAS, resampling=resampling, threads=threads)
        here = np.s_[row0:row1, col0:col1]
        assert one.data is not None
        assert one.mask is not None
        np.testing.assert_array_equal(other.data, one.data[:, row0:row1, col0:col1])
        np.testing.assert_array_equal(other.mask, one.mask[here])
        for name in ALL_EXTRAS:
            np.testing.assert_array_equal(other.extras[name], one.extras[name][here], name)


def test_the_files_of_normalised_radar_backscatter(alps: Scene, tmp_path: Path) -> None:
    grid = Grid.from_bounds(32633, BOX, 20.0)
    out = tmp_path / "nrb.tif"
    in_memory = _ortho(alps, grid, extras=["scattering_area"])
    result = _ortho(alps, grid, extras=["scattering_area"], out=out)
    names = output_names(out, result.properties["extras"])
    assert set(names) == {"image", "mask", "browse", "item", *ALL_EXTRAS}
    for name in ("image", "mask", *ALL_EXTRAS):
        is_valid, errors, _ = cog_validate(names[name], strict=True, quiet=True)
        assert is_valid, errors
        with rasterio.open(names[name]) as file:
            values = file.read()
        expected = {"image": in_memory.data, "mask": in_memory.mask}.get(name, in_memory.extras.get(name))
        np.testing.assert_array_equal(values if name == "image" else values[0], expected)


def test_what_flattening_cannot_do_is_refused(alps: Scene) -> None:
    grid = Grid.from_bounds(32633, BOX, 100.0)
    with pytest.raises(RadiometryError, match=r"quicklook gives no gamma0_rtc; expected radiometry dn"):
        _ortho(alps, grid, bands=["quicklook"])
    with pytest.raises(OptionError, match="layover_shadow, local_incidence"):
        _ortho(alps, grid, extras=["shadow"])
