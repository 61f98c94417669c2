"""The benches measure what they say: their inputs, their sides, their words. Their figures are never tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from localdev.bench import __main__ as bench
from localdev.bench import _ours_side, _peers, tile
from localdev.bench._agree import require_same_place, shift_px
from localdev.bench._frame import TILE, FrameInput, make_frame, write_dem_tiles
from localdev.bench._sides import Side, SideError, run_process, take_turns, together
from localdev.bench.case import Case, Runs, not_measured, timed_in_turn
from localdev.scene import SceneSpec, make_sentinel1
from orthokernel import Grid, Terrain, open_product
from orthokernel.sentinel1.raster import RowReader

SHAPE = (1700, 900)
"""More lines than a patch of speckle."""


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> FrameInput:
    return make_frame(tmp_path_factory.mktemp("frame"), ("vv", "vh"), SHAPE, dem_px=300)


BENCHES = [
    "campaign",
    "catalogue",
    "chaos",
    "day",
    "dispatch",
    "kernel",
    "latency",
    "load",
    "loss",
    "package",
    "policy",
    "presence",
    "recovery",
    "swath",
    "tile",
]


def test_json_of_a_case_has_the_promised_keys_and_no_others() -> None:
    whole = Case("a", 2.0, "s", "p", 0.5, "no slower", True, peak_mb=10.0, runs="1 to 3").as_json()
    assert whole == {
        "case": "a", "figure": 2.0, "unit": "s", "peer": "p", "ratio": 0.5, "at_least": "no slower", "holds": True,
        "peak_mb": 10.0,
    }  # fmt: skip
    missing = not_measured("a", "s", "p", "5x faster", "p is not installed: get p").as_json()
    assert missing == {
        "case": "a", "figure": None, "unit": "s", "peer": "p", "ratio": None, "at_least": "5x faster", "holds": None,
        "reason": "p is not installed: get p",
    }  # fmt: skip


def test_a_bench_prints_its_table_its_json_and_whether_all_holds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.names() == BENCHES
    good = Case("good", 2.0, "s", "a peer", 0.5, "no slower", True, peak_mb=640.0, runs="1 to 3")
    bad = Case("bad", 2.0, "s", "a peer", 1.5, "no slower", False)
    unknown = not_measured("unknown", "s", "another", "5x", "not installed: how to get it")
    for cases, code in (([good, unknown], 0), ([good, bad], 1)):
        monkeypatch.setattr(tile, "cases", lambda _, cases=cases: cases)
        assert bench.main(["tile", "--json"]) == code
        said = capsys.readouterr().out
        assert json.loads(said.splitlines()[-1]) == [case.as_json() for case in cases]
        assert "1 to 3" in said
        assert "640" in said
    assert bench.main([]) == 0
    assert capsys.readouterr().out.split() == BENCHES


def test_a_peer_that_is_not_there_is_said_to_be_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frame: FrameInput
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(_peers.SARSEN_VARIABLE, str(tmp_path / "python"))
    assert _peers.find_otb() is None
    assert _peers.find_sarsen() is None
    found = [*tile.versus_otb(frame, tmp_path), *tile.versus_sarsen(frame, tmp_path)]
    assert [case.case for case in found] == [
        "tile vs OTB", "tile vs OTB, per-pixel grid", "terrain correction vs sarsen", "flattening vs sarsen",
    ]  # fmt: skip
    assert all(case.holds is None and case.figure is None and case.ratio is None for case in found)
    assert all("apt-get install otb-bin" in str(case.reason) for case in found[:2])
    assert all("pip install sarsen" in str(case.reason) for case in found[2:])


def test_an_interpreter_without_sarsen_is_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_peers.SARSEN_VARIABLE, sys.executable)
    monkeypatch.setenv("PYTHONPATH", "")
    assert _peers.find_sarsen() is None


def test_every_sample_of_a_frame_is_speckle_in_strips_that_follow_each_other(frame: FrameInput) -> None:
    with open_product(frame.safe) as product:
        assert product.bands == ("vv", "vh")
        images = []
        for band in product.bands:
            with product.open_band(band) as reader:
                assert isinstance(reader, RowReader)  # only files laid out as ESA's are read by it
                images.append(reader.read(0, SHAPE[0], 0, SHAPE[1]))
    for image in images:
        assert image.shape == SHAPE
        assert image.min() > 0
        power = image.astype(np.float64) ** 2
        # 4.4 looks: mean² over variance, of which a frame this size knows the third digit
        assert power.mean() ** 2 / power.var() == pytest.approx(4.4, rel=0.03)
        assert power.mean() == pytest.approx(200.0**2, rel=0.01)
    assert abs(np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1]) < 0.01


def test_tie_points_survive_the_filling(frame: FrameInput) -> None:
    with rasterio.open(tile.measurement_of(frame)) as measurement:
        points, crs = measurement.gcps
        assert measurement.block_shapes == [(1, SHAPE[1])]
        assert measurement.compression is None
        assert measurement.tags()["TIFFTAG_IMAGEDESCRIPTION"].startswith("Sentinel-1A")
    assert crs.to_epsg() == 4326
    with open_product(frame.safe) as product:
        line, sample = product.sensor_model("vv").ground_to_smooth(*np.array([(p.x, p.y, p.z) for p in points]).T)
    assert np.nanmax(np.abs(line - [p.row for p in points])) < 0.5
    assert np.nanmax(np.abs(sample - [p.col for p in points])) < 5.0


def test_mountains_lie_under_all_of_the_tile_and_meet_at_the_seams(frame: FrameInput, tmp_path: Path) -> None:
    grid = Grid.mgrs(TILE, 600.0)
    heights, flags = Terrain(frame.dem, None).heights(
        *grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    )
    assert not flags.any()
    assert np.ptp(heights) > 1000.0
    west, east = write_dem_tiles(tmp_path, (11.5, 42.1, 12.5, 42.9), 2500.0, 300)
    assert west.name == "Copernicus_DSM_COG_10_N42_00_E011_00_DEM.tif"
    with rasterio.open(west) as left, rasterio.open(east) as right:
        assert left.crs.to_epsg() == 4326
        assert (left.profile["tiled"], left.compression.value) == (True, "DEFLATE")
        assert left.bounds.right == pytest.approx(right.bounds.left)
        steps = np.abs(np.diff(left.read(1), axis=1))
        seam = np.abs(right.read(1, window=Window(0, 0, 1, 300)) - left.read(1, window=Window(299, 0, 1, 300)))
    assert seam.max() <= steps.max()


def test_a_folder_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localdev.bench._frame.shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**30})())
    with pytest.raises(OSError, match=r"1\.0 GiB free"):
        make_frame(tmp_path)


def test_source_window_is_what_the_tile_asks_for_at_any_height(tmp_path: Path) -> None:
    grid = Grid.mgrs(TILE, 10.0)
    lon, lat = (float(part) for part in grid.lonlat(grid.n_rows / 2, grid.n_cols / 2))
    whole, sparse = (16705, 26102), (8000, 13000, 16, 16)
    spec = SceneSpec(tmp_path, centre_lonlat_deg=(lon, lat), size_lines_samples=whole, window=sparse)
    frame = FrameInput(make_sentinel1(spec).path, tmp_path)
    line_start, line_stop, sample_start, sample_stop = tile.source_window(frame)
    with open_product(frame.safe) as product:
        model = product.sensor_model("vv")
    rng = np.random.default_rng(4)
    last = grid.n_rows - 1
    along, across = rng.uniform(0, last, 8000), rng.choice([0, last], 8000)
    row, col = np.where(rng.random(8000) < 0.5, [along, across], [across, along])
    line, sample = model.ground_to_image(*grid.lonlat(row, col), rng.choice([0.0, 2500.0], row.size))
    assert np.isfinite(line).all()
    assert line_start <= line.min() < line_start + 60
    assert line_stop - 60 < line.max() <= line_stop - 1
    assert sample_start <= sample.min() < sample_start + 60
    assert sample_stop - 60 < sample.max() <= sample_stop - 1


def test_our_side_does_what_it_is_asked_and_copies_are_of_the_same_pixels(frame: FrameInput, tmp_path: Path) -> None:
    grid = Grid.mgrs(TILE, 10.0)
    row, col = (grid.n_rows - 600) // 2, (grid.n_cols - 600) // 2
    out, copy = tmp_path / "ours.tif", tmp_path / "copy.tif"
    request = _ours_side.request(frame.safe, frame.dem, out, (row, row + 600, col, col + 600), TILE, bands=["vv"])
    with Side(tile.OURS) as ours, Side(tile.COPYING) as copying:
        facts = ours.run(request, counted=False)
        assert facts["valid_fraction"] > 0.2
        asked = tile._copy_request(frame, out, copy)
        copied = take_turns([(ours, request), (copying, asked)], 1)[1]
        runs, their_runs = ours.runs(), copying.runs()
    assert len(runs.seconds) == len(their_runs.seconds) == 1
    assert min(runs.seconds[0], their_runs.seconds[0]) > 0.0
    assert min(runs.peak_mb or 0.0, their_runs.peak_mb or 0.0) > 50.0
    with rasterio.open(out) as first, rasterio.open(copy) as second:
        assert {**first.profile, "nodata": None} == {**second.profile, "nodata": None}
        assert np.isnan([first.nodata, second.nodata]).all()
        assert first.overviews(1) == second.overviews(1)
        assert first.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == second.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR")
        np.testing.assert_array_equal(first.read(), second.read())
    assert copied["bytes"] == copy.stat().st_size
    assert set(copied) == {"fill_s", "read_s", "overviews_s", "cog_s", "how_read", "bytes"}


def test_the_dem_for_sarsen_is_on_the_grid(frame: FrameInput, tmp_path: Path) -> None:
    window = tile.write_utm_dem(frame.dem, tmp_path / "dem.tif", 300)
    grid = Grid.mgrs(TILE, 10.0).window(*window)
    assert grid.shape == (300, 300)
    with rasterio.open(tmp_path / "dem.tif") as dem:
        assert (dem.crs.to_epsg(), dem.transform) == (32633, grid.transform)
        heights = dem.read(1)
    expected, _ = Terrain(frame.dem, None).heights(*grid.lonlat(299, 7))
    assert heights[299, 7] == pytest.approx(float(expected), abs=1e-3)
    assert np.ptp(heights) > 10.0


def test_a_side_that_fails_says_why(frame: FrameInput, tmp_path: Path) -> None:
    request = _ours_side.request(frame.safe, tmp_path / "nowhere", tmp_path / "x.tif", (0, 64, 0, 64), TILE)
    with Side(tile.OURS) as side, pytest.raises(SideError, match="no such file or folder"):
        side.run(request)
    with pytest.raises(SideError, match="ended with 3: so it goes"):
        run_process([sys.executable, "-c", "import sys; print('so it goes'); sys.exit(3)"])


def test_peak_memory_is_the_process_s_own() -> None:
    held = np.ones(400 * 2**17)  # what a bench has in memory is not counted as its sides'
    small = run_process([sys.executable, "-c", "pass"])
    large = run_process([sys.executable, "-c", "x = bytearray(200 * 2**20)"])
    assert small.peak_mb is not None
    assert large.peak_mb is not None
    assert small.peak_mb < 100.0 < held.nbytes / 2**20
    assert 150.0 < large.peak_mb - small.peak_mb < 250.0
    assert together([small, large]).peak_mb == large.peak_mb


def test_runs_tell_their_median_their_spread_and_their_memory() -> None:
    assert str(Runs((3.0, 1.0, 2.0), 640.4, 5.5)) == "2 s (1 to 3), 5.5 s of processor, 640 MB"
    assert Runs((3.0, 1.0), None, 5.5).spread == "1 to 3, processor 5.5"
    assert Runs((3.0, 1.0), None, 5.5, 2.25).spread == "1 to 3, processor 5.5 (2.2 of that the system's)"
    calls: list[str] = []
    first, second = timed_in_turn(lambda: calls.append("a"), lambda: calls.append("b"), times=2)
    assert calls == ["a", "b"] * 3
    assert len(first.seconds) == len(second.seconds) == 2


def test_a_whole_from_parts_leaves_out_what_a_start_costs() -> None:
    # 0.5 s to start and 2 s a million pixels
    assert tile.whole_from_parts((1000, 2000), [2.5, 8.5], 100_000_000) == pytest.approx(200.5)


def test_images_that_differ_in_place_or_in_all_are_no_peers() -> None:
    rng = np.random.default_rng(5)
    image = rng.gamma(4.4, 1.0, (128, 160)).astype(np.float32)
    image[:3] = np.nan
    theirs = 400.0 * np.roll(image, (3, -5), axis=(0, 1))
    assert shift_px(image, theirs)[:2] == (3.0, -5.0)
    require_same_place(image, np.roll(image, 1, axis=1), "a peer")
    with pytest.raises(AssertionError, match="a peer's image lies 3 rows, -5 columns from ours"):
        require_same_place(image, theirs, "a peer")
    with pytest.raises(AssertionError, match=r"correlation 0\.00"):
        require_same_place(image, np.zeros_like(image), "a peer")
    with pytest.raises(AssertionError, match="is not ours"):
        require_same_place(image, rng.gamma(4.4, 1.0, (128, 160)), "a peer")
