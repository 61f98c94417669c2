"""``./local-dev/screenshots``: the pictures of ``docs/page.md``, of the system at work, in this machine's Chromium."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from localdev.demo.work import DEM_REF, Store, default_order
from localdev.scene import SceneSpec, make_sentinel1
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from orthoburst import Client
from orthocontracts import names

CHROMIUM = "/usr/bin/chromium"
PICTURES: dict[str, dict[str, Any]] = {
    "page-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "page-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "page-phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "device_scale_factor": 1.5},
}
MOST_BYTES = 300_000
PATIENCE_S = 2.0
LONG_MS = 600_000
LONGEST_PX = 2700
SPACINGS_M = (10, 15, 20, 25, 30, 35)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./local-dev/screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        spec = StackSpec(
            folder=Path(scratch) / "stack",
            agents=1,
            patience_s=PATIENCE_S,
            cloud_startup_s=1.0,
            cloud_linger_s=60.0,
            functions={"ORTHOBURST_MONTH_BUDGET_EUR": "25"},
        )
        with Stack(spec) as stack, Client(stack.api_url) as client:
            _work(Store(stack.azurite.connection_string), client, Path(scratch))
            _photograph(stack.api_url, folder)
    return 0


def _work(store: Store, client: Client, scratch: Path) -> None:
    """A scene of mountains, ordered in more sizes at once than the centre has slots for."""
    scene = make_sentinel1(
        SceneSpec(scratch / "scene", size_lines_samples=(1800, 2000), fractal_seed=7, relief_m=3000, zip_it=True)
    )
    assert scene.dem_path is not None
    store.upload_aux(scene.dem_path, DEM_REF)
    write_setting(store.connection, names.BLOB_DEFAULT_ORDER, default_order(PATIENCE_S))
    product = store.upload_product(scene.path)
    jobs = [
        client.submit(
            [product],
            grid={"kind": "footprint", "spacing_m": spacing_m},
            terrain={"dem": DEM_REF},
            patience_s=PATIENCE_S,
            request_id=f"picture-{spacing_m}",
        )
        for spacing_m in reversed(SPACINGS_M)
    ]
    for job in jobs:
        job.watch(timeout_s=LONG_MS / 1000)


def _photograph(url: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, options in PICTURES.items():
            _picture(browser, url, options, folder / f"{name}.jpg")
        browser.close()


def _picture(browser: Browser, url: str, options: dict[str, Any], target: Path) -> None:
    with browser.new_context(**options, reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(url)
        page.get_by_label("Last").select_option("0.25")
        page.get_by_role("button", name="Why and where").first.click()
        page.get_by_role("button", name="On the map").nth(1).click()
        page.locator("canvas.browse").wait_for(timeout=LONG_MS)
        page.wait_for_timeout(5000)
        page.evaluate("scrollTo(0, 0)")
        for quality in (85, 75, 65, 55):
            height = page.evaluate("document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": options["viewport"]["width"], "height": min(height, LONGEST_PX)}
            target.write_bytes(page.screenshot(full_page=True, clip=clip, type="jpeg", quality=quality))  # type: ignore[arg-type]
            if target.stat().st_size <= MOST_BYTES:
                break
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
