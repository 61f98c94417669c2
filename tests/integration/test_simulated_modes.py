"""EW and SM products as users get them: targets in place, levels as they were, the command, and orbits from files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.modes import ModeName
from localdev.scene.terrain import read_surface
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.cli import main
from reference.targets import TargetErrors, TargetImage, frame_over

pytestmark = pytest.mark.parallel

PROMISED_PX, PROMISED_DB = 0.1, 0.05
EXACT_PX = 0.02
"""0.01 px for the lattice, the rest for the speckle around a target."""
HEIGHT_M, LEVEL_DB, LOOKS = 300.0, -11.0, 4.4

MODES: dict[str, tuple[dict[str, object], int, float]] = {
    # what to make, the map, the spacing of a source pixel
    "EW, Svalbard": (
        {"mode": "EW", "platform": "S1B", "centre_lonlat_deg": (20.0, 78.0), "polarisations": ("hh", "hv")}, 3413, 40.0,
    ),
    "EW, Antarctica": (
        {"mode": "EW", "platform": "S1A", "centre_lonlat_deg": (-62.0, -73.0), "polarisations": ("hh",)}, 3031, 40.0,
    ),
    "S1": ({"mode": "SM", "swath": "S1", "platform": "S1D", "polarisations": ("vv", "vh")}, 32633, 10.0),
    "S6": ({"mode": "SM", "swath": "S6", "platform": "S1C", "polarisations": ("hh",), "ascending": True}, 32633, 10.0),
    "S3, full resolution": ({"mode": "SM", "swath": "S3", "resolution": "F", "platform": "S1D"}, 32633, 3.5),
}  # fmt: skip
WHICH = pytest.mark.parametrize("which", sorted(MODES))


def _targets(scene: Scene, epsg: int, spacing_m: float, out: Path, orbits: Path | None = None) -> list[TargetErrors]:
    lonlat = np.array([(target.lon_deg, target.lat_deg) for target in scene.targets]).T
    grid = Grid(epsg, *frame_over(*lonlat, epsg, spacing_m))
    terrain = Terrain(scene.dem_path, None) if scene.dem_path else Terrain.constant(scene.flat_height_m or 0.0)
    with open_product(scene.path, orbits) as product:
        result = orthorectify(product, grid, terrain, resampling="bilinear", out=out)
        assert result.bands == product.bands
    assert result.lattice_error_px < 0.01
    return [TargetImage(out, scene.targets, band + 1).errors() for band in range(len(result.bands))]


@WHICH
def test_targets_in_the_mountains(which: str, tmp_path: Path) -> None:
    """Of EW milder ones: a fractal bends within an echo 56 m wide, which moves its centroid and not its place."""
    make, epsg, spacing_m = MODES[which]
    relief_m = 1200.0 if spacing_m > 10.0 else 60.0 * spacing_m
    spec = SceneSpec(
        tmp_path, size_lines_samples=(600, 800), fractal_seed=7, relief_m=relief_m, targets=9, **make,  # type: ignore[arg-type]
    )  # fmt: skip
    scene = make_sentinel1(spec)
    assert len(scene.targets) == 9
    assert np.ptp([target.height_m for target in scene.targets]) > 10.0 * spacing_m
    out = tmp_path / "out.tif"
    geometry = read_geometry(parse(next((scene.path / "annotation").glob("*.xml"))))
    lon, lat = np.array([(target.lon_deg, target.lat_deg) for target in scene.targets]).T
    assert scene.dem_path is not None
    bounds = (lon.min() - 0.2, lat.min() - 0.05, lon.max() + 0.2, lat.max() + 0.05)
    surface = read_surface(scene.dem_path, None, bounds)
    for band, errors in enumerate(_targets(scene, epsg, spacing_m, out)):
        displaced = TargetImage(out, scene.targets, band + 1).displacements(geometry.ground_to_image, surface.height)
        tell(f"{which}: point targets against a warp by the exact geometry, worst, px", displaced.worst_px, "0.02")
        assert displaced.worst_px < EXACT_PX
        tell(f"{which}: point targets from their map position, worst, source px", errors.worst_px, "0.1")
        assert errors.worst_px < PROMISED_PX


@WHICH
def test_mean_of_a_flat_scene(which: str, tmp_path: Path) -> None:
    make, epsg, spacing_m = MODES[which]
    make = make | {"polarisations": (make.get("polarisations", ("vv",))[0],)}  # type: ignore[index]
    scene = make_sentinel1(
        SceneSpec(
            tmp_path, size_lines_samples=(400, 600), flat_height_m=HEIGHT_M, law="sigma0", level_db=LEVEL_DB,
            speckle_looks=LOOKS, noise_db=None, **make,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    geometry = read_geometry(parse(next((scene.path / "annotation").glob("*.xml"))))
    line, sample = np.meshgrid([0.0, 399.0], [0.0, 599.0])
    grid = Grid(epsg, *frame_over(*geometry.image_to_ground(line, sample, HEIGHT_M), epsg, spacing_m))
    with open_product(scene.path) as product:
        result = orthorectify(product, grid, Terrain.constant(HEIGHT_M), resampling="bilinear")
    assert result.data is not None
    values: NDArray[np.float64] = result.data[0].astype(np.float64)
    values = values[np.isfinite(values)]
    assert values.size == pytest.approx(
        400 * 600, rel=0.05 if epsg > 10_000 else 0.15
    )  # polar maps are not true to scale
    mean_db = 10.0 * np.log10(values.mean())
    tell(f"{which}, flat scene: mean sigma0 less truth, dB", mean_db - LEVEL_DB, "0.05")
    assert mean_db == pytest.approx(LEVEL_DB, abs=PROMISED_DB)


@pytest.fixture(scope="module")
def astray(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The annotated orbit is 5 m off, the orbit file beside it is true."""
    folder = tmp_path_factory.mktemp("astray")
    return make_sentinel1(
        SceneSpec(
            folder, size_lines_samples=(400, 500), flat_height_m=HEIGHT_M, targets=8, orbit_file=True, orbit_error_m=5.0
        )
    )


