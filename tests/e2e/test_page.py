"""The page in a real browser, over the whole system: order, burst, results on the map, cancel."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
from playwright.sync_api import Page, expect
from rasterio.errors import NotGeoreferencedWarning

from e2e.browsing import Visit, type_area
from e2e.conftest import Site

LONG_MS = 240_000


def test_order_burst_result_on_the_map_and_cancel(
    start_site: Callable[..., Site], scenes: dict[str, Path], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    site = start_site(agents=1, patience_s=1.0, cloud_linger_s=15.0)
    product = site.store.upload_product(scenes["zip"])
    seen = visit(site.stack.api_url)
    page = seen.page
    expect(page.locator("#jobs-list .job")).to_have_count(1, timeout=30_000)  # the standing order's

    # the same area again and again at other sizes: more at once than the centre has slots
    type_area(page, *_box_of(site))
    page.get_by_label(re.compile("^S1A IW")).first.check(timeout=30_000)
    for number, spacing in enumerate(("20", "30", "40", "50"), start=2):
        page.get_by_label("Pixel size (m)").fill(spacing)
        page.get_by_role("button", name="Order", exact=True).click()
        expect(page.locator("#jobs-list .job")).to_have_count(number, timeout=30_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    cloud_workers = page.locator("#pools-cards [data-pool=cloud] .figures div", has_text="workers").locator("dd")
    expect(cloud_workers).not_to_have_text("0", timeout=LONG_MS)
    expect(page.locator(".job [data-state=successful]")).to_have_count(5, timeout=LONG_MS)
    assert site.wait_until_over(5).by_pool["cloud"] > 0
    expect(page.locator(".progress .part[data-kind=cloud]").first).to_be_attached()

    why = page.locator(".job").first
    why.get_by_role("button", name="Why and where").click()
    expect(why.locator(".why").first).to_contain_text(re.compile("on-prem slot|patience"))
    why.get_by_text("What every pool had to offer then").click()
    expect(why.locator("table").first.locator("tbody th")).to_have_text([re.compile("hpc"), re.compile("cloud")])
    expect(why.get_by_role("link", name=re.compile("^Image"))).to_be_visible()

    result_is_where_it_belongs(page, site, product, tmp_path)
    assert [one for one in seen.complaints if "404" not in one] == []
    storage = re.search(r"BlobEndpoint=(https?://[^/;]+)", site.store.connection)
    assert storage is not None
    assert seen.origins() == {site.stack.api_url, storage[1]}
    assert not [url for url in seen.requested if url.startswith(storage[1]) and ".png" not in url]


def result_is_where_it_belongs(page: Page, site: Site, product: str, folder: Path) -> None:
    """The browse image on the screen is compared, pixel by pixel, with the PNG looked up through PROJ."""
    job = next(one for one in site.client.jobs(limit=10) if one.status["source"] == "http")
    row = page.locator(f"[data-job={job.id}]")
    row.get_by_role("button", name="On the map").click()
    canvas = page.locator("canvas.browse")
    expect(canvas).to_have_count(1, timeout=30_000)
    page.wait_for_timeout(800)  # the map comes to rest
    # the picture's corners, where PROJ has them
    (image,) = (path for path in job.download(folder / "shown") if path.suffix == ".tif")
    with rasterio.open(image) as file:
        bounds, epsg, shape = file.bounds, file.crs.to_epsg(), (file.height, file.width)
    to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*_edge(bounds))
    box = canvas.bounding_box()
    assert box is not None
    west, east, south, north = lon.min(), lon.max(), mercator(lat.min()), mercator(lat.max())
    shown = _pixels(page.screenshot(clip=box))[..., :3].mean(axis=-1)
    browse = _pixels(image.with_suffix(".png").read_bytes())
    rows, cols = np.mgrid[0 : shown.shape[0], 0 : shown.shape[1]]
    at_lon = west + (cols + 0.5) / shown.shape[1] * (east - west)
    at_lat = inverse_mercator(north - (rows + 0.5) / shown.shape[0] * (north - south))
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(at_lon, at_lat)
    col = (x - bounds.left) / (bounds.right - bounds.left) * browse.shape[1]
    row_ = (bounds.top - y) / (bounds.top - bounds.bottom) * browse.shape[0]

    def agreement(down: float, right: float) -> float:
        r, c = np.floor(row_ + down).astype(int), np.floor(col + right).astype(int)
        inside = (r >= 0) & (c >= 0) & (r < browse.shape[0]) & (c < browse.shape[1])
        expected, there = browse[r[inside], c[inside]], shown[inside]
        opaque = expected[:, -1] == 255
        assert opaque.mean() > 0.3, (shape, opaque.mean())
        return float(np.corrcoef(expected[opaque, 0], there[opaque])[0, 1])

    shifts = {(down, right): agreement(down, right) for down in (-2, 0, 2) for right in (-2, 0, 2)}
    best = max(shifts, key=shifts.__getitem__)
    assert best == (0, 0), shifts
    assert shifts[best] > 0.8, shifts  # the screen is coarser than the PNG


def test_what_waits_says_for_what_and_can_be_cancelled(
    start_site: Callable[..., Site], scenes: dict[str, Path], visit: Callable[..., Visit]
) -> None:
    site = start_site(agents=0, cloud_limit=0)
    site.store.upload_product(scenes["zip"])
    page = visit(site.stack.api_url).page
    job = page.locator(".job")
    job.get_by_role("button", name="Why and where").click(timeout=30_000)
    expect(job.locator(".why")).to_contain_text("It waits: no pool has workers for it.", timeout=30_000)
    job.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(job.locator("[data-state=dismissed]")).to_have_text("cancelled", timeout=30_000)
    expect(job.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(job.get_by_role("button", name="Why and where")).to_be_focused()
    expect(page.locator("#live")).to_contain_text("cancelled")


def _box_of(site: Site) -> tuple[float, float, float, float]:
    """Around the one product of the store."""
    (product,) = site.client._session.call("GET", "/products")["features"]
    lons, lats = zip(*product["geometry"]["coordinates"][0], strict=True)
    west, south, east, north = (round(edge, 3) for edge in (min(lons), min(lats), max(lons), max(lats)))
    return west, south, east, north


def mercator(lat_deg: Any) -> Any:
    return np.arcsinh(np.tan(np.radians(lat_deg)))


def inverse_mercator(y: Any) -> Any:
    return np.degrees(np.arctan(np.sinh(y)))


def _edge(bounds: Any) -> tuple[Any, Any]:
    """Points all around a rectangle."""
    t = np.linspace(0, 1, 65)
    x, y = bounds.left + t * (bounds.right - bounds.left), bounds.bottom + t * (bounds.top - bounds.bottom)
    low, high = np.full_like(t, bounds.bottom), np.full_like(t, bounds.top)
    left, right = np.full_like(t, bounds.left), np.full_like(t, bounds.right)
    return np.concatenate([x, x, left, right]), np.concatenate([low, high, y, y])


def _pixels(png: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.MemoryFile(png) as memory, memory.open() as file:
            return np.moveaxis(file.read(), 0, -1).astype(np.float64)
