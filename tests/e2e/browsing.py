"""A browser's visit to the page, and what tests do there again and again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SIZES: dict[str, Any] = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 360, "height": 740}}
AUDITS = Path(__file__).with_name("audits.js").read_text()


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that is open, and all it has asked for and complained about. ``routes``: answers by path, a pattern."""

    def __init__(self, context: BrowserContext, url: str, routes: dict[str, Any] | None = None) -> None:
        self.page: Page = context.new_page()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        for path, answer in (routes or {}).items():
            self.page.route(re.compile(f"^{re.escape(url)}{path}$"), _answering(answer))
        self.page.goto(url)

    def origins(self) -> set[str]:
        return {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, self.requested)}

    def audit(self, name: str) -> Any:
        """What ``audits.js`` finds."""
        return self.page.evaluate(f"{AUDITS}.{name}()")


def _answering(answer: Any) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=answer)


def type_area(page: Page, west: float, south: float, east: float, north: float) -> None:
    """Draw a box by its numbers."""
    page.get_by_role("tab", name="New order").click()
    if not page.get_by_label("West").is_visible():
        page.get_by_text("Type it: a box").click()
    for name, value in {"West": west, "South": south, "East": east, "North": north}.items():
        page.get_by_label(name).fill(str(value))
    page.get_by_role("button", name="Use this box").click()
