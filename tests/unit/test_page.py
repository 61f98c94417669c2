"""What carries the page: who gets it, its headers, and that its files say what the page needs."""

from __future__ import annotations

import gzip
import re
from importlib import resources
from pathlib import Path

import pytest

from fakes.asgi import AsgiClient
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from unit.test_api import make_system

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
FOLDER = Path(str(resources.files("orthofunctions") / "page"))
OURS = sorted(path for path in FOLDER.rglob("*") if path.is_file() and "vendor" not in path.parts)


@pytest.fixture(scope="module")
def system() -> System:
    return make_system(local_user=False)


@pytest.fixture(scope="module")
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="https://orthoburst.example")


@pytest.mark.parametrize(
    ("accept", "query", "is_html"),
    [
        (BROWSER, "", True),
        ("text/html", "", True),
        ("TEXT/HTML;level=1", "", True),
        ("application/json;q=0.5, text/*", "", True),
        ("*/*", "", False),
        ("", "", False),
        ("application/json", "", False),
        ("text/html;q=0.4, application/json", "", False),
        ("text/html;q=0", "", False),
        ("text/html;q=nonsense", "", False),
        (BROWSER, "?f=json", False),
        ("application/json", "?f=html", True),
    ],
)
def test_browsers_get_the_page_and_programs_the_landing_page(accept: str, query: str, is_html: bool) -> None:
    client = AsgiClient(create_app(make_system), base_url="http://127.0.0.1:7071")
    answer = client.get(f"/{query}", headers={"Accept": accept})
    assert answer.status_code == 200
    assert "Accept" in answer.headers["vary"]
    kind = "text/html; charset=utf-8" if is_html else "application/json"
    assert answer.headers["content-type"] == kind


def test_the_page_is_public_and_what_it_asks_for_is_not(client: AsgiClient) -> None:
    assert client.get("/", headers={"Accept": BROWSER}).status_code == 200
    for path in ("/jobs", "/pools", "/pools/history", "/orders", "/costs"):
        assert client.get(path, headers={"Accept": BROWSER}).status_code == 401, path


def test_the_page_loads_nothing_from_elsewhere_but_pictures_of_the_store(client: AsgiClient) -> None:
    headers = client.get("/", headers={"Accept": BROWSER}).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy.pop("img-src") == "'self' memory://results"
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["frame-ancestors"] == "'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "Accept" in headers["vary"]


def test_its_files_are_kept_for_ever_under_their_hash_and_not_under_another(client: AsgiClient) -> None:
    html = client.get("/", headers={"Accept": BROWSER}).text
    addresses = re.findall(r'(?:href|src)="(page/[^"]+)"', html)
    assert len(addresses) > 5
    for address in addresses:
        answer = client.get(f"/{address}")
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    script = next(address for address in addresses if address.endswith("main.js"))
    assert client.get(f"/{script}").headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.get(f"/page/0123456789abcdef/{script.split('/', 2)[2]}").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["nothing.js", "../api/page.py", "..%2fapi%2fpage.py", "index.html", "vendor", ""])
def test_only_its_files_are_served(client: AsgiClient, path: str) -> None:
    answer = client.get(f"/page/0/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_large_files_travel_packed(client: AsgiClient) -> None:
    path = "/page/0/vendor/leaflet/leaflet.js"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content  # httpx unpacks
    assert int(packed.headers["content-length"]) < 0.4 * len(plain.content)


def test_no_text_of_ours_becomes_markup_and_nothing_is_inline() -> None:
    """What the policy forbids would only show as a page that does not work; what it allows is told here."""
    for path in OURS:
        text = path.read_text()
        if path.suffix == ".js":
            for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
                assert danger not in text, (path.name, danger)
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org/)|[\"'(]//\w", text), path.name


def test_the_page_stays_small() -> None:
    """What a browser loads before it can show anything, packed: no more than a picture."""
    first = [*OURS, *(FOLDER / "vendor" / "leaflet").glob("leaflet.*")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) < 110_000
    for path in OURS:
        assert len(path.read_text().splitlines()) <= 300, path.name
