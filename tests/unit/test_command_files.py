"""Files and areas as people write them, into requests; and what is said where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orthoburst.commands.parser import make_parser
from orthoburst.commands.places import area_of
from orthoburst.commands.run import main
from orthoburst.commands.tables import COLUMNS, read_table
from orthoburst.commands.wishes import wishes_of
from orthoburst.errors import UsageError
from orthoburst.execution import Wishes, execution
from orthocontracts.requests import Request

RING = [[12.0, 41.0], [13.0, 41.0], [13.0, 42.0], [12.0, 42.0], [12.0, 41.0]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}


def request_of(made: dict[str, Any]) -> Request:
    """What the service would make of it."""
    return Request.model_validate({"request_id": "r1", **made["inputs"]})


def test_a_table_is_a_request_a_line(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "# what we want\n"
        "request_id,products,tiles,spacing_m,radiometry,dem,deadline,urgent,shared_with\n"
        "\n"
        'a,products/x.zip,33TUG 33TUH,20,gamma0_rtc,aux/dem.tif,2026-05-01T12:00:00Z,no,"gis geo"\n'
        "b,products/y.zip products/z.zip,,,,,,,\n",
        encoding="utf-8-sig",
    )
    first, second = read_table(path, {"radiometry": "sigma0", "terrain": {"height_m": 0}})
    assert (first.where, second.where) == (f"{path}:4", f"{path}:5")
    one, other = request_of(first.execution), request_of(second.execution)
    assert one.grid is not None
    assert one.grid.model_dump(exclude_none=True) == {"kind": "mgrs", "tiles": ("33TUG", "33TUH"), "spacing_m": 20}
    assert (one.options.radiometry, other.options.radiometry) == ("gamma0_rtc", "sigma0")
    assert one.terrain is not None
    assert (one.terrain.dem, one.deadline is not None, one.shared_with) == ("aux/dem.tif", True, ("gis", "geo"))
    assert (other.products, other.grid) == (("products/y.zip", "products/z.zip"), None)
    assert other.terrain is not None
    assert other.terrain.height_m == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_separate_as_they_like(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        delimiter.join(["products", "tiles"]) + "\r\n" + delimiter.join(["products/x.zip", "33TUG"]) + "\r\n"
    )
    (row,) = read_table(path, {})
    assert row.execution["inputs"]["grid"]["tiles"] == ["33TUG"]


def test_a_feature_is_a_request_for_its_area(tmp_path: Path) -> None:
    path = tmp_path / "fields.geojson"
    mine = {"products": "products/x.zip", "spacing_m": 20, "crop": 3}
    features = [
        {"type": "Feature", "geometry": POLYGON, "properties": mine},
        {"type": "Feature", "geometry": POLYGON, "properties": None},
        {"type": "Feature", "geometry": POLYGON, "properties": {"tiles": ["33TUG"]}},
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows = read_table(path, {"products": ["products/all.zip"]})
    grids = [row.execution["inputs"]["grid"] for row in rows]
    assert grids == [
        {"kind": "area", "area": POLYGON, "spacing_m": 20},
        {"kind": "area", "area": POLYGON},
        {"kind": "mgrs", "tiles": ["33TUG"]},
    ]
    assert [row.execution["inputs"]["products"] for row in rows] == [
        ["products/x.zip"], ["products/all.zip"], ["products/all.zip"],
    ]  # fmt: skip
    assert rows[1].where == f"{path}: feature 2"
    for row in rows:
        request_of(row.execution)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "", ":1: no request in it"),
        ("a.csv", "products\n", ":1: no request in it"),
        ("a.csv", "product\nx\n", ":1: no such column 'product'; there are products"),
        ("a.csv", "tiles\n33TUG\n", ":1: a column 'products' is needed"),
        ("a.csv", "products,products\n", ":1: a column is named twice"),
        ("a.csv", "products,tiles\nproducts/x.zip\n", ":2: 1 cells, but 2 columns"),
        ("a.csv", "products,tiles\nproducts/x.zip,a,b\n", ":2: 3 cells"),
        ("a.csv", "products,spacing_m\nproducts/x.zip,ten\n", ":2: spacing_m: found 'ten', expected a number"),
        ("a.csv", "products,urgent\nproducts/x.zip,perhaps\n", ":2: urgent: found 'perhaps', expected yes or no"),
        ("a.csv", "products,deadline\nproducts/x.zip,2026-05-01T12:00\n", ":2: deadline: found '2026-05-01T12:00'"),
        ("a.csv", "products,tiles\n,33TUG\n", ":2: products: say which"),
        ("a.csv", "products,tiles,footprint\nproducts/x.zip,33TUG,yes\n", ":2: give either grid or tiles"),
        ("a.csv", 'products\n"products/x.zip\n', ":2: "),
        ("a.csv", "products,area\nproducts/x.zip,nowhere\n", ":2: area: --area nowhere: no such file"),
        ("a.csv", b"products\n\xff\n", ":2: not UTF-8"),
        ("a.geojson", "{", ":1: not JSON"),
        ("a.geojson", '{\n"type": x}', ":2: not JSON"),
        ("a.geojson", "[]", ":1: no GeoJSON: it is a list"),
        ("a.geojson", "[" * 100_000, ": not JSON"),
        ("a.geojson", '{"type": "Topology"}', ": no GeoJSON with polygons: its type is 'Topology'"),
        ("a.geojson", '{"type": "FeatureCollection", "features": []}', ": no GeoJSON with polygons"),
        ("a.geojson", '{"type": "FeatureCollection", "features": [7]}', ": feature 1: expected a Polygon"),
        (
            "a.geojson",
            '{"type": "Feature", "geometry": {"type": "Point"}}',
            ": feature 1: expected a Polygon or MultiPolygon, found Point",
        ),
        ("a.geojson", json.dumps(POLYGON), ": feature 1: products: say which"),
        ("a.xlsx", "x", ": expected a .csv or .geojson file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as wrong:
        read_table(path, {})
    assert str(wrong.value).startswith(f"{path}{says}"), str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_file_that_is_not_there_ends_with_2_and_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", "http://127.0.0.1:9", "batch", str(tmp_path / "none.csv")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "geometry"),
    [
        ("12,41,13,42", POLYGON),
        (" 12 , 41.0, 13, 4.2e1 ", POLYGON),
        ("POLYGON((12 41, 13 41, 13 42, 12 42, 12 41))", POLYGON),
        ("polygon z ((12 41 5, 13 41 5, 13 42 5, 12 42 5, 12 41 5))", POLYGON),
        (
            "MULTIPOLYGON(((12 41,13 41,13 42,12 42,12 41)),((12 41,13 41,13 42,12 42,12 41)))",
            {"type": "MultiPolygon", "coordinates": [[RING], [RING]]},
        ),
    ],
)
def test_areas_are_read_as_people_have_them(text: str, geometry: dict[str, Any]) -> None:
    assert area_of(text) == geometry


def test_an_area_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "area.geojson"
    for document in (POLYGON, {"type": "Feature", "properties": {}, "geometry": POLYGON}):
        path.write_text(json.dumps(document))
        assert area_of(str(path)) == POLYGON
    both = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": POLYGON}] * 2}
    path.write_text(json.dumps(both))
    with pytest.raises(UsageError, match="holds 2 areas"):
        area_of(str(path))


@pytest.mark.parametrize(
    "text",
    [
        "nowhere.geojson", "12,41,13", "13,42,12,41", "12,41,13,99", "1e400,0,1,1", "POLYGON((12 41, 13 41)",
        "POLYGON((12, 13))", "POLYGON(12 41, 13 41)", "POLYGON(((12 41, 13 41)))", "POLYGON((a b))",
        "MULTIPOLYGON((12 41, 13 41))", "POLYGON()", "POLYGON(())", "POINT(1 2)", "POLYGON((1 2)))((1 2))",
    ],
)  # fmt: skip
def test_what_is_no_area_is_told_in_a_line(text: str) -> None:
    with pytest.raises(UsageError) as wrong:
        area_of(text)
    assert "\n" not in str(wrong.value)


def test_every_wish_can_be_typed_and_written_into_a_file() -> None:
    wishes = set(Wishes.__annotations__) - {"options", "grid"}
    assert wishes - {wish for wish, _ in COLUMNS.values()} == set()
    words = (
        "submit products/x.zip --process radar-backscatter "
        "--area 12,41,13,42 --spacing 20 --bands vv --radiometry sigma0 --resampling cubic "
        "--no-noise-removal --scale db --extras acquisition --dem aux/d.tif --geoid aux/g.tif --gipp aux/g "
        "--iers aux/i --orbits aux/o "
        "--patience 9 --deadline 2026-05-01T12:00:00Z --urgent --share gis --keep-days 3 --notify https://x.example/y"
    )
    typed = wishes_of(make_parser().parse_args(words.split()))
    assert wishes - typed.keys() == {"tiles", "request_id"}
    made = execution("products/x.zip", **typed)
    request = request_of(made)
    assert made["process"] == "radar-backscatter"
    assert (request.keep_days, request.shared_with, request.urgent) == (3, ("gis",), True)
    assert made["subscriber"] == {"successUri": "https://x.example/y", "failedUri": "https://x.example/y"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--tile 33TUG --area 12,41,13,42", "give either --tile or --area"),
        ("--footprint --area 12,41,13,42", "give either --area or --footprint"),
        ("--height 3 --dem aux/x", "give either --height, or --dem"),
        ("--area nowhere", "no such file"),
    ],
)
def test_words_that_exclude_each_other_end_with_2(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9", "submit", "products/x.zip", *words.split()]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["submit x --deadline tomorrow", "submit x --deadline 2026-05-01T12:00", "jobs --status done", "nothing", ""],
)
def test_wrong_usage_ends_with_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert "usage: orthoburst" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "exit codes:" in out
    assert "130  interrupted" in out
