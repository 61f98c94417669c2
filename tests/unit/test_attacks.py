"""What somebody tries who means harm: each of these once cost a process its memory, its time or its disk."""

from __future__ import annotations

import io
import json
import logging
import struct
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from rich.table import Table

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.products import ROME, S2_RINGS, S2_TILE, manifest_of, packed, safe_zip
from localdev.host.logs import JsonFormatter
from orthoagent.adapters.sites import unpack
from orthoagent.errors import FaultError
from orthoagent.logs import JsonLines
from orthoagent.procure.whole import NotWholeError, whole_product
from orthoburst.job import Job
from orthoburst.result import Result, ResultFile
from orthoburst.search import Item
from orthoburst.terminal import Terminal, plain
from orthocontracts.outputs import Source
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.catalogues import CataloguesFileError, parse_catalogues
from orthofunctions.domain.cql2 import FilterError, parse_filter
from orthofunctions.domain.faults import UnsafeProductError
from orthofunctions.domain.pools import PoolsFileError, parse_site
from orthofunctions.domain.raw_rules import ArchiveFileError, parse_raw_rules
from orthofunctions.ports import BlobFacts
from orthofunctions.settings import Settings
from orthofunctions.usecases.clouds import cloud_cover_percent
from orthofunctions.usecases.ranged import MOST_DIRECTORY_BYTES, ranged_zip

pytestmark = pytest.mark.alone

NAMES = ("id", "orbit")


class TestFilters:
    """CQL2 that is cheap to write and dear to hold against every row of the catalogue."""

    @pytest.mark.parametrize("piece", ["%a", "%_", "a%%_", "%a_"])
    def test_a_like_of_many_wildcards_takes_no_time(self, piece: str) -> None:
        wanted = parse_filter({"op": "like", "args": [{"property": "id"}, f"{piece * 30}!"]}, NAMES)
        began = time.monotonic()
        assert not wanted.holds({"id": "a" * 200}.get)
        assert time.monotonic() - began < 0.5

    @pytest.mark.parametrize(
        ("pattern", "value", "holds"),
        [
            ("%", "", True), ("", "", True), ("", "a", False), ("a%", "a", True), ("%a", "ba", True),
            ("%ab%ab", "ab", False), ("%ab%ab", "abab", True), ("a%a", "a", False), ("%a%b%", "xaybz", True),
            ("%ab", "aab", True), ("a_c%", "abcd", True), ("%\\%%", "10%", True), ("%\\%%", "10", False),
            ("%\\_x", "a_x", True), ("%\\_x", "abx", False), ("%a_b%a_b", "a1ba2b", True), ("%.%", "a", False),
        ],
    )  # fmt: skip
    def test_it_means_what_it_meant(self, pattern: str, value: str, holds: bool) -> None:
        wanted = parse_filter({"op": "like", "args": [{"property": "id"}, pattern]}, NAMES)
        assert wanted.holds({"id": value}.get) is holds

    @pytest.mark.parametrize(
        "document",
        [
            {"op": "in", "args": [{"property": "orbit"}, list(range(20_000))]},
            {"op": "or", "args": [{"op": "=", "args": [{"property": "orbit"}, 1]}] * 2_000},
            {"op": "like", "args": [{"property": "id"}, "%a" * 50_000]},
        ],
    )
    def test_one_that_is_too_long_is_refused_as_json_too(self, document: Any) -> None:
        with pytest.raises(FilterError, match="at most"):
            parse_filter(document, NAMES)


