"""Whom the page leaves out: nobody who types, hears, has a phone, likes it dark. And bad names, keys, geometry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from playwright.sync_api import expect

from e2e.browsing import SIZES, Visit, type_area
from e2e.conftest import Site, site_starter
from orthofunctions.bootstrap import build
from orthofunctions.domain.principals import Scope
from orthofunctions.settings import Settings
from orthofunctions.usecases.keys import KeyOrder, make_key

ROME_BOX = (12.35, 41.75, 12.6, 42.0)


@pytest.fixture(scope="module")
def quiet_site(tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Path]) -> Iterator[Site]:
    """Without workers: the one job that the standing order made waits. Tests only look at it."""
    with site_starter(tmp_path_factory.mktemp("quiet"), scenes) as start:
        site = start(agents=0, cloud_limit=0)
        site.store.upload_product(scenes["zip"])
        site.wait_until("the job is planned", lambda seen: bool(seen.tasks))
        yield site


def test_by_mouse_finger_keyboard_and_numbers_an_area_is_the_same_order(
    quiet_site: Site, visit: Callable[..., Visit]
) -> None:
    page = visit(quiet_site.stack.api_url, has_touch=True).page
    size = page.get_by_text(re.compile(r"km² between"))
    box = page.locator("#map").bounding_box()
    assert box is not None
    left, top = box["x"] + 200, box["y"] + 150

    page.get_by_role("button", name="Rectangle").click()
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 60, top + 40, steps=4)
    page.mouse.up()
    expect(size).to_be_visible()
    drawn = size.inner_text()

    page.get_by_role("button", name="Clear").click()
    expect(size).to_be_hidden()
    page.get_by_role("button", name="Polygon").click()
    for x, y in ((0, 0), (60, 0), (60, 40), (0, 40)):
        page.touchscreen.tap(left + x, top + y)
        page.wait_for_timeout(400)  # two taps within a moment are a double tap
    page.keyboard.press("Enter")
    expect(size).to_have_text(drawn)

    page.get_by_role("button", name="Polygon").click()
    page.mouse.click(left, top)
    page.keyboard.press("Escape")
    expect(size).to_be_hidden()
    expect(page.get_by_role("button", name="Polygon")).to_have_attribute("aria-pressed", "false")

    type_area(page, *ROME_BOX)
    expect(size).to_contain_text("between 12.35° and 12.6° east, 41.75° and 42° north")
    page.get_by_label("South").fill("50")
    page.get_by_role("button", name="Use this box").click()
    expect(page.get_by_text("South must be below north")).to_be_visible()


def test_what_others_are_called_is_text(quiet_site: Site, visit: Callable[..., Visit]) -> None:
    evil = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    job = {"jobID": "j1", "status": "running", "progress": 40, "message": evil, "created": "2026-05-01T12:00:00Z"}
    job |= {"request_id": evil, "source": evil, "processID": "orthorectify", "type": "process"}
    figures = {"kind": "cloud", "basis": evil, "free_slots": 1, "start_in_s": 1, "transfer_s": 0, "run_s": 1}
    task = {"task_id": evil, "title": evil, "state": "running", "pool": evil, "agent": evil, "progress": 0.4}
    task |= {"failures": 0, "silences": 0, "waits": evil, "fault": {"kind": evil, "message": evil}}
    task |= {"decision": {"pool": evil, "sentence": evil, "figures": {evil: {**figures, "cost_eur": 1}}}}
    output = {"digest": "d", "title": evil, "pool": evil}
    output |= {"image": {"blob": "b", "size_bytes": 1, "md5": "", "href": "javascript:document.title='taken'"}}
    worker = {"agent": evil, "state": evil, "slots": 1, "running": [], "machine": evil, "heard": "2026-05-01T12:00:00Z"}
    pool = {"pool": evil, "kind": "cloud", "paused": False, "slots": 1, "running": 1, "queued": 0, "agents": 1}
    order = {"id": evil, "title": evil, "user": evil, "products": {"missions": [evil]}, "options": {"scale": evil}}
    feature = {"type": "Feature", "geometry": None, "properties": {"ref": f"products/{evil}", "name": evil}}
    item = {"id": evil, "type": "Feature", "geometry": None, "properties": {"title": evil, "datetime": evil}}
    item["assets"] = {"data": {"href": "javascript:document.title='taken'"}}
    costs = {"month": "2026-05", "budget_eur": 1, "forecast_eur": 1, "spent_eur": 0, "reserved_eur": 0}
    costs |= {"on_prem_slot_s": 0, "cloud_slot_s": 0, "users": [{**costs, "user": evil, "cloud_slot_s": 0}]}
    costs["users"][0]["on_prem_slot_s"] = 0
    stretch = {"phase": evil, "start": "2026-05-01T12:00:00Z", "end": "2026-05-01T12:00:10Z", "seconds": 10}
    stretch |= {"pool": evil, "agent": evil, "says": evil, "release": 1, "delivery": 1}
    lane = {"title": evil, "state": evil, "joined": False, "critical": True, "seconds": 10, "segments": [stretch]}
    trace = {"created": "2026-05-01T12:00:00Z", "as_of": "2026-05-01T12:00:10Z", "total_s": 10, "path": [stretch]}
    trace |= {"phases": {evil: 10}, "tasks": [lane | {"run": {"slow": True, "says": evil}}], "events": []}
    trace |= {"longest": {"summary": evil, "says": [evil]}, "callbacks": []}
    routes = {
        r"jobs\?.*": {"jobs": [job], "links": []},
        "jobs/j1/explain": {"jobID": "j1", "tasks": [task], "joined_tasks": [], "outputs": [output]},
        "jobs/j1/trace": trace,
        r"jobs/j1/results\?.*": {"outputs": [output]},
        "pools": {"pools": [{**pool, "workers": [worker]}], "pending": 0},
        "orders": {"orders": [order]},
        "costs": costs,
        r"products\?.*": {"type": "FeatureCollection", "features": [feature]},
        "stac/search": {"type": "FeatureCollection", "features": [item], "links": []},
    }
    seen = visit(quiet_site.stack.api_url, routes)
    page = seen.page
    page.get_by_role("button", name="Why and where").click()
    expect(page.locator(".task .why.bad")).to_contain_text("<script>")
    for summary in page.locator("summary:visible").all():
        summary.click()
    type_area(page, *ROME_BOX)
    expect(page.locator(".products li")).to_contain_text("<script>")
    assert page.title() == "orthoburst"
    assert page.locator("main img, main script").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0
    assert seen.complaints == []


def test_a_key_is_asked_for_kept_in_the_tab_and_never_in_an_address(
    start_site: Callable[..., Site], visit: Callable[..., Visit]
) -> None:
    site = start_site(agents=0, cloud_limit=0, functions={"ORTHOBURST_LOCAL_USER": "false"})
    system = build(Settings.model_validate({"ORTHOBURST_STORAGE": site.store.connection}))
    key, _ = make_key(system.ports, KeyOrder("page", "somebody", frozenset({Scope.READ}), "local"))
    system.close()
    seen = visit(site.stack.api_url)
    page = seen.page
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible(timeout=20_000)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#pulse")).to_have_text("an API key is needed", timeout=20_000)
    expect(page.locator("#jobs-notice")).to_contain_text("API key")
    page.get_by_role("button", name="API key").click()
    page.get_by_role("textbox", name="Key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#pulse")).to_contain_text("waiting", timeout=20_000)
    expect(page.locator("#jobs-empty")).to_contain_text("No jobs yet")
    assert not [url for url in seen.requested if key in url]
    assert page.evaluate("[Object.values(sessionStorage), Object.values(localStorage)]") == [[key], []]
    assert page.context.cookies() == []


def test_places_are_those_of_proj(quiet_site: Site, visit: Callable[..., Visit]) -> None:
    """Corners of images in every projection that they come in, to a centimetre; between the nodes to 3 m."""
    page = visit(quiet_site.stack.api_url).page
    module = page.evaluate("document.querySelector('script[type=module]').src.replace('main.js', 'map/')")
    places = {
        32633: (300_000.0, 5_000_000.0), 32601: (399_960.0, 9_200_000.0), 32756: (609_780.0, 1_200_000.0),
        32719: (200_000.0, 6_100_000.0), 3413: (1_400_000.0, -700_000.0), 3031: (-1_000_000.0, 2_100_000.0),
        4326: (179.5, -33.0),
    }  # fmt: skip
    for epsg, (x, y) in places.items():
        found = page.evaluate(
            "async ([at, epsg, x, y]) => (await import(at + 'projection.js')).inverse(epsg)(x, y)",
            [module, epsg, x, y],
        )
        lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
        *_, off_m = pyproj.Geod(ellps="WGS84").inv(lon, lat, *found)
        assert off_m < 0.01, (epsg, found, (lon, lat))
    assert page.evaluate("async (at) => (await import(at + 'projection.js')).inverse(2154)", module) is None
    # between the nodes of the mesh a triangle is flat: how far that is from the truth, on a tile of 110 km
    for epsg, x, y in ((32633, 300_000, 4_700_040), (32633, 399_960, 7_800_000)):
        box = [x, y, x + 109_800, y + 109_800]
        nodes = page.evaluate(
            "async ([at, epsg, box]) => (await import(at + 'warp.js')).mesh(epsg, box)", [module, epsg, box]
        )
        cells = round(len(nodes) ** 0.5) - 1
        grid = np.array(nodes).reshape(cells + 1, cells + 1, 2)
        middle = (grid[:-1, 1:] + grid[1:, :-1]) / 2  # of the edge that the two triangles of a cell share
        step = 109_800 / cells
        cols, rows = np.meshgrid(np.arange(cells) + 0.5, np.arange(cells) + 0.5)
        to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
        lon, lat = to_lonlat.transform(x + cols * step, y + 109_800 - rows * step)
        truth = np.stack([lon, np.degrees(mercator(lat))], axis=-1)
        metres = np.radians(np.hypot(*(middle - truth).T)) * 6_378_137 * np.cos(np.radians(lat.mean()))
        assert metres.max() < 3, (epsg, y, metres.max())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_text_stands_out_and_fits(quiet_site: Site, visit: Callable[..., Visit], scheme: str, size: str) -> None:
    seen = visit(quiet_site.stack.api_url, color_scheme=scheme, viewport=SIZES[size], reduced_motion="reduce")
    page = seen.page
    page.get_by_role("button", name="Why and where").click(timeout=30_000)
    type_area(page, *ROME_BOX)
    for summary in page.locator("summary:visible").all():
        summary.click()
    faint = seen.audit("faint")
    assert faint == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    theme = page.get_by_label("Colours")
    theme.select_option("dark" if scheme == "light" else "light")
    assert seen.audit("faint") == []
    page.reload()
    assert theme.input_value() == ("dark" if scheme == "light" else "light")


def test_all_controls_are_reached_by_tab_and_have_names(quiet_site: Site, visit: Callable[..., Visit]) -> None:
    seen = visit(quiet_site.stack.api_url)
    page = seen.page
    expect(page.locator(".job h3")).to_contain_text("S1A IW", timeout=30_000)
    expect(page.locator("#pools-cards .pool")).to_have_count(2)
    wanted = seen.audit("controls")
    assert len(wanted) > 20
    reached, outlined = set(), set()
    for _ in range(len(wanted) + 10):
        page.keyboard.press("Tab")
        name, outline = seen.audit("focused")
        reached.add(name)
        if outline != "none":
            outlined.add(
                name
            )  # within a date's field Tab stops several times, at its button the browser draws the line
    assert [name for name in wanted if name not in reached] == []
    assert reached - outlined <= {""}
    assert seen.audit("nameless") == []
    assert [one.inner_text() for one in page.locator("h1").all()] == ["orthoburst"]
    assert page.locator("main").count() == page.locator("nav[aria-label]").count() == 1
    for table in page.locator("table").all():
        assert table.locator("th[scope]").count() > 0
    tab = page.get_by_role("tab", name="Results")
    tab.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="New order")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="New order")).to_be_visible()


def mercator(lat_deg: Any) -> Any:
    return np.arcsinh(np.tan(np.radians(lat_deg)))
