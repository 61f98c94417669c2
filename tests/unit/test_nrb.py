"""The Item of terrain-flattened gamma0 against the checklist in docs, both ways."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from orthokernel import Grid, OrthoResult, open_product
from orthokernel.extras import EXTRAS, OF_CLASSES
from orthokernel.nrb import Nrb, normalised_backscatter
from orthokernel.result import MaskBit
from orthokernel.stac import make_item
from realdata import real_data

CHECKLIST = Path(__file__).resolve().parents[2] / "docs" / "ceos-ard-nrb.md"
NUMBERS = re.findall(
    r"\S+",
    """
    1.1 1.2 1.3 1.4 1.5 1.6
    1.6.1 1.6.2 1.6.3 1.6.4 1.6.5 1.6.6 1.6.7 1.6.8 1.6.9 1.6.10 1.6.11 1.6.12
    1.7.1 1.7.2 1.7.3 1.7.4 1.7.5 1.7.6 1.7.7 1.7.8 1.7.9 1.7.10 1.7.11 1.7.15
    2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.9
    3.1 3.2 3.3 3.4 3.5 3.7
    4.1 4.2 4.3 4.4 4.5
    """,
)
"""Those of product type NRB."""
NAME = "S1A_IW_GRDH_1SDV_20240310T051122_20240310T051147_052919_0667D4_{}"


def product(digits: str) -> dict[str, Any]:
    return {
        "id": NAME.format(digits),
        "mission": "sentinel-1",
        "constellation": "sentinel-1",
        "platform": "sentinel-1a",
        "instruments": ["c-sar"],
        "product_type": "GRD",
        "mode": "IW",
        "swath": "IW",
        "resolution_class": "high",
        "polarisations": ["VV", "VH"],
        "orbit_direction": "descending",
        "absolute_orbit": 52919,
        "relative_orbit": 22,
        "orbit_source": {"kind": "annotation", "file": None},
        "annotated_orbit_file": "S1A_OPER_AUX_RESORB_OPOD_20240310T070000_V20240310T030000_20240310T063000.EOF",
        "processing_facility": "Copernicus S1 Core Ground Segment - DPA, DLR-Oberpfaffenhofen, Germany",
        "processed_time": "2024-03-10T06:02:11.000000Z",
        "ipf_version": "003.71",
        "looks": {f"IW{n}": {"range": 5, "azimuth": 1} for n in (1, 2, 3)},
        "heading_deg": 193.7,
        "looking": "right",
        "start_time": "2024-03-10T05:11:22.594441Z",
        "stop_time": "2024-03-10T05:11:47.593000Z",
        "line_spacing_m": 10.0,
        "sample_spacing_m": 10.0,
        "radar_frequency_hz": 5.405000454334350e9,
        "incidence_near_deg": 30.3,
        "incidence_mid_swath_deg": 38.9,
        "incidence_far_deg": 46.1,
    }


def provenance() -> dict[str, Any]:
    """As `OrthoResult.properties` has it, of two slices."""
    return {
        "products": [product("1A2B"), product("3C4D")],
        "scale": "linear",
        "processing_facility": "Here",
        "terrain": {
            "dem": ["Copernicus_DSM_COG_10_N41_00_E012_00_DEM.tif"],
            "dem_crs": "WGS 84",
            "dem_vertical_crs": None,
            "dem_spacing_m": 30.9,
            "geoid": "egm2008.gtx",
            "void_policy": "fill",
        },
        "orbit_source": {"kind": "annotation", "file": None},
        "geometry": "lattice",
        "slant_to_ground": "linear",
        "noise_removal": True,
        "border_noise_masked": False,
        "lattice_error_px": 0.004,
        "dem_coverage": 1.0,
        "kernel_version": "0.1.0",
        "result_version": 2,
        "units": dict.fromkeys(("vv", "vh")),
        "extras_mean": {},
    }


FILES = {
    "image": "float32",
    "mask": "uint8",
    "browse": "uint8",
    **{name: extra.dtype for name, extra in EXTRAS.items() if name not in OF_CLASSES},
}
GRID = Grid.mgrs("33TTG", 20.0)


def made(facts: dict[str, Any], grid: Grid = GRID, without: str = "", facility: str | None = "Here") -> Nrb:
    assets = {
        key: {"roles": ["metadata"], "raster:bands": [{"data_type": kind}]}
        for key, kind in {"data": "float32", **FILES}.items()
        if key != without
    }
    return normalised_backscatter(facts, grid, "33TTG" if grid is GRID else None, "bilinear", assets, facility)


def item_of(folder: Path, radiometry: str) -> dict[str, Any]:
    """The Item of a finished run of two bands; its files are there, but small."""
    files = {name: folder / f"out_{name}" for name in FILES}
    for name, path in files.items():
        n_bands = 2 if name == "image" else 1
        with rasterio.open(
            path, "w", driver="GTiff", width=1, height=1, count=n_bands, dtype=FILES[name],
            crs=32633, transform=from_origin(0, 9, 1, 1),
        ) as file:  # fmt: skip
            file.write(np.zeros((n_bands, 1, 1), FILES[name]))
    result = OrthoResult(
        GRID, ("vv", "vh"), None, None, folder / "out.tif", 0.004, 1.0, 0.5, GRID.footprint_lonlat(), radiometry,
        "bilinear", properties=provenance(),
    )  # fmt: skip
    return make_item(result, files, {name: folder / f"{path.name}.tif" for name, path in files.items()}, {})


@pytest.fixture
def item(tmp_path: Path) -> dict[str, Any]:
    return item_of(tmp_path, "gamma0_rtc")


def rows() -> list[list[str]]:
    lines = CHECKLIST.read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| \d+\.\d+(\.\d+)? \(", line)
    ]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def look_up(item: dict[str, Any], name: str) -> list[Any]:
    """Everything that a name of the checklist means."""
    if match := re.fullmatch(r"orthoburst:sources\[\]\.(\w+)", name):
        return [source.get(match[1]) for source in item["properties"]["orthoburst:sources"]]
    if match := re.fullmatch(r"links\[([-\w]+)\]", name):
        return [link["href"] for link in item["links"] if link["rel"] == match[1]] or [None]
    if match := re.fullmatch(r"assets\[(\w+)\]\.([-:\w]+)", name):
        return [item["assets"][match[1]].get(match[2])]
    return [item["properties"].get(name, item.get(name))]


def test_every_item_of_the_specification_is_judged_once() -> None:
    assert [row[0].split()[0] for row in rows()] == NUMBERS
    for number, what, where, source, threshold in rows():
        assert what, number
        assert threshold.startswith(("met", "not asked")), number
        assert bool(where) == bool(source), number
        assert where or threshold.startswith("not asked"), number


def test_the_item_has_every_field_of_the_checklist(item: dict[str, Any]) -> None:
    for number, _, where, *_ in rows():
        for name in names_in(where):
            found = look_up(item, name)
            assert found, f"{number}: {name}"
            assert all(value not in (None, "", [], {}) for value in found), f"{number}: {name} is {found}"


def test_the_checklist_has_every_field_added(item: dict[str, Any]) -> None:
    listed = {name for row in rows() for name in names_in(row[2])}
    nrb = made(provenance())
    assert nrb.missing == ()
    assert nrb.properties.keys() - {"orthoburst:sources"} <= listed
    assert {f"orthoburst:sources[].{key}" for key in nrb.properties["orthoburst:sources"][0]} <= listed
    optional = {"links[surface-model]"}
    assert {f"links[{link['rel']}]" for link in nrb.links} - optional <= listed


def test_the_item_is_stac_and_json(item: dict[str, Any]) -> None:
    text = json.dumps(item, allow_nan=False)
    assert json.loads(text) == item
    read = pystac.Item.from_dict(copy.deepcopy(item))
    assert read.properties["ceosard:specification"] == "NRB"
    assert not any(value is None for value in read.properties.values())
    assert [link.title for link in read.get_links("derived_from")] == [NAME.format(n) for n in ("1A2B", "3C4D")]
    declared = {url.split("/")[3] for url in item["stac_extensions"]}
    used = {name.split(":")[0] for name in item["properties"] if ":" in name} - {"orthoburst", "card4l"}
    extension = {"proj": "projection", "ceosard": "ceos-ard"}
    assert {extension.get(prefix, prefix) for prefix in used} <= declared
    assert len(item["stac_extensions"]) == len(set(item["stac_extensions"]))


def test_the_mask_tells_its_bits(item: dict[str, Any]) -> None:
    fields = item["assets"]["mask"]["classification:bitfields"]
    assert [1 << field["offset"] for field in fields] == [int(bit) for bit in MaskBit]
    assert {field["name"] for field in fields} >= {"valid", "shadow", "layover"}
    assert all(field["length"] == 1 and [c["value"] for c in field["classes"]] == [0, 1] for field in fields)
    assert all(re.fullmatch(r"[-_.a-zA-Z0-9]+", c["name"]) for field in fields for c in field["classes"])


def test_rasters_tell_how_they_are_stored(item: dict[str, Any]) -> None:
    bits = {
        key: asset["raster:bands"][0]["bits_per_sample"] for key, asset in item["assets"].items() if key != "thumbnail"
    }
    assert bits == {
        "data": 32, "mask": 8, "layover_shadow": 8, "local_incidence": 32, "scattering_area": 32, "acquisition": 8,
    }  # fmt: skip
    assert item["assets"]["data"]["sar:polarizations"] == ["VV", "VH"]
    assert item["assets"]["local_incidence"]["raster:bands"][0]["unit"] == "deg"
    assert item["assets"]["acquisition"]["classification:classes"][1]["description"] == NAME.format("3C4D")
    assert "raster:bands" not in item["assets"]["thumbnail"]


def changed(path: str, value: Any) -> dict[str, Any]:
    facts = provenance()
    part: Any = facts
    *steps, last = path.split("/")
    for step in steps:
        part = part[int(step)] if isinstance(part, list) else part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return facts


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (changed("products/0/id", "renamed"), "1.6.1 source data access: renamed is not a product name"),
        (changed("products/1/looks", None), "1.6.6 processing parameters: looks of " + NAME.format("3C4D")),
        (
            changed("products/0/resolution_class", None),
            "1.6.7 image attributes: azimuth_resolution_m, range_resolution_m of " + NAME.format("1A2B"),
        ),
        (changed("scale", "db"), "3.1 backscatter measurements: in decibels"),
        (changed("terrain", {"constant_height_m": 0.0}), "4.2 digital elevation model: a constant height"),
        (changed("products/0/platform", "sentinel-1c"), "4.3 geometric accuracy: no figures"),
        (changed("products/1/annotated_orbit_file", None), "4.3 geometric accuracy: no figures"),
        (
            changed("products/0/orbit_source", {"kind": "predicted", "file": "S1A_OPER_AUX_PREORB_OPOD_x.EOF"}),
            "4.3 geometric accuracy: no figures",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_and_nothing_claimed(facts: dict[str, Any], missing: str) -> None:
    nrb = made(facts)
    assert len(nrb.missing) == 1
    assert nrb.missing[0].startswith(missing)
    assert nrb.properties["orthoburst:nrb_missing"] == list(nrb.missing)
    assert not any(name.startswith("ceosard:") for name in nrb.properties)


def test_files_facility_and_grid_may_be_missing() -> None:
    facts = provenance()
    assert made(facts, without="local_incidence").missing[0].startswith("2.4 ")
    assert made(facts, without="acquisition").missing[0].startswith("2.8 ")
    assert made(facts, facility=None).missing[0].startswith("1.7.1 ")
    assert "processing:facility" not in made(facts, facility=None).properties
    loose = Grid(GRID.crs, GRID.transform @ GRID.transform.translation(0.25, 0.0), 100, 100)
    assert made(facts, loose).missing == ("4.5 gridding convention: the grid's edges are no multiples of its spacing",)
    snapped = Grid.from_bounds(32633, (300_010, 4_600_030, 310_010, 4_610_030), 10.0)
    assert made(facts, snapped).missing == ()


def test_of_one_product_no_acquisition_image_is_asked() -> None:
    facts = provenance()
    del facts["products"][1]
    nrb = made(facts, without="acquisition")
    assert nrb.missing == ()
    assert nrb.properties["orthoburst:number_of_acquisitions"] == 1


def test_orbits_are_told_by_the_file_they_came_from() -> None:
    facts = provenance()
    assert made(facts).properties["card4l:orbit_data_source"] == "restituted"
    precise = {
        "kind": "precise",
        "file": "S1A_OPER_AUX_POEORB_OPOD_20240330T070000_V20240309T225942_20240311T005942.EOF",
    }
    facts["products"][0]["orbit_source"] = precise
    properties = made(facts).properties
    assert properties["card4l:orbit_data_source"] == "precise, restituted"
    assert properties["orthoburst:sources"][0]["orbit_data_file"] == precise["file"]
    facts["products"][0].update({"orbit_source": {"kind": "annotation", "file": None}, "annotated_orbit_file": "x"})
    assert made(facts).properties["orthoburst:sources"][0]["orbit_data_source"] == "annotated, of unknown source"


def test_noise_and_dem_are_linked_only_where_known() -> None:
    facts = provenance()
    rels = [link["rel"] for link in made(facts).links]
    assert rels.count("derived_from") == 2
    assert {"noise-removal", "surface-model"} <= set(rels)
    facts["noise_removal"] = False
    facts["terrain"]["dem"] = ["alps.tif"]
    nrb = made(facts)
    assert not {"noise-removal", "surface-model"} & {link["rel"] for link in nrb.links}
    assert nrb.properties["card4l:noise_removal_applied"] is False
    assert all(link["href"].startswith("https://") for link in nrb.links)


@pytest.mark.real
def test_real_products_say_what_is_asked_of_sources() -> None:
    (zipped,) = real_data("sentinel1", "quicklook").glob("*.zip")
    (rome,) = real_data("sentinel1", "rome").glob("S1B_IW_GRDH*.SAFE")
    facts = provenance()
    facts["products"] = []
    for path in (zipped, rome):
        with open_product(path) as product:
            facts["products"].append({"id": product.id, **product.properties()})
    first, second = made(facts).properties["orthoburst:sources"]
    assert first["looks"]["IW1"] == {"range": 5, "azimuth": 1}
    assert first["processing_facility"].endswith("DLR-Oberpfaffenhofen, Germany")
    assert first["processed_time"] == "2021-01-22T17:31:27.000000Z"
    assert (first["orbit_data_source"], second["orbit_data_source"]) == ("restituted", "predicted")
    assert second["orbit_data_file"].startswith("S1B_OPER_AUX_PREORB_OPOD_20211223T042026_")
    assert second["incidence_near_deg"] == pytest.approx(30.309, abs=1e-3)
    assert second["incidence_far_deg"] == pytest.approx(46.097, abs=1e-3)
    assert second["heading_deg"] == pytest.approx(193.687, abs=1e-3)
    assert [what[:4] for what in made(facts).missing] == ["4.3 "]
    del facts["products"][1]
    assert made(facts).missing == ()


def test_other_radiometry_says_nothing_of_it(tmp_path: Path) -> None:
    plain = item_of(tmp_path, "sigma0")
    assert plain["links"] == []
    assert not any(name.startswith(("ceosard:", "card4l:")) for name in plain["properties"])
    assert "classification:bitfields" not in plain["assets"]["mask"]
    assert plain["properties"]["sar:product_type"] == "GRD"