def directory_of(n_members: int) -> bytes:
    """A zip that is all directory: every member lies at its beginning."""
    member = b"PK\x01\x02" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = member * n_members
    size = len(directory)
    return (
        directory
        + b"PK\x06\x06"
        + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, n_members, n_members, size, 0)
        + b"PK\x06\x07"
        + struct.pack("<IQI", 0, size, 1)
        + b"PK\x05\x06"
        + struct.pack("<4H2IH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


class TestZips:
    def test_one_of_a_million_members_is_not_listed(self) -> None:
        """85 MB of directory were 957 MB of memory, in a process that has 2 GB and does sixteen at a time."""
        data = directory_of(MOST_DIRECTORY_BYTES // 47 + 100)
        read: list[int] = []

        class Reader:
            def read(self, container: str, name: str, *, offset: int, length: int, etag: str | None) -> bytes:
                read.append(offset)
                return data[offset:][:length]

        blob = BlobFacts("products", f"{ROME}.zip", len(data), "e", None, datetime.now(UTC))
        with pytest.raises(UnsafeProductError, match="more than 2 MB of metadata"), ranged_zip(Reader(), blob):  # type: ignore[arg-type]
            pass
        assert len(read) < 3, "its end alone was looked at"

    def test_one_of_many_files_still_is(self) -> None:
        ports = memory_ports()
        ports.blobs.write("products", "a.zip", safe_zip(extra={f"annotation/{n}.xml": b"x" for n in range(5_000)}))
        facts = ports.blobs.facts("products", "a.zip")
        assert facts is not None
        with ranged_zip(ports.blobs, facts) as archive:
            assert len(archive.namelist()) > 5_000

    def test_a_member_of_a_store_that_is_larger_than_promised_is_not_unpacked(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.SAFE/b.tiff", bytes(64 << 20))
        with pytest.raises(FaultError) as raised:
            unpack(tmp_path / "a.zip", "a.SAFE/b.tiff", tmp_path / "out/b.tiff", 1000, "b.tiff")
        assert raised.value.fault.kind == "InputChanged"
        assert not (tmp_path / "out/b.tiff").exists(), "nothing was written"

    def test_a_bomb_from_a_provider_is_not_read_through(self, tmp_path: Path) -> None:
        name = ROME
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(f"{name}.SAFE/manifest.safe", "<x/>")
            with archive.open(f"{name}.SAFE/measurement/a.tiff", "w", force_zip64=True) as member:
                for _ in range(400):
                    member.write(bytes(1 << 20))
        with pytest.raises(NotWholeError, match="which is no product"):
            whole_product(tmp_path, name)


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
)


class TestSettings:
    """Whoever may write settings may do much, but a slip or a joke in one file is not to stop the site."""

    @pytest.mark.parametrize(
        "text", [BOMB + b"pools: *j\n", b"pools: &a [*a]\n", b"pools: " + b"[" * 2_000], ids=["bomb", "ring", "deep"]
    )
    @pytest.mark.parametrize(
        ("parse", "error"),
        [
            (parse_site, PoolsFileError),
            (parse_catalogues, CataloguesFileError),
            (parse_raw_rules, ArchiveFileError),
        ],
        ids=["pools", "catalogues", "archive"],
    )
    def test_yaml_that_stands_for_too_much_is_refused_at_once(
        self, parse: Callable[[bytes], Any], error: type[Exception], text: bytes
    ) -> None:
        began = time.monotonic()
        with pytest.raises(error):
            parse(text)
        assert time.monotonic() - began < 10, "it took for ever"

    def test_aliases_may_be_used(self) -> None:
        site = parse_site(b"pools:\n- &one {name: a, kind: onprem, max_slots: 4}\n- {<<: *one, name: b}\n")
        assert [(one.name, one.max_slots) for one in site.pools] == [("a", 4), ("b", 4)]


SPOKEN = "x\x1b]0;taken\x07y\x1b[2Jz\x9b31m\rw \u202eo\u2066p"


class TestTerminals:
    """A worker that was taken over says why a task failed, and a user reads it."""

    def test_nothing_the_service_says_is_obeyed(self) -> None:
        table = Table("why")
        table.add_row(SPOKEN)
        for shown in (SPOKEN, table):
            written = io.StringIO()
            terminal = Terminal(file=written, force_terminal=True, width=100, color_system="truecolor")
            terminal.print(shown, markup=False, highlight=False, soft_wrap=True)
            text = written.getvalue()
            for evil in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\r", "\u202e", "\u2066"):
                assert evil not in text, evil
            assert "taken" in text

    def test_ordinary_words_stay(self) -> None:
        assert plain("Élé ments\n\tβ 33TTG – 5 µm 日本") == "Élé ments\n\tβ 33TTG – 5 µm 日本"


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


STRANGE = {
    "deep": deep(20_000),
    "wide": b"[" + b"1," * 300_000 + b"1]",
    "huge number": b'{"inputs": {"patience_s": ' + b"9" * 400_000 + b"}}",
    "infinite": b'{"inputs": {"patience_s": 1e999}}',
    "twice": b'{"inputs": {}, "inputs": {"products": ["products/a.tif"]}}',
    "no text": b"\xff\xfe{}",
    "half a surrogate": b'{"inputs": {"request_id": "\\ud800"}}',
    "NUL": b'{"inputs": {"request_id": "a\\u0000b"}}',
    "a ring of points": json.dumps(
        {"inputs": {"grid": {"kind": "area", "area": {"type": "Polygon", "coordinates": [[[0, 0]] * 60_000]}}}}
    ).encode(),
}


@pytest.mark.parametrize("path", ["/processes/orthorectify/execution", "/orders", "/batches", "/stac/search", "/keys"])
@pytest.mark.parametrize("what", list(STRANGE))
def test_no_body_is_too_strange_to_be_refused(what: str, path: str) -> None:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    system = System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())
    client = AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")
    began = time.monotonic()
    answer = client.post(path, content=STRANGE[what], headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 5_000, "what was sent is not sent back"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("formatter", [JsonLines(), JsonFormatter()], ids=["agent", "host"])
def test_a_log_line_stays_one_line(formatter: logging.Formatter) -> None:
    """Whoever names a product, or says why a task failed, writes no line of ours."""
    said = 'x\n{"at": "2026", "level": "info", "action": "committed"}\r\n\x1b[2J'
    record = logging.LogRecord("orthofunctions", logging.WARNING, __file__, 1, "cannot plan: %s", (said,), None)
    line = formatter.format(record)
    assert len(line.split("\n")) == 1
    assert not set(line) & {"\r", "\x1b"}
    assert said in json.loads(line)["message"]


def test_texts_of_the_service_are_escaped_in_a_notebook() -> None:
    evil = "<img src=x onerror=alert(1)>'\"&"
    job = Job(None, {"jobID": evil, "status": evil, "title": evil, "message": evil, "progress": 10})  # type: ignore[arg-type]
    result = Result(digest=evil, title=evil, files={"image": ResultFile("javascript:alert(1)", 1, evil)})
    item = Item({"id": evil, "collection": evil, "properties": {"datetime": evil}, "assets": {evil: {"href": "x"}}})
    for shown in (job._repr_html_(), result._repr_html_(), item._repr_html_()):
        assert "<img" not in shown
        assert "onerror=alert(1)&gt;" in shown
    assert "/" not in result.file_stem, "nor is a file written elsewhere"


def test_a_product_without_its_metadata_says_nothing_of_clouds() -> None:
    """It was an error of the function that looks through new products, five times over."""
    ports = memory_ports()
    folder, files = packed(S2_TILE, "2")
    del files["MTD_MSIL1C.xml"]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in {**files, "manifest.safe": manifest_of(files, S2_RINGS[S2_TILE], "2")}.items():
            archive.writestr(f"{folder}/{path}", content)
    ports.blobs.write("products", f"{S2_TILE}.zip", data.getvalue())
    source = Source(ref=f"products/{S2_TILE}.zip", content="c", size_bytes=1)
    product = SimpleNamespace(product_type="L1C", source=source)
    assert cloud_cover_percent(ports.blobs, product) is None  # type: ignore[arg-type]
