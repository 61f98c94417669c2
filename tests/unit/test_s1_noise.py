"""Noise vectors of both generations: what is parsed, what is refused, and what every sample gets."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.loop import SourceArrays, _fill_window
from orthokernel.product import open_product
from orthokernel.radiometry import noise_rows, sample_values
from orthokernel.sentinel1.noise import lut_factor, parse_noise
from orthokernel.source import NoiseRows
from realdata import real_data
from reference.noise import noise_of_file
from reference.s1_scene import Scene, members, small
from reference.warp import calibrated

RANGE = [(-20, [0, 30, 89], [900.0, 500.0, 800.0]), (60, [0, 45, 80], [700.0, 450.0, 600.0])]
BLOCKS = [("IW1", 0, 119, 0, 39, [10, 20, 100], [1.0, 1.2, 0.8]), ("IW2", 0, 99, 40, 70, [50], [1.5])]

AS_IS = np.ones(1, np.float32), np.zeros(1, np.float32)


def _words(values: list[float] | list[int]) -> str:
    return " ".join(map(repr, values))


def noise_xml(vectors: list, blocks: list | None) -> bytes:  # type: ignore[type-arg]
    """A noise file; ``blocks`` None: of the older generation."""
    name, lut, holder = (
        ("noiseVector", "noiseLut", "noiseVectorList")
        if blocks is None
        else ("noiseRangeVector", "noiseRangeLut", "noiseRangeVectorList")
    )
    text = "".join(
        f"<{name}><line>{line}</line><pixel>{_words(pixel)}</pixel><{lut}>{_words(values)}</{lut}></{name}>"
        for line, pixel, values in vectors
    )
    azimuth = "".join(
        f"<noiseAzimuthVector><swath>{swath}</swath><firstAzimuthLine>{l0}</firstAzimuthLine>"
        f"<firstRangeSample>{s0}</firstRangeSample><lastAzimuthLine>{l1}</lastAzimuthLine>"
        f"<lastRangeSample>{s1}</lastRangeSample><line>{_words(lines)}</line>"
        f"<noiseAzimuthLut>{_words(factor)}</noiseAzimuthLut></noiseAzimuthVector>"
        for swath, l0, l1, s0, s1, lines, factor in blocks or []
    )
    return (
        f"<noise><{holder}>{text}</{holder}><noiseAzimuthVectorList>{azimuth}</noiseAzimuthVectorList></noise>".encode()
    )


def test_both_generations_are_parsed() -> None:
    table = parse_noise(noise_xml(RANGE, BLOCKS), "new")
    assert table.lines.tolist() == [-20, 60]
    assert table.samples.tolist() == [0, 30, 45, 80, 89]
    assert table.range_power[1].tolist() == pytest.approx([700, 700 - 250 * 30 / 45, 450, 600, 600])
    assert [block.swath for block in table.azimuth] == ["IW1", "IW2"]
    assert table.azimuth[1].factor.tolist() == [1.5]
    old = parse_noise(noise_xml(RANGE, None), "old")
    np.testing.assert_array_equal(old.range_power, table.range_power)
    assert old.azimuth == ()
    assert not old.is_zero
    assert parse_noise(noise_xml([(0, [0, 9], [0.0, 0.0])], None), "zeros").is_zero


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"noiseRangeVector>", b"vector>", "no noise vectors"),
        (b"<line>60<", b"<line>-20<", "out of order"),
        (b"<pixel>0 30 89<", b"<pixel>0 30 30<", "out of order"),
        (b"<noiseRangeLut>900.0 ", b"<noiseRangeLut>", "one for each pixel"),
        (b"<noiseRangeLut>900.0 ", b"<noiseRangeLut>-1.0 ", "negative value of noiseRangeLut"),
        (b"<noiseRangeLut>900.0 ", b"<noiseRangeLut>nan ", "finite"),
        (b"<line>10 20 100<", b"<line>10 20<", "one for each line"),
        (b"<line>10 20 100<", b"<line>10 20 20<", "IW1 out of order"),
        (b"<noiseAzimuthLut>1.5<", b"<noiseAzimuthLut>-1.5<", "factor of IW2"),
        (b"<lastRangeSample>70<", b"<lastRangeSample>7<", "empty block"),
        (b"<firstRangeSample>40<", b"<firstRangeSample>39<", "overlap"),
        (b"<firstAzimuthLine>0<", b"<firstAzimuthLine>x<", "an integer"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(old: bytes, new: bytes, message: str) -> None:
    content = noise_xml(RANGE, BLOCKS)
    assert old in content
    with pytest.raises(AnnotationError, match=message) as failure:
        parse_noise(content.replace(old, new), "noise-x.xml")
    assert "noise-x.xml" in str(failure.value)


def test_old_vectors_lack_a_factor_before_2_50() -> None:
    """MPC-0243."""
    assert lut_factor("002.50", "IW", 400.0) == 1.0
    assert lut_factor("003.71", "S3", 400.0) == 1.0
    assert lut_factor(None, "IW", 400.0) == 1.0
    assert lut_factor("002.43", "IW", 400.0) == pytest.approx(75088.7 * 400.0**2)
    assert lut_factor("002.34", "EW", 900.0) == pytest.approx(56065.87 * 900.0**2)
    assert lut_factor("002.33", "EW", 900.0) == pytest.approx(56065.87 * 900.0)
    assert lut_factor("002.36", "S3", 400.0) is None


def _filled(pixels: NDArray[np.uint16], lines, table, rows, line0=-2, sample0=-3) -> NDArray[np.float32]:  # type: ignore[no-untyped-def]
    """The window around the whole image, by the compiled loop."""
    n_lines, n_samples = pixels.shape
    source = SourceArrays(
        pixels[None], 0, n_lines, 0, n_lines, n_samples, np.zeros((1, n_lines), np.int32),
        np.full((1, n_lines), n_samples - 1, np.int32), float("nan"), *AS_IS, lines, table.astype(np.float32)[None],
        rows.line, rows.power[None], rows.block[None], rows.factor[None], np.empty((0, 0), np.float32),
    )  # fmt: skip
    shape = (n_lines - 2 * line0, n_samples - 2 * sample0)
    window = np.empty(shape[0] * shape[1], np.float32)
    _fill_window(source, 0, line0, sample0, *shape, window)
    return window.reshape(shape)


@st.composite
def noise_files(draw: st.DrawFn) -> bytes:
    """Random vectors over an image of 24 x 40: lines beyond it, pixel lists that differ, blocks side by side."""
    lines = draw(st.lists(st.integers(-30, 60), min_size=1, max_size=5, unique=True).map(sorted))
    power = st.floats(0, 5e4, allow_subnormal=False)
    vectors = []
    for line in lines:
        pixel = draw(st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True).map(sorted))
        vectors.append((line, pixel, [draw(power) for _ in pixel]))
    if draw(st.booleans()):
        return noise_xml(vectors, None)
    edges = draw(st.lists(st.integers(0, 40), max_size=6, unique=True).map(sorted))
    blocks = []
    for k, (left, right) in enumerate(itertools.pairwise(edges)):
        first = draw(st.integers(0, 23))
        last = draw(st.integers(first, 40))  # may end behind the image
        nodes = draw(st.lists(st.integers(-5, 45), min_size=1, max_size=6, unique=True).map(sorted))
        factor = [draw(st.floats(0.25, 4)) for _ in nodes]
        if draw(st.integers(0, 4)):  # else a gap: the factor is 1 there
            blocks.append((f"IW{k}", first, last, left, right - 1, nodes, factor))
    return noise_xml(vectors, blocks)


@given(content=noise_files(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_the_filled_window_equals_its_twin(content: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 400, (24, 40)).astype(np.uint16)
    lines = np.sort(rng.choice(np.arange(-20, 60), 3, replace=False)).astype(np.float64)
    table = rng.uniform(200, 500, (3, 40))
    rows = noise_rows(parse_noise(content, "random"), *pixels.shape)
    window = _filled(pixels, lines, table, rows)
    noise = np.array([noise_of_file(content, line, np.arange(40.0)) for line in range(24)])
    expected = calibrated(pixels, lines, table, noise)
    assert np.isnan(window[:2]).all()
    assert np.isnan(window[:, :3]).all()
    assert np.isnan(window[-2:]).all()
    scale = (400.0**2 + noise.max()) / table.min() ** 2
    np.testing.assert_allclose(window[2:-2, 3:-3], expected, atol=1e-6 * scale, rtol=2e-6)


@given(seed=st.integers(0, 2**32 - 1), n_vectors=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_calibration_alone_equals_its_twin(seed: int, n_vectors: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 65536, (17, 33)).astype(np.uint16)
    pixels[:, 0] = pixels[:, -1] = 1
    lines = np.sort(rng.choice(np.arange(-20, 40), n_vectors, replace=False)).astype(np.float64)
    table = rng.uniform(100, 900, (n_vectors, 33)).astype(np.float32)
    window = _filled(pixels, lines, table, NoiseRows.none(*pixels.shape))
    np.testing.assert_allclose(window[2:-2, 3:-3], calibrated(pixels, lines, table.astype(np.float64)), rtol=2e-6)


def _zip_with(folder: Path, scene: Scene, noise: bytes | None, version: bytes, removed: bool = False) -> Path:
    content = members(scene)
    content["manifest.safe"] = content["manifest.safe"].replace(b"003.71", version)
    for index in range(len(scene.polarisations)):
        if noise is not None:
            content[f"annotation/calibration/noise-{scene.stem(index)}.xml"] = noise
        if removed:
            name = f"annotation/{scene.stem(index)}.xml"
            flag = (
                b"<imageAnnotation><processingInformation><thermalNoiseCorrectionPerformed>true"
                b"</thermalNoiseCorrectionPerformed></processingInformation>"
            )
            content[name] = content[name].replace(b"<imageAnnotation>", flag)
    path = folder / f"{scene.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(f"{scene.name}.SAFE/{member}", data)
    return path


ZEROS = noise_xml([(0, [0, 89], [0.0, 0.0])], None)


@pytest.mark.parametrize(
    ("noise", "version", "mode", "removed", "why_not"),
    [
        (noise_xml(RANGE, BLOCKS), b"003.71", "IW", False, ""),
        (None, b"003.71", "IW", False, "no noise vectors"),
        (ZEROS, b"002.84", "IW", False, "zero"),
        (noise_xml(RANGE, None), b"002.36", "S3", False, "scaling of SM"),
        (noise_xml(RANGE, BLOCKS), b"003.71", "IW", True, "comes without its noise"),
    ],
)
def test_a_product_says_why_nothing_is_subtracted(
    noise: bytes | None, version: bytes, mode: str, removed: bool, why_not: str, tmp_path: Path
) -> None:
    with open_product(_zip_with(tmp_path, small(mode=mode), noise, version, removed)) as product:
        found = product.noise("vh")
        assert found is not None
        assert (found.table is None) == bool(why_not)
        assert why_not in found.why_not
        with product.open_band("vh") as reader:
            values = sample_values(product, "vh", reader, "sigma0")
            kept = sample_values(product, "vh", reader, "sigma0", noise_removal=False)
        assert values.noise_kept == found.why_not
        assert len(values.noise.line) == (0 if why_not else 2)
        assert (kept.noise_kept, len(kept.noise.line)) == ("not asked for", 0)
        assert (values.border_level is not None) == (version < b"002.90") == product.has_border_noise


def test_old_vectors_are_scaled_on_reading(tmp_path: Path) -> None:
    with open_product(_zip_with(tmp_path, small(), noise_xml(RANGE, None), b"002.43")) as product:
        found, calibration = product.noise("vv"), product.calibration("vv")
    assert found is not None
    assert found.table is not None
    assert calibration is not None
    assert found.table.range_power[0, 0] == pytest.approx(900.0 * 75088.7 * calibration.dn[0, 0] ** 2)


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "name", "member", "n_range"),
    [
        ("rome", "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE", "", 27),
        ("quicklook", "", "noise-s1a-iw-grd-vh", 27),
        ("quicklook", "", "noise-s1a-iw-grd-vv", 27),
    ],
)
def test_real_files_equal_an_independent_evaluation(folder: str, name: str, member: str, n_range: int) -> None:
    path = real_data("sentinel1", folder)
    path = path / name if name else next(path.glob("*.zip"))
    if name:
        content = next((path / "annotation/calibration").glob("noise-*-vv-*.xml")).read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(next(entry for entry in archive.namelist() if member in entry))
    with open_product(path) as product:
        model = product.sensor_model("vv")
        found = product.noise(member[-2:] or "vv")
    assert found is not None
    assert found.table is not None
    table = found.table
    assert (table.lines.size, len(table.azimuth)) == (n_range, 3)
    rng = np.random.default_rng(1)
    n_samples = model.n_samples
    rows = noise_rows(table, model.n_lines, n_samples)
    lines = [0, 1, 158, 159, 668, model.n_lines - 2, model.n_lines - 1, *rng.integers(0, model.n_lines, 12).tolist()]
    edges = [s + d for block in table.azimuth for s in (block.first_sample, block.last_sample) for d in (-1, 0, 1)]
    samples = np.unique(np.clip([*edges, *rng.integers(0, n_samples, 500)], 0, n_samples - 1))
    # Pixels of 1 under A = 1: what the loop's window says is 1 less the noise.
    one = np.ones((len(lines), n_samples), np.uint16)
    for k, line in enumerate(lines):
        source = SourceArrays(
            one[None, k : k + 1], line, line + 1, 0, model.n_lines, n_samples, np.zeros((1, 1), np.int32),
            np.full((1, 1), n_samples - 1, np.int32), float("nan"), *AS_IS, np.zeros(1),
            np.ones((1, 1, n_samples), np.float32), rows.line, rows.power[None], rows.block[None], rows.factor[None],
            np.empty((0, 0), np.float32),
        )  # fmt: skip
        window = np.empty(n_samples, np.float32)
        _fill_window(source, 0, line, 0, 1, n_samples, window)
        expected = noise_of_file(content, line, samples.astype(np.float64))
        assert np.median(expected) > 50.0  # the last of a range vector are 0 in all of these files
        np.testing.assert_allclose(1.0 - window[samples], expected, rtol=1e-5)
