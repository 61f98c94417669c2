"""Names, uploads and manifests of Sentinel-2 and Sentinel-3."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from fakes.products import OLCI, S2_TILE, SLSTR, manifest_of
from orthocontracts.manifests import ManifestError, parse_sentinel2_manifest, parse_sentinel3_manifest
from orthocontracts.products import (
    ProductNameError,
    UnsupportedNameError,
    mission_of,
    parse_product,
    parse_sentinel2,
    parse_sentinel3,
    product_of_upload,
)
from realdata import real_data

OLD_L1B = "S2A_OPER_PRD_MSIL1B_PDMC_20160813T202456_R142_V20150813T105406_20150813T105500"


def test_a_sentinel2_name_in_its_parts() -> None:
    name = parse_sentinel2(f"products/in/{S2_TILE}.SAFE")
    assert (name.stem, name.platform, name.level, name.tile) == (S2_TILE, "S2B", "L1C", "30UVU")
    assert (name.baseline, name.relative_orbit) == ("05.09", 137)
    assert name.start == datetime(2023, 6, 5, 11, 6, 19, tzinfo=UTC)
    assert name.created == datetime(2023, 6, 5, 13, 11, 50, tzinfo=UTC)


def test_tiles_of_one_datatake_share_a_pass_where_level_and_baseline_are_the_same() -> None:
    key = parse_sentinel2(S2_TILE).pass_key
    assert parse_sentinel2(S2_TILE.replace("30UVU", "30UWU").replace("131150", "140000")).pass_key == key
    others = [("L1C", "L2A"), ("N0509", "N0510"), ("110619", "110620"), ("S2B", "S2C"), ("R137", "R138")]
    assert len({key, *(parse_sentinel2(S2_TILE.replace(*change)).pass_key for change in others)}) == 6


@pytest.mark.parametrize(
    ("name", "level", "start", "baseline"),
    [
        (
            "S2A_MSIL1B_20200816T120220_N0500_R123_20200816T130000.SAFE",
            "L1B",
            datetime(2020, 8, 16, 12, 2, 20, tzinfo=UTC),
            "05.00",
        ),
        (f"{OLD_L1B}.SAFE", "L1B", datetime(2015, 8, 13, 10, 54, 6, tzinfo=UTC), None),
        (f"{S2_TILE.replace('L1C', 'L2A')}.zip", "L2A", datetime(2023, 6, 5, 11, 6, 19, tzinfo=UTC), "05.09"),
    ],
)
def test_every_level_has_names(name: str, level: str, start: datetime, baseline: str | None) -> None:
    found = parse_sentinel2(name)
    assert (found.level, found.start, found.baseline) == (level, start, baseline)
    assert (found.tile is None) == (level == "L1B")


def test_a_sentinel3_name_in_its_parts() -> None:
    name = parse_sentinel3(f"products/{OLCI}.SEN3.zip")
    assert (name.stem, name.platform, name.product_type) == (OLCI, "S3A", "OL_1_EFR")
    assert (name.cycle, name.relative_orbit, name.frame, name.timeliness) == (99, 279, 2160, "NR")
    assert name.start == datetime(2023, 6, 5, 10, 30, 15, tzinfo=UTC)
    assert name.stop == datetime(2023, 6, 5, 10, 33, 15, tzinfo=UTC)
    assert parse_sentinel3(SLSTR).product_type == "SL_1_RBT"
    stripe = OLCI.replace("0179_099_279_2160", "2637_099_279_____")
    assert parse_sentinel3(stripe).frame is None
    keys = {parse_sentinel3(one).pass_key for one in (OLCI, stripe, OLCI.replace("2160", "2340"), SLSTR)}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("S2A_MSIL1A_20230605T110619_N0509_R137_20230605T131150.SAFE", "a Sentinel-2 L1A product"),
        ("S2B_OPER_MSI_L1C_TL_2BPS_20230605T131150_A032624_T30UVU_N05.09.zip", "not a whole product"),
        ("S2A_OPER_MSI_L1B_GR_DPRM_20140630T140000_S20200816T120222_D02_N05.00.SAFE", "L1B granule or datastrip alone"),
        (OLD_L1B.replace("L1B", "L1C") + ".SAFE", "format of before December 2016"),
        (OLCI.replace("OL_1_EFR", "OL_2_LFR") + ".SEN3", "level 2 product of type OL_2_LFR"),
        (OLCI.replace("OL_1_EFR", "SL_2_LST") + ".zip", "a Sentinel-3 SLSTR .* level 2 product of type SL_2_LST"),
        (OLCI.replace("OL_1_EFR___", "SR_2_LAN___") + ".SEN3", "radar altimeter"),
        (OLCI.replace("OL_1_EFR___", "SY_2_SYN___") + ".SEN3", "synergy"),
        ("S3A_SY_2_V10____20230601T000000_20230610T235959_20230618T120000_EUROPE____________PS1_O_NT_002.SEN3",
         "type SY_2_V10"),
    ],
)  # fmt: skip
def test_what_no_images_are_made_of_is_known_by_name(name: str, says: str) -> None:
    with pytest.raises(UnsupportedNameError, match=f"{says}.*this version makes images of Sentinel-"):
        parse_product(name)


@pytest.mark.parametrize(
    "name",
    [
        S2_TILE[:-8], S2_TILE.replace("S2B", "S2E"), S2_TILE.replace("_T30UVU", ""), f"S2A_{OLCI[4:]}",
        OLCI[:40], OLCI.replace("S3A", "S3E"), OLCI.replace("OL_1_EFR___", "XX_1_EFR___"), "S2A_holiday.zip",
    ],
)  # fmt: skip
def test_other_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(ProductNameError, match="is not a product name orthoburst knows"):
        parse_product(name)


@pytest.mark.parametrize(
    ("blob", "product", "mission"),
    [
        (f"{S2_TILE}.SAFE/manifest.safe", f"products/{S2_TILE}.SAFE", "sentinel-2"),
        (f"{S2_TILE}.SAFE/MTD_MSIL1C.xml", None, None),
        (f"{S2_TILE}.SAFE/GRANULE/x/IMG_DATA/x.tif", None, None),
        (f"in/{OLCI}.SEN3/xfdumanifest.xml", f"products/in/{OLCI}.SEN3", "sentinel-3"),
        (f"{OLCI}.SEN3/manifest.safe", None, None),
        (f"{OLCI}.SEN3/Oa01_radiance.nc", None, None),
        (f"{OLCI}.SEN3.zip", f"products/{OLCI}.SEN3.zip", "sentinel-3"),
        (f"{S2_TILE}.zip", f"products/{S2_TILE}.zip", "sentinel-2"),
        ("S2A_mosaic.tif", "products/S2A_mosaic.tif", "rpc"),
    ],
)
def test_an_upload_completes_a_product_or_does_not(blob: str, product: str | None, mission: str | None) -> None:
    assert product_of_upload(blob) == product
    assert mission_of(product or "") == mission


def test_a_real_sentinel2_manifest() -> None:
    path = real_data("sentinel2", "l1c", f"{S2_TILE}.zip")
    with zipfile.ZipFile(path) as archive:
        manifest = parse_sentinel2_manifest(fromstring(archive.read(f"{S2_TILE}.SAFE/manifest.safe")), path.name)
        sizes = {member.filename.partition("/")[2]: member.file_size for member in archive.infolist()}
    assert manifest.start == datetime(2023, 6, 5, 11, 6, 19, 24000, tzinfo=UTC)
    assert manifest.stop is None
    assert len(manifest.footprint_lonlat) == 9
    assert manifest.footprint_lonlat[0] == (-4.3471375, 48.22430543068044)
    assert all(-4.36 < lon < -2.86 and 47.7 < lat < 48.8 for lon, lat in manifest.footprint_lonlat)
    images = [file for file in manifest.files if "/IMG_DATA/" in file.path]
    assert len(images) == 14
    assert {len(file.checksum) for file in manifest.files} == {64}  # SHA3-256
    # the bands were emptied since, the other members are those the manifest lists
    assert all(sizes[file.path] == file.size_bytes for file in manifest.files if file.path.endswith(".xml"))


@pytest.mark.parametrize(
    ("file", "start", "n_points", "n_files", "first_lonlat"),
    [
        ("S3A_OL_1_EFR_xfdumanifest.xml", datetime(2021, 10, 21, 7, 38, 27, 254946, tzinfo=UTC), 46, 29,
         (-44.0441, -72.343)),
        ("S3A_SL_1_RBT_xfdumanifest.xml", datetime(2021, 9, 30, 22, 9, 13, 843538, tzinfo=UTC), 70, 97,
         (-3.34105, -29.2004)),
    ],
)  # fmt: skip
def test_a_real_sentinel3_manifest(
    file: str, start: datetime, n_points: int, n_files: int, first_lonlat: tuple[float, float]
) -> None:
    path = real_data("sentinel3", "manifests", file)
    manifest = parse_sentinel3_manifest(fromstring(path.read_bytes()), path.name)
    assert abs((manifest.start - start).total_seconds()) < 1
    assert manifest.stop is not None
    assert 150 < (manifest.stop - manifest.start).total_seconds() < 190
    assert len(manifest.footprint_lonlat) == n_points
    assert manifest.footprint_lonlat[0] == first_lonlat
    assert len(manifest.files) == n_files
    assert {len(one.checksum) for one in manifest.files} == {32}  # MD5


def test_longitudes_across_the_antimeridian_are_those_of_the_globe() -> None:
    files, ring = {"a.nc": b"x"}, ((179.5, -16.0), (181.0, -16.0), (181.0, -17.0), (179.5, -17.0))
    written = fromstring(manifest_of(files, ring, "3"))
    assert parse_sentinel3_manifest(written, "x").footprint_lonlat == (
        (179.5, -16.0), (-179.0, -16.0), (-179.0, -17.0), (179.5, -17.0),
    )  # fmt: skip


@pytest.mark.parametrize("ring", ["1 2 3 4 5", "1 2 3 4 5 six", "1 2 3 4 1 2", "1 2 3 4 95 6", "1 2 3 4 5 400"])
def test_a_footprint_that_is_none_is_refused(ring: str) -> None:
    times = "<startTime>2021-01-01T00:00:00Z</startTime><stopTime>2021-01-01T00:00:01Z</stopTime>"
    with pytest.raises(ManifestError, match="footprint"):
        parse_sentinel3_manifest(fromstring(f"<x>{times}<posList>{ring}</posList></x>"), "bad.SEN3")
    with pytest.raises(ManifestError, match="footprint"):
        parse_sentinel2_manifest(fromstring(f"<x>{times}<coordinates>{ring}</coordinates></x>"), "bad.SAFE")
