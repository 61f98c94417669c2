"""The handbook builds, links lead somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from localdev.handbook import MADE, TOP, relinked


def build(folder: Path, config: Path = TOP / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)]
    path = f"{TOP / 'local-dev'}:{TOP / 'functions'}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1", "HOME": str(folder.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_it_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    made = build(tmp_path / "book")
    assert made.returncode == 0, made.stderr
    pages = list((tmp_path / "book").rglob("index.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text()
        assert not re.findall(r"<(?:script|img|iframe)[^>]*src=\"?https?:[^>]*>", text), page
        assert not re.findall(r"<link[^>]*stylesheet[^>]*https?:[^>]*>", text), page
    kernel = (tmp_path / "book/reference/kernel/index.html").read_text()
    for name in ("open_product", "orthorectify", "ground_to_image", "dem_coverage"):
        assert name in kernel


@pytest.mark.slow
def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("[there](nowhere.md) [and there](index.md#not-a-heading)")
    settings = (TOP / "mkdocs.yml").read_text()
    parts = [part for part in re.split(r"\n(?=\w)", settings) if not part.startswith(("hooks", "nav", "site_dir"))]
    (tmp_path / "mkdocs.yml").write_text("\n".join(parts) + "\nnav: [index.md]\n")
    made = build(tmp_path / "book", tmp_path / "mkdocs.yml")
    assert made.returncode != 0
    assert "nowhere.md" in made.stderr
    assert "not-a-heading" in made.stderr


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("client.md", "[a](page.md#part)", "[a](page.md#part)"),
        ("client.md", "[a](../ARCHITECTURE.md)", "[a](ARCHITECTURE.md)"),
        ("client.md", "[a](../README.md)", "[a](index.md)"),
        ("client.md", "[`a`](../infra/mosquitto/orthoburst.acl)", "`a`"),
        ("reference/kernel.md", "[a](../client.md)", "[a](../client.md)"),
        ("ARCHITECTURE.md", "[a](README.md) [b](docs/page.md)", "[a](index.md) [b](page.md)"),
        ("infra/README.md", "[a](../docs/hpc.md) [b](eventgrid/README.md)", "[a](../hpc.md) [b](eventgrid/README.md)"),
        ("client.md", "[a](https://example.org) [b](#here) [c](nowhere.md)", None),
        ("client.md", "```python\njobs[0](../README.md)\n```", None),
    ],
)
def test_links_are_those_of_the_repository(page: str, link: str, expected: str | None) -> None:
    assert relinked(link, page) == (expected or link)


def test_every_command_and_every_route_is_there() -> None:
    commands, routes = (MADE[f"reference/{name}.md"]() for name in ("commands", "http"))
    for name in ("orthoburst submit", "orthokernel ortho", "orthoagent scale"):
        assert f"`{name}`" in commands
    for path in ("/processes/{process}/execution", "/stac/search", "/whoami"):
        assert f"`{path}`" in routes


# The table of threats ---------------------------------------------------------------------------------------------


def threats() -> list[list[str]]:
    """Cells of the rows of the table: door, what is tried, what stops it, tried in, what is left."""
    lines = [line for line in (TOP / "docs/threats.md").read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_threat_says_what_stops_it_and_names_its_test() -> None:
    rows = threats()
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 5, row
        assert row[1], row
        assert row[2], row
        assert re.search("`test_|nowhere here", row[3]), row


def test_every_test_that_the_table_of_threats_names_exists() -> None:
    named = {name for row in threats() for name in re.findall(r"`(test_[^`]+)`", row[3])}
    assert len(named) > 60
    found = {f"{path.stem}::{name}" for path in (TOP / "tests").rglob("test_*.py")
             for name in re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.MULTILINE)}  # fmt: skip
    assert named <= found, sorted(named - found)


def test_every_door_has_its_threats() -> None:
    doors = {row[0].split("**")[1] for row in threats() if row[0]}
    assert {"API", "Callbacks", "Product files", "MQTT", "Tickets and links", "Settings files", "Page", "Logs"} <= doors
    for queue in ("requests", "results", "capacity"):
        assert f"Queue `{queue}`" in doors
