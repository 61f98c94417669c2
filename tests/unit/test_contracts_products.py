"""Product names, uploads and manifests."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from orthocontracts.manifests import ManifestError, parse_safe_manifest
from orthocontracts.products import ProductNameError, parse_sentinel1, product_of_upload
from realdata import real_data

ROME = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371"


def test_a_sentinel1_name_in_its_parts() -> None:
    name = parse_sentinel1(f"products/{ROME}.SAFE")
    assert (name.stem, name.platform, name.mode, name.product_type) == (ROME, "S1B", "IW", "GRDH")
    assert name.polarisations == ("vv", "vh")
    assert name.start == datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)
    assert name.pass_key == "S1B-030148-039993"


@pytest.mark.parametrize(
    ("name", "mode", "product_type", "polarisations"),
    [
        ("S1A_EW_GRDM_1SDH_20240310T051122_20240310T051223_052915_576ABC_E092.SAFE", "EW", "GRDM", ("hh", "hv")),
        ("S1D_S3_GRDH_1SDV_20260417T150322_20260417T150347_002389_00AB12_B9AD.zip", "S3", "GRDH", ("vv", "vh")),
        ("S1C_S6_GRDF_1SSH_20250310T051122_20250310T051147_001389_00AB12_B9AD.SAFE", "S6", "GRDF", ("hh",)),
    ],
)
def test_every_mode_and_platform_has_names(
    name: str, mode: str, product_type: str, polarisations: tuple[str, ...]
) -> None:
    parts = parse_sentinel1(f"products/{name}")
    assert (parts.mode, parts.product_type, parts.polarisations) == (mode, product_type, polarisations)
    assert parts.platform == name[:3]


def test_slices_of_one_datatake_share_a_pass_and_others_do_not() -> None:
    next_slice = ROME.replace("051122", "051147").replace("5371", "0A0A")
    other_datatake = ROME.replace("039993", "039994")
    assert parse_sentinel1(next_slice).pass_key == parse_sentinel1(ROME).pass_key
    assert parse_sentinel1(other_datatake).pass_key != parse_sentinel1(ROME).pass_key


@pytest.mark.parametrize("name", ["", "S2A_MSIL1C_2020.SAFE", ROME[:-30], "S1E_" + ROME[4:], ROME.replace("IW", "WV")])
def test_another_name_is_refused_by_name(name: str) -> None:
    with pytest.raises(ProductNameError, match="not a product name"):
        parse_sentinel1(name)


@pytest.mark.parametrize(
    ("blob", "product"),
    [
        (f"{ROME}.SAFE/manifest.safe", f"products/{ROME}.SAFE"),
        (f"in/{ROME}.SAFE/manifest.safe", f"products/in/{ROME}.SAFE"),
        (f"{ROME}.SAFE/measurement/x.tiff", None),
        (f"{ROME}.SAFE/annotation/manifest.safe", None),
        (f"{ROME}.zip", f"products/{ROME}.zip"),
        ("scene.TIF", "products/scene.TIF"),
        ("scene_RPC.TXT", None),
    ],
)
def test_an_upload_completes_a_product_or_does_not(blob: str, product: str | None) -> None:
    assert product_of_upload(blob) == product


def test_a_real_manifest() -> None:
    path = real_data("sentinel1", "rome", f"{ROME}.SAFE", "manifest.safe")
    manifest = parse_safe_manifest(fromstring(path.read_bytes()), path.name)
    assert manifest.start == datetime(2021, 12, 23, 5, 11, 22, 594441, tzinfo=UTC)
    assert manifest.polarisations == ("vv", "vh")
    assert len(manifest.footprint_lonlat) == 4
    assert all(9 < lon < 16 and 40 < lat < 44 for lon, lat in manifest.footprint_lonlat)
    measurement = [file for file in manifest.files if file.path.startswith("measurement/") and "-vv-" in file.path]
    assert len(measurement) == 1
    assert len(measurement[0].checksum) == 32


@pytest.mark.parametrize(
    ("xml", "missing"),
    [
        ("<x/>", "startTime"),
        ("<x><startTime>soon</startTime></x>", "startTime"),
        ("<x><startTime>2021-01-01T00:00:00</startTime><stopTime>2021-01-01T00:00:01</stopTime></x>", "footprint"),
        (
            "<x><startTime>2021-01-01T00:00:00</startTime><stopTime>2021-01-01T00:00:01</stopTime>"
            "<coordinates>1,2 3,4 5,400</coordinates></x>",
            "footprint",
        ),
        (
            "<x><startTime>2021-01-01T00:00:00</startTime><stopTime>2021-01-01T00:00:01</stopTime>"
            "<coordinates>1,2 3,4 5,6</coordinates></x>",
            "list of files",
        ),
    ],
)
def test_a_manifest_without_what_a_plan_needs_says_what(xml: str, missing: str) -> None:
    with pytest.raises(ManifestError, match=missing):
        parse_safe_manifest(fromstring(xml), "bad.SAFE")
