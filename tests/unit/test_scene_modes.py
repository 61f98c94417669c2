"""Simulated products of every mode and platform: names, headers, manifests, sub-swaths, orbit files."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.identity import Identity
from localdev.scene.modes import ModeName, mode_of
from orthocontracts.manifests import parse_safe_manifest
from orthocontracts.products import parse_sentinel1
from orthokernel import open_product

SIZE = (40, 50)
LEVEL1 = "{http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1}"


def _annotation(scene: Scene) -> ElementTree.Element:
    return parse(next((scene.path / "annotation").glob("*.xml")))


@pytest.mark.parametrize(
    ("mode", "swath", "resolution", "polarisations", "start_of_name", "stem", "subswaths", "version"),
    [
        ("IW", None, None, ("vv", "vh"), "S1D_IW_GRDH_1SDV_", "s1d-iw-grd-vh-", ["IW1", "IW2", "IW3"], "iwdp"),
        (
            "EW",
            None,
            None,
            ("hh", "hv"),
            "S1D_EW_GRDM_1SDH_",
            "s1d-ew-grd-hv-",
            [f"EW{k}" for k in range(1, 6)],
            "ewdp",
        ),
        ("EW", None, "H", ("hh",), "S1D_EW_GRDH_1SSH_", "s1d-ew-grd-hh-", [f"EW{k}" for k in range(1, 6)], "ewsp"),
        ("SM", "S3", None, ("vv", "vh"), "S1D_S3_GRDH_1SDV_", "s1d-s3-grd-vv-", ["S3"], "smdp"),
        ("SM", "S6", "F", ("vv",), "S1D_S6_GRDF_1SSV_", "s1d-s6-grd-vv-", ["S6"], "smsp"),
    ],
)
def test_names_and_files_of_a_mode(
    tmp_path: Path,
    mode: ModeName,
    swath: str | None,
    resolution: None,
    polarisations: tuple[str, ...],
    start_of_name: str,
    stem: str,
    subswaths: list[str],
    version: str,
) -> None:
    scene = make_sentinel1(
        SceneSpec(
            tmp_path,
            size_lines_samples=SIZE,
            mode=mode,
            swath=swath,
            resolution=resolution,
            platform="S1D",
            start=datetime(2026, 4, 17, 15, 3),
            polarisations=polarisations,
        )
    )
    assert scene.path.name.startswith(start_of_name)
    name = parse_sentinel1(scene.path.name)  # what the planner reads
    assert name.polarisations == polarisations
    assert list((scene.path / "annotation").glob(f"{stem}*.xml"))
    with open_product(scene.path) as product:
        looks = product.properties()["looks"]
    assert list(looks) == subswaths
    expected = mode_of(mode, swath, resolution).looks
    assert {(n["range"], n["azimuth"]) for n in looks.values()} == {expected}
    assert list((scene.path / "measurement").glob(f"{stem}*.tiff"))
    manifest = ElementTree.parse(scene.path / "manifest.safe").getroot()
    assert parse_safe_manifest(manifest, scene.path.name).polarisations == polarisations
    assert manifest.get("version", "").endswith(f"/{version}")
    wanted = {"mode": mode, "swath": swath or mode}
    assert {tag: manifest.findtext(f".//{LEVEL1}{tag}") for tag in wanted} == wanted
    noise = parse(next((scene.path / "annotation/calibration").glob("noise-*")))
    blocks = noise.findall("noiseAzimuthVectorList/noiseAzimuthVector")
    assert [block.findtext("swath") for block in blocks] == subswaths
    edges = [
        (int(block.findtext("firstRangeSample", "")), int(block.findtext("lastRangeSample", ""))) for block in blocks
    ]
    assert edges[0][0] == 0
    assert edges[-1][1] == SIZE[1] - 1
    assert all(before[1] + 1 == after[0] for before, after in pairwise(edges))
    merged = _annotation(scene).findall("swathMerging/swathMergeList/swathMerge/swath")
    assert [element.text for element in merged] == (subswaths if len(subswaths) > 1 else [])
    with open_product(scene.path) as product:
        facts = product.properties()
        assert product.bands == polarisations
        spacing_m = mode_of(mode, swath, resolution).spacing_m
        assert (facts["platform"], facts["mode"], facts["swath"]) == ("sentinel-1d", mode, swath or mode)
        assert (facts["sample_spacing_m"], facts["line_spacing_m"]) == (spacing_m, spacing_m)
        assert facts["resolution_class"] == {"F": "full", "H": "high", "M": "medium"}[name.product_type[-1]]
        assert facts["orbit_source"] == {"kind": "annotation", "file": None}


@pytest.mark.parametrize(
    ("platform", "start", "relative_orbit"),
    [
        ("S1A", datetime(2021, 1, 19, 3, 16, 53), 79),
        ("S1B", datetime(2021, 12, 23, 5, 11, 22), 22),
        ("S1C", datetime(2026, 6, 7, 12, 0), None),
        ("S1D", datetime(2026, 4, 17, 16, 50), 73),
    ],
)
def test_relative_orbits_of_the_platforms(platform: str, start: datetime, relative_orbit: int | None) -> None:
    """Real ones: 36201 of S1A is track 79, 30148 of S1B track 22, 2389 of S1D track 73 (an s1-reader pull request)."""
    identity = Identity(platform, start, start, ("vv",), False, start, mode_of("IW", None, None))
    if relative_orbit is not None:
        assert abs(identity.relative_orbit - relative_orbit) <= (1 if platform == "S1D" else 0)
    else:  # moved in June 2026
        offsets = [(identity.orbit - offset) % 175 + 1 for offset in (172, 99)]
        later = Identity(platform, datetime(2026, 7, 1), start, ("vv",), False, start, mode_of("IW", None, None))
        assert identity.relative_orbit == offsets[0]
        assert later.relative_orbit == (later.orbit - 99) % 175 + 1


def test_the_orbit_file_is_as_large_as_a_real_one_and_true(tmp_path: Path) -> None:
    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=SIZE, orbit_file=True, orbit_error_m=5.0))
    assert scene.orbit_path is not None
    assert scene.orbit_path.name.startswith("S1A_OPER_AUX_POEORB_OPOD_")
    assert scene.orbit_path.name.endswith("_V20240309T225942_20240311T005942.EOF")
    assert 3_500_000 < scene.orbit_path.stat().st_size < 5_500_000
    root = parse(scene.orbit_path)
    vectors = root.findall("Data_Block/List_of_OSVs/OSV")
    assert len(vectors) == int(root.find("Data_Block/List_of_OSVs").get("count")) == 9361  # type: ignore[union-attr, arg-type]
    geometry = read_geometry(_annotation(scene))
    utc = [datetime.fromisoformat(vector.findtext("UTC", "")[4:]) for vector in vectors]
    since = np.array([(moment - geometry.epoch).total_seconds() for moment in utc])
    near = np.flatnonzero(np.abs(since) < 25.0)
    true = np.array([[float(vectors[k].findtext(axis, "")) for axis in "XYZ"] for k in near])
    annotated, velocity = geometry.arc.position(since[near]), geometry.arc.velocity(since[near])
    wrong = annotated - true
    np.testing.assert_allclose(np.linalg.norm(wrong, axis=1), 5.0, atol=1e-3)
    along = np.sum(wrong * velocity, axis=1) / np.linalg.norm(velocity, axis=1)
    np.testing.assert_allclose(along, 3.0, atol=1e-3)
    right = np.sum(wrong * np.cross(-true, velocity), axis=1)
    assert (right > 0).all()


def test_a_real_frame_has_no_true_orbit_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="made from nothing"):
        make_sentinel1(SceneSpec(tmp_path, annotation_safe=tmp_path, orbit_file=True))
