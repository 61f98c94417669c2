"""The ``orthokernel`` command on a simulated SAFE zip, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from localdev.scene import Scene, SceneSpec, make_sentinel1
from orthokernel.cli import main
from reference.targets import TargetImage

pytestmark = pytest.mark.parallel

SPACING_M = 10.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("command"),
            size_lines_samples=(256, 320),
            fractal_seed=5,
            relief_m=600.0,
            targets=2,
            polarisations=("vv", "vh"),
            zip_it=True,
        )
    )


@pytest.fixture(scope="module")
def bounds(scene: Scene) -> list[str]:
    """Options for a grid around the targets."""
    lon, lat = (np.array([getattr(t, name) for t in scene.targets]) for name in ("lon_deg", "lat_deg"))
    x, y = transform("EPSG:4326", "EPSG:32633", lon, lat)
    ends = (min(x) - 300.0, min(y) - 300.0, max(x) + 300.0, max(y) + 300.0)
    return ["--crs", "EPSG:32633", "--spacing", str(SPACING_M), "--bounds", *map(str, ends)]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orthokernel.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_info(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(scene.path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["id"] == scene.path.stem
    assert facts["bands"] == ["vv", "vh"]
    west, south, east, north = facts["bounds_lonlat"]
    assert all(west < target.lon_deg < east and south < target.lat_deg < north for target in scene.targets)
    assert main(["info", str(scene.path)]) == 0
    assert scene.path.stem in capsys.readouterr().out


def test_ortho(scene: Scene, bounds: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    done = _run("ortho", str(scene.path), "-o", str(out), *bounds, "--dem", str(scene.dem_path), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["image"] == str(out)
    assert summary["bands"] == ["vv", "vh"]
    assert (summary["radiometry"], summary["resampling"]) == ("sigma0", "bilinear")
    assert summary["dem_coverage"] == 1.0
    assert all(Path(summary[name]).is_file() for name in ("mask", "browse", "item"))
    item = json.loads(Path(summary["item"]).read_text())
    assert scene.path.stem in json.dumps(item)
    for band in (1, 2):
        assert TargetImage(out, scene.targets, band).errors().worst_px < 0.1


def test_a_grid_off_the_product(scene: Scene, tmp_path: Path) -> None:
    """One line, and nothing else, also where standard error is a file."""
    out = tmp_path / "out.tif"
    done = _run("ortho", str(scene.path), "-o", str(out), "--tile", "31TCJ", "--spacing", "60", "--height", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert scene.path.stem in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["no product", "no DEM", "DEM elsewhere", "truncated zip", "no such band"])
def test_bad_input_is_one_line_and_code_2(
    scene: Scene, bounds: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    product, dem, more, says = scene.path, scene.dem_path, [], ""
    if wrong == "no product":
        product = tmp_path / "nothing.zip"
        says = product.name
    elif wrong == "no DEM":
        dem = tmp_path / "no-dem.tif"
        says = dem.name
    elif wrong == "DEM elsewhere":
        dem = tmp_path / "alps.tif"
        with rasterio.open(scene.dem_path) as source:
            profile = source.profile
        profile.update(transform=rasterio.Affine.translation(7.0, 46.0) @ rasterio.Affine.scale(0.001, -0.001))
        with rasterio.open(dem, "w", **profile) as sink:
            sink.write(np.ones((1, profile["height"], profile["width"]), np.float32))
        says = "DEM"
    elif wrong == "truncated zip":
        product = tmp_path / scene.path.name
        product.write_bytes(scene.path.read_bytes()[:100_000])
        says = product.name
    else:
        more, says = ["--bands", "hh"], "hh"
    out = tmp_path / "new" / "out.tif"
    assert main(["ortho", str(product), "-o", str(out), *bounds, "--dem", str(dem), *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    assert says in captured.err
    assert not out.exists()