def test_an_orbit_file_puts_targets_back(astray: Scene, tmp_path: Path) -> None:
    assert astray.orbit_path is not None
    (annotated,) = _targets(astray, 32633, 10.0, tmp_path / "annotated.tif")
    (true,) = _targets(astray, 32633, 10.0, tmp_path / "true.tif", astray.orbit_path.parent)
    tell("Orbit 5 m off: point targets, annotated orbit, median, px", float(np.median(annotated.distance_px)), "0.5")
    tell("Orbit 5 m off: point targets, orbit file, worst, px", true.worst_px, "0.1")
    assert true.worst_px < PROMISED_PX
    assert annotated.distance_px.min() > 3 * PROMISED_PX
    assert float(np.median(annotated.distance_px)) == pytest.approx(0.5, abs=0.1)
    source = {"kind": "precise", "file": astray.orbit_path.name}
    item = json.loads((tmp_path / "true.json").read_text())
    assert item["properties"]["orthoburst:orbit_source"] == source
    item = json.loads((tmp_path / "annotated.json").read_text())
    assert item["properties"]["orthoburst:orbit_source"] == {"kind": "annotation", "file": None}


def test_command_takes_orbits(astray: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert astray.orbit_path is not None
    folder = str(astray.orbit_path.parent)
    assert main(["info", str(astray.path), "--orbits", folder, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["orbit_source"] == {"kind": "precise", "file": astray.orbit_path.name}
    assert main(["info", str(astray.path), "--orbits", str(astray.orbit_path)]) == 0
    assert f"precise {astray.orbit_path.name}" in capsys.readouterr().out
    assert main(["info", str(astray.path), "--orbits", str(tmp_path)]) == 2
    assert "0 orbit files" in capsys.readouterr().err
    out = tmp_path / "out.tif"
    grid = ["--crs", "EPSG:32633", "--spacing", "20", "--bounds", "292000", "4652000", "293000", "4653000"]
    arguments = ["ortho", str(astray.path), "-o", str(out), *grid, "--height", str(HEIGHT_M), "--orbits", folder]
    assert main(arguments) == 0
    item = json.loads(out.with_suffix(".json").read_text())
    assert item["properties"]["orthoburst:orbit_source"]["kind"] == "precise"


@pytest.mark.parametrize("which", ["EW, Svalbard", "S1"])
def test_info_says_mode_and_platform(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, _, spacing_m = MODES[which]
    scene = make_sentinel1(replace(SceneSpec(tmp_path, size_lines_samples=(60, 80)), **make))  # type: ignore[arg-type]
    assert main(["info", str(scene.path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    mode: ModeName = make["mode"]  # type: ignore[assignment]
    assert (facts["mode"], facts["swath"]) == (mode, make.get("swath", mode))
    assert facts["platform"] == f"sentinel-1{str(make['platform'])[-1].lower()}"
    assert facts["bands"] == list(make["polarisations"])  # type: ignore[call-overload]
    assert facts["sample_spacing_m"] == spacing_m
