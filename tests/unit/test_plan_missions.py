"""Sentinel-2 and Sentinel-3 through inspection and planner: their grids, their options, no heights."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyproj
import pytest

from fakes.memory_ports import MemoryQueues, memory_ports
from fakes.products import (
    OLCI,
    OLCI_RING,
    ROME,
    S2_NEXT_TILE,
    S2_RINGS,
    S2_TILE,
    SLSTR,
    LonLat,
    manifest_of,
    packed,
    put_packed,
    put_safe,
)
from orthoburst.stub import make_stub
from orthocontracts import names
from orthocontracts.messages import Report, Verdict
from orthocontracts.outputs import FileFacts, ResolvedTerrain, file_kinds
from orthocontracts.requests import Options, Request, StandingDefault
from orthocontracts.tiles import tile_bounds
from orthocontracts.wire import MAX_QUEUE_BYTES
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.footprints import bounds_in, map_of_swath
from orthofunctions.domain.planning import TILES_OF_A_FRAME_PER_TASK, Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.polar import polar_forward
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.inputs import InputReplacedError, input_files
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload
from realdata import real_data

LIMITS, RULES = Limits(), Rules(patience_s=300)
UNTIL = datetime(2026, 5, 2, tzinfo=UTC)


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def put(ports: Ports, stem: str, ring: tuple[LonLat, ...] | None = None, *, zip_it: bool = False) -> str:
    mission = stem[1]
    return put_packed(ports.blobs, stem, mission, ring or S2_RINGS.get(stem, OLCI_RING), zip_it=zip_it)


def ask(*products: str, **changes: Any) -> Request:
    return Request.model_validate({"request_id": "r1", "products": list(products), **changes})


def planned(ports: Ports, *products: str, **changes: Any) -> Plan:
    job = plan_request(ports, ask(*products, **changes), LIMITS, RULES)
    assert job.fault_message is None
    plan = read_plan(ports, job.job_id)
    assert plan is not None
    return plan


def refused(ports: Ports, *products: str, **changes: Any) -> JobRecord:
    job = plan_request(ports, ask(*products, **changes), LIMITS, RULES)
    assert job.fault_kind is not None
    return job


# Tiles ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize("stem", [S2_TILE, S2_TILE.replace("L1C", "L2A")])
def test_a_tile_product_makes_its_own_tile_and_needs_no_terrain(ports: Ports, stem: str, zip_it: bool) -> None:
    ref = put(ports, stem, S2_RINGS[S2_TILE], zip_it=zip_it)
    plan = planned(ports, ref)
    (output,) = plan.outputs
    bounds = tile_bounds("30UVU")
    grid = output.identity.grid
    assert (grid.tile, grid.epsg, grid.left, grid.top, grid.spacing) == ("30UVU", 32630, bounds.left, bounds.top, 10)
    assert output.identity.terrain == plan.tasks[0].terrain == ResolvedTerrain()
    (task,) = find(ports.tables, TaskRecord)
    assert task.process == "sentinel-2"


def test_the_real_l1c_zip_is_planned_onto_its_tile(ports: Ports) -> None:
    path = real_data("sentinel2", "l1c", f"{S2_TILE}.zip")
    ports.blobs.write("products", path.name, path.read_bytes())
    (output,) = planned(ports, f"products/{path.name}").outputs
    assert output.identity.grid.tile == "30UVU"
    (around,) = planned(ports, f"products/{path.name}", request_id="r2", grid={"kind": "footprint"}).outputs
    grid, tile = around.identity.grid, tile_bounds("30UVU")
    # it is imaged up to all four edges of the tile
    assert (grid.left, grid.top, grid.n_rows, grid.n_cols) == (tile.left, tile.top, 10980, 10980)


def test_neighbouring_tiles_are_made_of_a_product_only_where_they_are_asked_for(ports: Ports) -> None:
    ref = put(ports, S2_TILE)
    tiles = {"kind": "mgrs", "tiles": ["30UVU", "30UWU"], "spacing_m": 20}
    both = planned(ports, ref, grid=tiles)
    assert [one.identity.grid.tile for one in both.outputs] == ["30UVU", "30UWU"]
    assert "30UTU" in (refused(ports, ref, request_id="r2", grid={**tiles, "tiles": ["30UTU"]}).fault_message or "")


def test_a_tile_that_has_its_own_product_is_made_of_that_alone_and_others_are_put_together(ports: Ports) -> None:
    refs = [put(ports, S2_TILE), put(ports, S2_NEXT_TILE)]
    alone = planned(ports, refs[0])
    both = planned(ports, *refs, request_id="r2")
    assert [[one.ref for one in output.identity.products] for output in both.outputs] == [[ref] for ref in refs]
    assert alone.outputs[0].digest == both.outputs[0].digest  # whatever else was asked with it
    mosaic = {"kind": "bounds", "epsg": 32630, "left": 480_000, "right": 520_000, "bottom": 5_300_000, "top": 5_340_000}
    (output,) = planned(ports, *refs, request_id="r3", grid={**mosaic, "spacing": 10}).outputs
    assert sorted(one.ref for one in output.identity.products) == sorted(refs)


def test_levels_are_not_put_together(ports: Ports) -> None:
    refs = [put(ports, S2_TILE), put(ports, S2_TILE.replace("L1C", "L2A"), S2_RINGS[S2_TILE])]
    assert len(planned(ports, *refs).outputs) == 2


def test_the_sites_terrain_and_a_named_one_change_no_image_that_needs_none(ports: Ports) -> None:
    ref = put(ports, S2_TILE)
    without = planned(ports, ref)
    order = {"terrain": {"dem": "aux/not-there.tif"}}
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(order).encode())
    of_site = planned(ports, ref, request_id="r2")
    named = planned(ports, ref, request_id="r3", terrain={"height_m": 500})
    assert {plan.outputs[0].digest for plan in (without, of_site, named)} == {without.outputs[0].digest}


def test_a_radar_product_beside_it_still_gets_its_heights(ports: Ports) -> None:
    refs = [put(ports, S2_TILE), put_safe(ports.blobs)]
    plan = planned(ports, *refs, terrain={"height_m": 7}, grid={"kind": "mgrs", "spacing_m": 60})
    heights = {task.products[0].ref: task.terrain.height_m for task in plan.tasks}
    assert heights == {refs[0]: None, refs[1]: 7}
    assert "names no terrain" in (refused(ports, *refs, request_id="r2").fault_message or "")


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize(("stem", "per_degree"), [(OLCI, 371), (OLCI.replace("EFR", "ERR"), 93), (SLSTR, 223)])
def test_a_frame_is_one_image_on_longitude_and_latitude(ports: Ports, stem: str, per_degree: int, zip_it: bool) -> None:
    (output,) = planned(ports, put(ports, stem, zip_it=zip_it)).outputs
    grid = output.identity.grid
    assert (grid.epsg, grid.spacing, output.identity.terrain) == (4326, 1 / per_degree, ResolvedTerrain())
    assert (grid.left * per_degree) % 1 == (grid.top * per_degree) % 1 == 0
    right, bottom = grid.left + grid.n_cols * grid.spacing, grid.top - grid.n_rows * grid.spacing
    lons, lats = [lon for lon, _ in OLCI_RING], [lat for _, lat in OLCI_RING]
    assert min(lons) - 0.5 < grid.left < min(lons)
    assert max(lons) < right < max(lons) + 0.5
    assert min(lats) - 0.5 < bottom < min(lats)
    # between its corners the northern edge bulges towards the pole
    assert max(lats) < grid.top < max(lats) + 0.5


@pytest.mark.parametrize(("stem", "spacing_m"), [(OLCI, 300), (OLCI.replace("EFR", "ERR"), 900), (SLSTR, 450)])
def test_tiles_of_a_frame_have_a_spacing_that_divides_them(ports: Ports, stem: str, spacing_m: float) -> None:
    tiles = {"kind": "mgrs", "tiles": ["30UVU", "31TCJ"]}
    plan = planned(ports, put(ports, stem), grid=tiles)
    assert [(one.identity.grid.tile, one.identity.grid.spacing) for one in plan.outputs] == [
        ("30UVU", spacing_m),
        ("31TCJ", spacing_m),
    ]


def test_a_report_on_as_many_tiles_of_a_frame_as_a_task_has_fits_into_a_message() -> None:
    kinds = file_kinds(Options(extras=("quality", "acquisition")))
    blob = f"site://archive-of-the-centre/results/j{'0' * 19}-0001-1/1/{'a' * 64}_acquisition.tif"
    file = FileFacts(blob=blob, size_bytes=10**9, md5="0" * 32)
    figures = {"lattice_error_px": 1 / 3, "dem_coverage": 1 / 3, "valid_fraction": 1 / 3}
    verdict = Verdict(digest="a" * 64, files=dict.fromkeys(kinds, file), figures=figures)
    report = Report(
        kind="finished",
        task_id=f"j{'0' * 19}-0001",
        release=1,
        delivery=1,
        agent="node-1",
        pool="hpc",
        token="t" * 64,
        at=datetime(2026, 5, 1, tzinfo=UTC),
        verdicts=(verdict,) * TILES_OF_A_FRAME_PER_TASK,
    )
    assert len(report.to_json().encode()) < MAX_QUEUE_BYTES


def test_all_tiles_of_a_frame_may_be_asked_for(ports: Ports) -> None:
    plan = planned(ports, put(ports, OLCI), grid={"kind": "mgrs"})
    assert 130 < len(plan.outputs) < 260
    assert len(plan.tasks) == math.ceil(len(plan.outputs) / 16)  # each fetches the whole frame
    assert {one.identity.grid.spacing for one in plan.outputs} == {300}


@pytest.mark.parametrize(
    ("ring", "epsg"),
    [
        (OLCI_RING, 4326),
        (((10.0, 78.0), (-40.0, 80.0), (-20.0, 69.0), (8.0, 68.0)), 3413),
        (((-44.0, -72.3), (-24.0, -83.5), (13.0, -75.9), (-16.9, -68.2)), 3031),
        (((175.0, -10.0), (-173.0, -12.0), (-175.0, -23.0), (173.0, -21.0)), 32760),
    ],
)
def test_the_map_of_a_frame_follows_from_where_it_is(ports: Ports, ring: tuple[LonLat, ...], epsg: int) -> None:
    (output,) = planned(ports, put(ports, OLCI, ring)).outputs
    grid = output.identity.grid
    assert grid.epsg == epsg == map_of_swath([ring])
    transform = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{epsg}", always_xy=True)
    xs, ys = transform.transform([lon for lon, _ in ring], [lat for _, lat in ring])
    assert grid.left < min(xs)
    assert max(xs) < grid.left + grid.n_cols * grid.spacing
    assert grid.top - grid.n_rows * grid.spacing < min(ys)
    assert max(ys) < grid.top
    assert grid.n_rows * grid.n_cols < 60e6


@pytest.mark.parametrize(
    ("file", "stem", "epsg"),
    [
        ("S3A_OL_1_EFR_xfdumanifest.xml",
         "S3A_OL_1_EFR____20211021T073827_20211021T074112_20211021T091357_0164_077_334_4320_LN1_O_NR_002", 3031),
        ("S3A_SL_1_RBT_xfdumanifest.xml",
         "S3A_SL_1_RBT____20210930T220914_20210930T221214_20211002T102150_0180_077_043_5400_LN2_O_NT_004", 4326),
    ],
)  # fmt: skip
def test_frames_of_real_manifests(ports: Ports, file: str, stem: str, epsg: int) -> None:
    manifest = real_data("sentinel3", "manifests", file).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{stem}.SEN3/xfdumanifest.xml", manifest)
    ports.blobs.write("products", f"{stem}.zip", buffer.getvalue())
    (output,) = planned(ports, f"products/{stem}.zip").outputs
    grid = output.identity.grid
    assert grid.epsg == epsg
    text = re.findall(rb"posList>([^<]+)<", manifest)[0].split()
    transform = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{epsg}", always_xy=True)
    xs, ys = transform.transform([float(lon) for lon in text[1::2]], [float(lat) for lat in text[::2]])
    columns = [(x - grid.left) / grid.spacing for x in xs]
    rows = [(grid.top - y) / grid.spacing for y in ys]
    # about 10 km more on every side
    assert 0 < min(columns) < 100
    assert 0 < grid.n_cols - max(columns) < 100
    assert 0 < min(rows) < 100
    assert 0 < grid.n_rows - max(rows) < 100


def test_another_map_may_be_asked_for(ports: Ports) -> None:
    ref = put(ports, OLCI)
    grids = [{"kind": "footprint", "epsg": epsg, "spacing_m": 1000} for epsg in (32630, 3413, 4326)]
    found = [
        planned(ports, ref, request_id=f"r{n}", grid=grid).outputs[0].identity.grid for n, grid in enumerate(grids)
    ]
    assert [(one.epsg, one.spacing) for one in found] == [(32630, 1000), (3413, 1000), (4326, 1 / 111)]
    pacific = put(ports, SLSTR, ((175.0, -10.0), (-173.0, -12.0), (-175.0, -23.0), (173.0, -21.0)))
    job = refused(ports, pacific, request_id="r9", grid=grids[2])
    assert "crosses the antimeridian" in (job.fault_message or "")


@pytest.mark.parametrize("epsg", [3413, 3031])
def test_polar_maps_are_those_of_proj(epsg: int) -> None:
    transform = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{epsg}", always_xy=True)
    sign = 1 if epsg == 3413 else -1
    for lon, lat in ((0.0, 60.0), (-45.0, 70.0), (123.4, 88.5), (-179.9, 75.1), (10.0, 45.0)):
        assert polar_forward(lon, sign * lat, epsg) == pytest.approx(transform.transform(lon, sign * lat), abs=1e-6)


def test_bounds_on_longitude_and_latitude_are_of_great_circles() -> None:
    left, bottom, right, top = bounds_in(4326, [((0.0, 60.0), (10.0, 60.0), (5.0, 50.0))])
    assert (left, bottom, right) == pytest.approx((0, 50, 10))
    assert top == pytest.approx(
        math.degrees(math.atan(math.tan(math.radians(60)) / math.cos(math.radians(5)))), abs=1e-6
    )


# Options --------------------------------------------------------------------------------------------------------------

L2A, OLD_L1C = S2_TILE.replace("L1C", "L2A"), S2_TILE.replace("N0509", "N0301")


@pytest.mark.parametrize(
    ("stem", "options", "says"),
    [
        (S2_TILE, {"radiometry": "sigma0"}, "not a radar product: leave out radiometry sigma0"),
        (S2_TILE, {"extras": ["layover_shadow", "detector"]}, "leave out extra layover_shadow"),
        (S2_TILE, {"noise_removal": True}, "leave out noise_removal"),
        (S2_TILE, {"radiometry": "physical"}, "no radiometry physical (of these bands it has reflectance or dn)"),
        (S2_TILE, {"extras": ["scene_classification"]}, "no extra scene_classification (it has detector, quality)"),
        (S2_TILE, {"bands": ["b04", "b13"]}, "a Sentinel-2 L1C, which has no band b13 (it has b01, b02"),
        (S2_TILE, {"bands": ["aot"]}, "no band aot"),
        (L2A, {"bands": ["b10"]}, "no band b10"),
        (L2A, {"bands": ["b04", "aot"], "radiometry": "reflectance"}, "reflectance (of these bands it has dn)"),
        (L2A, {"bands": ["aot"], "radiometry": "reflectance"}, "it has physical or dn"),
        (OLCI, {"radiometry": "reflectance"}, "a Sentinel-3 OL_1_EFR, which has no radiometry reflectance"),
        (OLCI, {"extras": ["detector", "scene_classification"]}, "no extra scene_classification, detector (it has "),
        (OLCI, {"bands": ["oa22"]}, "no band oa22 (it has oa01"),
        (SLSTR, {"bands": ["s7_b"]}, "no band s7_b"),
        (SLSTR, {"radiometry": "gamma0_rtc"}, "not a radar product"),
    ],
)  # fmt: skip
def test_options_that_a_product_cannot_have_are_refused(
    ports: Ports, stem: str, options: dict[str, Any], says: str
) -> None:
    job = refused(ports, put(ports, stem, S2_RINGS[S2_TILE] if stem[1] == "2" else None), options=options)
    assert job.fault_kind == "UnfitOption"
    assert says in (job.fault_message or "")


def test_options_of_optical_products_are_refused_for_radar(ports: Ports) -> None:
    ref, terrain = put_safe(ports.blobs), {"height_m": 0}
    for n, (options, says) in enumerate(
        [
            ({"radiometry": "reflectance"}, "a Sentinel-1 GRD, which has no radiometry reflectance"),
            ({"extras": ["quality", "local_incidence"]}, "no extra quality (it has layover_shadow"),
        ]
    ):
        job = refused(ports, ref, request_id=f"r{n}", options=options, terrain=terrain)
        assert says in (job.fault_message or "")


@pytest.mark.parametrize(
    ("stem", "options"),
    [
        (OLD_L1C, {"extras": ["detector", "quality"]}),
        (S2_TILE, {"radiometry": "reflectance", "bands": ["b8a"], "extras": ["detector", "quality", "acquisition"]}),
        (L2A, {"extras": ["scene_classification"], "radiometry": "dn", "bands": ["b04", "aot", "wvp"]}),
        (L2A, {"radiometry": "physical", "bands": ["aot", "wvp"]}),
        (OLCI, {"radiometry": "physical", "bands": ["oa08", "oa08_unc"], "extras": ["quality"]}),
        (OLCI.replace("EFR", "ERR"), {"radiometry": "dn"}),
        (SLSTR, {"bands": ["s1", "s5_b", "s8_oblique", "f1"], "resampling": "nearest"}),
    ],
)  # fmt: skip
def test_options_that_a_product_has_reach_its_task(ports: Ports, stem: str, options: dict[str, Any]) -> None:
    plan = planned(ports, put(ports, stem, S2_RINGS[S2_TILE] if stem[1] == "2" else None), options=options)
    assert {task.options for task in plan.tasks} == {plan.request.options}


# Uploads, folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "kind", "says"),
    [
        (f"{OLCI.replace('OL_1_EFR', 'OL_2_LFR')}.SEN3", "UnknownProduct", "makes images of Sentinel-3 OLCI level 1"),
        ("S2A_MSIL1A_20230605T110619_N0509_R137_20230605T131150.zip", "UnknownProduct", "a Sentinel-2 L1A"),
        (f"{OLCI}.SEN3", "ProductMissing", "has no xfdumanifest.xml: it has not arrived"),
        (f"{S2_TILE}.SAFE", "ProductMissing", "has no manifest.safe"),
        (f"{OLCI}.zip", "ProductMissing", "upload it first"),
        ("S2A_pictures.zip", "UnknownProduct", "not a product name"),
    ],
)
def test_what_cannot_be_planned_ends_its_job_with_the_reason(ports: Ports, ref: str, kind: str, says: str) -> None:
    job = refused(ports, f"products/{ref}")
    assert (job.fault_kind, says in (job.fault_message or "")) == (kind, True)


@pytest.mark.parametrize(
    ("stem", "needed", "spare"),
    [
        (S2_TILE, "GRANULE/L1C_T30UVU_A032624_20230605T111628/IMG_DATA/T30UVU_20230605T110619_B04.jp2",
         "GRANULE/L1C_T30UVU_A032624_20230605T111628/IMG_DATA/T30UVU_20230605T110619_TCI.jp2"),
        (L2A, "MTD_MSIL2A.xml", "HTML/banner_1.png"),
        (OLCI, "Oa21_radiance.nc", "tie_meteo.nc"),
        (SLSTR, "S8_BT_in.nc", "tie_meteo.nc"),
    ],
)  # fmt: skip
def test_a_folder_needs_what_decides_its_pixels_and_nothing_else(
    ports: Ports, stem: str, needed: str, spare: str
) -> None:
    ref = put(ports, stem, S2_RINGS[S2_TILE] if stem[1] == "2" else None)
    folder = ref.removeprefix("products/")
    ports.blobs.delete("products", f"{folder}/{spare}")
    assert inspect_product(ports.blobs, ref).source.kind == "folder"
    ports.blobs.write("products", f"{folder}/{needed}", b"cut off, or longer")
    with pytest.raises(PlanError, match=r"has 18 bytes, not the .* of its manifest"):
        inspect_product(ports.blobs, ref)
    ports.blobs.delete("products", f"{folder}/{needed}")
    with pytest.raises(PlanError, match=r"lacks .*, which its manifest lists"):
        inspect_product(ports.blobs, ref)


def test_a_zip_without_its_manifest_is_refused(ports: Ports) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{OLCI}.SEN3/manifest.safe", manifest_of({"a.nc": b"x"}, OLCI_RING, "3"))
    ports.blobs.write("products", f"{OLCI}.zip", buffer.getvalue())
    assert "holds 0 manifests (xfdumanifest.xml)" in (refused(ports, f"products/{OLCI}.zip").fault_message or "")


def test_content_decides_the_hash_of_a_folder(ports: Ports) -> None:
    ref = put(ports, OLCI)
    first = inspect_product(ports.blobs, ref).source.content
    assert inspect_product(ports.blobs, put(ports, OLCI)).source.content == first
    files = {"Oa01_radiance.nc": b"other bytes", "geo_coordinates.nc": b"geo_coordinates"}
    for path, data in {**files, "xfdumanifest.xml": manifest_of(files, OLCI_RING, "3")}.items():
        ports.blobs.write("products", f"{OLCI}.SEN3/{path}", data)
    assert inspect_product(ports.blobs, ref).source.content != first


def test_a_ticket_brings_every_file_of_a_folder_and_no_terrain(ports: Ports) -> None:

    plan = planned(ports, put(ports, OLCI))
    files = input_files(ports, plan.tasks[0], UNTIL, {})
    members = ("Oa01_radiance.nc", "Oa21_radiance.nc", "geo_coordinates.nc", "tie_meteo.nc", "xfdumanifest.xml")
    assert sorted(file.path for file in files) == [f"products/{OLCI}.SEN3/{member}" for member in members]


ORDER = {
    "sentinel2": {"grid": {"kind": "mgrs", "spacing_m": 20}},
    "sentinel3": {"options": {"bands": ["oa08"]}},
    "rpc": {"grid": {"kind": "footprint", "spacing_m": 2}},
}


@pytest.mark.parametrize(("stem", "bands"), [(S2_TILE, None), (OLCI, ("oa08",))])
def test_an_upload_is_ordered_by_its_missions_template(ports: Ports, stem: str, bands: tuple[str, ...] | None) -> None:
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(ORDER).encode())
    folder = put(ports, stem).removeprefix("products/")
    last = "manifest.safe" if stem == S2_TILE else "xfdumanifest.xml"
    for blob in ports.blobs.list("products", folder):
        jobs = take_upload(ports, blob.name)
        assert len(jobs) == blob.name.endswith(f"/{last}")
    assert isinstance(ports.queues, MemoryQueues)
    (body,) = ports.queues.bodies(names.QUEUE_REQUESTS)
    request = read_request(ports, body)
    assert (request.options.bands, request.terrain) == (bands, None)
    assert plan_request(ports, request, LIMITS, RULES).fault_message is None


def test_an_upload_that_no_images_are_made_of_is_told_of_and_one_without_template_is_left(ports: Ports) -> None:
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(ORDER).encode())
    unsupported = f"{OLCI.replace('OL_1_EFR', 'OL_2_WFR')}.zip"
    for blob in (unsupported, f"{ROME}.zip"):
        ports.blobs.write("products", blob, b"PK")
    assert take_upload(ports, f"{ROME}.zip") == []
    assert len(take_upload(ports, unsupported)) == 1
    assert isinstance(ports.queues, MemoryQueues)
    (body,) = ports.queues.bodies(names.QUEUE_REQUESTS)
    assert "OL_2_WFR" in (plan_request(ports, read_request(ports, body), LIMITS, RULES).fault_message or "")


def test_a_default_order_needs_no_terrain() -> None:
    assert StandingDefault.model_validate(ORDER).terrain is None


# L1B ------------------------------------------------------------------------------------------------------------------

L1B = "S2A_MSIL1B_20200816T120220_N0500_R123_20200816T130000"
L1B_RING = ((-17.3, 33.1), (-16.4, 33.0), (-16.6, 32.3), (-17.5, 32.4))
GIPP = {"S2A_OPER_GIP_VIEDIR_B04.xml": b"<viewing/>", "S2A_OPER_GIP_SPAMOD_B00.DBL": b"<spacecraft/>"}


def put_l1b(ports: Ports) -> str:
    files = {
        "DATASTRIP/S2A_DS/S2A_OPER_MTD_L1B_DS.xml": b"<ds/>",
        "GRANULE/S2A_GR_D01/S2A_OPER_MTD_L1B_GR_D01.xml": b"<gr/>",
        "GRANULE/S2A_GR_D01/IMG_DATA/S2A_D01_B04.jp2": b"jp2",
    }
    for path, data in {**files, "manifest.safe": manifest_of(files, L1B_RING, "2")}.items():
        ports.blobs.write("products", f"{L1B}.SAFE/{path}", data)
    return f"products/{L1B}.SAFE"


def put_gipp(ports: Ports, files: dict[str, bytes] = GIPP) -> None:
    for name, data in files.items():
        ports.blobs.write(names.CONTAINER_AUX, f"gipp/{name}", data)


L1B_ASK: dict[str, Any] = {"terrain": {"height_m": 0}, "gipp": "aux/gipp", "grid": {"kind": "mgrs", "tiles": ["28SCB"]}}


def test_an_l1b_needs_heights_and_its_instruments_parameters_and_its_ticket_brings_them(ports: Ports) -> None:

    ref = put_l1b(ports)
    missing = refused(ports, ref, **L1B_ASK)
    assert (missing.fault_kind, missing.fault_message) == (
        "AuxiliaryMissing",
        "aux/gipp holds nothing: upload the instrument's parameters, or name another folder",
    )
    put_gipp(ports)
    ports.blobs.write(names.CONTAINER_AUX, "bulletin.txt", b"IERS")
    job = refused(ports, ref, request_id="r2", **{**L1B_ASK, "gipp": None})
    assert "needs the parameters of its instrument: name their folder as gipp" in (job.fault_message or "")
    job = refused(ports, ref, request_id="r3", **{**L1B_ASK, "terrain": None})
    assert "names no terrain" in (job.fault_message or "")
    plan = planned(ports, ref, request_id="r4", **L1B_ASK, iers="aux/bulletin.txt")
    files = {file.path for file in input_files(ports, plan.tasks[0], UNTIL, {})}
    assert {f"aux/gipp/{name}" for name in GIPP} | {"aux/bulletin.txt"} == {one for one in files if "aux/" in one}
    assert len(files) == 3 + 1 + len(GIPP) + 1
    (task,) = find(ports.tables, TaskRecord)
    assert task.process == "sentinel-2-l1b"


def test_parameters_of_the_instrument_decide_an_l1b_and_no_other_image(ports: Ports) -> None:
    ref, tile = put_l1b(ports), put(ports, S2_TILE)
    put_gipp(ports)
    first = planned(ports, ref, request_id="r1", **L1B_ASK).outputs[0].digest
    assert planned(ports, ref, request_id="r2", **L1B_ASK).outputs[0].digest == first
    plain = planned(ports, tile, request_id="r3").outputs[0].digest
    assert planned(ports, tile, request_id="r4", gipp="aux/gipp").outputs[0].digest == plain
    put_gipp(ports, {"S2A_OPER_GIP_VIEDIR_B04.xml": b"<better/>"})
    assert planned(ports, ref, request_id="r5", **L1B_ASK).outputs[0].digest != first


def test_parameters_that_were_replaced_after_the_plan_are_not_used(ports: Ports) -> None:

    ref = put_l1b(ports)
    put_gipp(ports)
    (task,) = planned(ports, ref, **L1B_ASK).tasks
    put_gipp(ports)  # the same once more
    assert input_files(ports, task, UNTIL, {})
    put_gipp(ports, {"S2A_OPER_GIP_VIEDIR_B04.xml": b"<better/>"})
    with pytest.raises(InputReplacedError, match="aux/gipp was replaced"):
        input_files(ports, task, UNTIL, {})


def test_the_site_may_have_parameters_of_the_instrument(ports: Ports) -> None:
    ref = put_l1b(ports)
    put_gipp(ports)
    order = {"sentinel2": {}, "terrain": {"height_m": 0}, "gipp": "aux/gipp"}
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(order).encode())
    plan = planned(ports, ref, grid=L1B_ASK["grid"])
    assert plan.tasks[0].instrument is not None
    assert plan.tasks[0].instrument.gipp.ref == "aux/gipp"
    assert len(planned(ports, ref, request_id="r2").outputs) > 1  # all tiles it touches


# On site --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "large"),
    [
        (OLCI, "Oa01_radiance.nc"),
        (S2_TILE, "GRANULE/L1C_T30UVU_A032624_20230605T111628/IMG_DATA/T30UVU_20230605T110619_B04.jp2"),
    ],
)
def test_a_product_in_a_sites_archive_is_planned_from_its_stub(
    ports: Ports, tmp_path: Path, stem: str, large: str
) -> None:
    mission, whole = stem[1], memory_ports()
    ref = put(whole, stem)
    folder = ref.removeprefix("products/")
    for blob in whole.blobs.list("products", f"{folder}/"):
        data = whole.blobs.read("products", blob.name)
        path = tmp_path / "archive" / "2023" / blob.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.ljust(100) if blob.name.endswith(large) else data)
    files = {**packed(stem, mission)[1], large: packed(stem, mission)[1][large].ljust(100)}
    last = tmp_path / "archive" / "2023" / folder / ("manifest.safe" if mission == "2" else "xfdumanifest.xml")
    last.write_bytes(manifest_of(files, S2_RINGS.get(stem, OLCI_RING), mission))
    root = tmp_path / "archive"
    stub = make_stub(root / "2023" / folder, tmp_path / "out", store="archive", root=root, least_bytes=100)
    for path in sorted(one for one in stub.rglob("*") if one.is_file()):
        ports.blobs.write("products", f"{folder}/{path.relative_to(stub).as_posix()}", path.read_bytes())
    facts = inspect_product(ports.blobs, ref)
    assert facts.bytes_at == {"archive": 100}
    links = {file.path: file.url for file in input_files(ports, planned(ports, ref).tasks[0], UNTIL, {})}
    assert links[f"{ref}/{large}"] == f"site://archive/2023/{folder}/{large}"
    assert sum(url.startswith("site://") for url in links.values()) == 1
