"""This release and the one before it: each reads what the other writes. What that one wrote, and by which schemas it
read, is recorded in tests/recorded, whose README says what to do where one of these fails."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from orthocontracts.digests import output_digest
from orthocontracts.model import Document, Message
from orthofunctions.domain.plans import Plan
from orthofunctions.ports import Row
from orthofunctions.usecases.roster import Page
from recorded import DOCUMENTS, SCHEMAS
from recorded.changes import of_models, of_rows
from recorded.tools import kinds

pytestmark = pytest.mark.alone

ACCEPTED: Mapping[str, str] = {}
"""Findings that are meant, and why nothing is lost by them."""

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_BY_PEOPLE = ("SiteSpec", "StandingDefault", "RawRules", "CatalogueSpec")
USE_CASES = [
    "announced",
    "api_batches",
    "callbacks",
    "campaigns_api",
    "functions_collect",
    "functions_dispatch",
    "orders_api",
    "procure",
    "upload_events",
    "wanted",
    "archive_api",
]


@cache
def models() -> dict[str, type[BaseModel]]:
    """Every document and message, by name."""

    def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    known = {one.__name__: one for base in (Document, Message) for one in below(base)}
    return known | {one.__name__: one for one in kinds.MODELS}  # a worker's own words to its children share a name


def is_left_out(model: str, field: str) -> bool:
    about = models()[model].model_fields[field]
    is_none = not about.is_required() and about.get_default(call_default_factory=True) is None
    return is_none or about.exclude_if is not None


def recorded(names: Any) -> list[Any]:
    return [
        pytest.param(name, document, id=f"{name}-{number}")
        for name in sorted(names)
        for number, document in enumerate(DOCUMENTS.get(name, ()))
    ]


class TestWhatTheReleaseBeforeWrote:
    @pytest.mark.parametrize(("kind", "document"), recorded(DOCUMENTS.keys() - {*SCHEMAS["rows"], "Page"}))
    def test_a_document_is_understood_as_it_was_meant(self, kind: str, document: Any) -> None:
        read = models()[kind].model_validate_json(json.dumps(document))
        again = json.loads(read.to_json())  # type: ignore[attr-defined]
        if kind in WRITTEN_BY_PEOPLE:  # who leave out what they do not care for
            assert says_all_of(again, document)
        else:
            assert again == document

    @pytest.mark.parametrize(("kind", "row"), recorded(SCHEMAS["rows"]))
    def test_a_row_is_too(self, kind: str, row: Any) -> None:
        values = {name: datetime.fromisoformat(one["time"]) if isinstance(one, dict) else one
                  for name, one in row["values"].items()}  # fmt: skip
        read = kinds.records_by_name()[kind].from_row(Row(row["partition"], row["key"], values, "etag"))
        again = read.to_row()
        assert (again.partition, again.key, again.etag) == (row["partition"], row["key"], "etag")
        assert {name: again.values.get(name) for name in values} == values

    @pytest.mark.parametrize(("kind", "row"), recorded({"Page"}))
    def test_workers_statuses_are(self, kind: str, row: Any) -> None:
        page = Page.of(Row(row["partition"], row["key"], row["values"], "etag"))
        assert page.agents
        assert page.to_row().values == row["values"]

    @pytest.mark.parametrize(("kind", "document"), recorded({"Plan"}))
    def test_images_keep_their_digests(self, kind: str, document: Any) -> None:
        """Else all that is in the catalogue would be made again."""
        for output in Plan.model_validate_json(json.dumps(document)).outputs:
            assert output_digest(output.identity) == output.digest

    def test_there_is_an_example_of_every_kind(self) -> None:
        known = {one.__name__ for one in kinds.MODELS} | {*kinds.records_by_name(), "Page"}
        assert {*SCHEMAS["models"], *SCHEMAS["rows"], "Page"} >= {*DOCUMENTS}
        lacking = known & ({*SCHEMAS["models"], *SCHEMAS["rows"]} - {*SCHEMAS["parts"]}) - {*DOCUMENTS}
        assert lacking == {"AgentRecord"}, "which lies in a Page"

    def test_nothing_recorded_is_a_secret_or_a_place(self) -> None:
        text = json.dumps(DOCUMENTS)
        assert "sig=c2lnbmF0dXJl" in text
        for found in ("/tmp/", "/root", "/home", "AccountKey", "localhost"):
            assert found not in text
        assert {one.split("&")[0].split('"')[0] for one in text.split("sig=")[1:]} == {"c2lnbmF0dXJl"}


def says_all_of(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(value is None or (key in whole and says_all_of(whole[key], value)) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(says_all_of, whole, part))
    return bool(whole == part)


class TestSchemas:
    def test_no_model_has_changed_so_that_the_release_before_could_not_live_with_it(self) -> None:
        now = kinds.schema_of_models()["$defs"]
        found = [one for one in of_models(SCHEMAS["models"], now, is_left_out) if one not in ACCEPTED]
        assert not found, "\n".join(["see tests/recorded/README.md", *found])

    def test_nor_has_a_row(self) -> None:
        found = [one for one in of_rows(SCHEMAS["rows"], kinds.schema_of_rows()) if one not in ACCEPTED]
        assert not found, "\n".join(["see tests/recorded/README.md", *found])

    def test_names_of_queues_containers_tables_and_topics_are_the_same(self) -> None:
        now = kinds.names_in_use()
        assert {name: now.get(name) for name in SCHEMAS["names"]} == SCHEMAS["names"]


def changed(change: str, to: Any) -> dict[str, Any]:
    """Today's schemas with a change: ``None`` takes away."""
    found = copy.deepcopy(SCHEMAS["models"])
    *path, last = change.split("/")
    node = found
    for one in path:
        node = node[one]
    if to is None:
        del node[last]
    else:
        node[last] = to
    return dict(found)


class TestTheJudge:
    """It is held against changes that would do harm, or none."""

    @pytest.mark.parametrize(
        ("change", "to", "says"),
        [
            ("Report/properties/agent", None, "Report.agent is gone: keep it"),
            ("Ticket", None, "Ticket is gone"),
            ("Ticket/required", [*SCHEMAS["models"]["Ticket"]["required"], "expected_s"], "no default any longer"),
            ("Options/properties/scale/enum", ["linear"], "'db' is gone"),
            ("Options/properties/scale/default", "db", "another default"),
            ("Report/properties/release/minimum", 2, "minimum is 2, was 1"),
            ("Report/properties/token/maxLength", 32, "maxLength is 32, was 64"),
            ("Report/properties/release/type", "string", "it was integer, and is string"),
            ("Release/properties/task_id/pattern", "^x", "pattern is another"),
            ("Ticket/properties/spec/$ref", "#/$defs/Release", "another type"),
            ("Request/properties/deadline/anyOf", [{"type": "null"}], "takes less than it did"),
            ("Report/properties/verdicts/items/$ref", "#/$defs/Fault", "items: it is of another type"),
            (
                "TaskSpec/properties/sharpness",
                {"type": "integer", "default": 1},
                "sharpness is new and always written",
            ),
        ],
    )
    def test_harm_is_found(self, change: str, to: Any, says: str) -> None:
        found = list(of_models(SCHEMAS["models"], changed(change, to), lambda *_: False))
        assert any(says in one for one in found), found

    def test_a_new_field_without_default_is(self) -> None:
        now = changed("Wake/properties/loud", {"type": "boolean"})
        now["Wake"]["required"] = [*now["Wake"]["required"], "loud"]
        (found,) = of_models(SCHEMAS["models"], now, lambda *_: False)
        assert found.startswith("Wake.loud is new and has no default")

    def test_a_field_that_the_release_before_needs_must_be_written(self) -> None:
        now = changed("Wake/required", [])
        (found,) = of_models(SCHEMAS["models"], now, lambda *_: True)
        assert "always write it" in found

    @pytest.mark.parametrize(
        ("change", "to"),
        [
            ("Options/properties/scale/enum", ["linear", "db", "root"]),
            ("Report/properties/token/maxLength", 128),
            ("Report/properties/release/minimum", 0),
            ("Report/properties/release/type", "number"),
            ("Report/properties/trace", {"type": "string", "default": ""}),  # a message: it is ignored
            ("Wake/additionalProperties", False),
        ],
    )
    def test_what_does_none_is_not(self, change: str, to: Any) -> None:
        assert list(of_models(SCHEMAS["models"], changed(change, to), lambda *_: False)) == []

    def test_a_new_field_that_is_left_out_at_its_default_does_none(self) -> None:
        now = changed("TaskSpec/properties/sharpness", {"type": "integer", "default": 1})
        assert list(of_models(SCHEMAS["models"], now, lambda *_: True)) == []

    @pytest.mark.parametrize(
        ("field", "to", "says"),
        [
            ("megapixels", None, "TaskRecord.megapixels is gone"),
            ("megapixels", {"type": "int", "required": False, "default": 0.0}, "was float, and is int"),
            ("megapixels", {"type": "float", "required": True}, "no default any longer"),
            ("megapixels", {"type": "float", "required": False, "default": 1.0}, "another default"),
            ("user", {"type": "str", "required": False, "default": None}, "may be None now"),
            ("colour", {"type": "str", "required": True}, "is new and has no default"),
            ("state", {"type": "TaskState", "enum": ["pending", "parked"], "required": False, "default": "pending"},
             "parked"),
        ],
    )  # fmt: skip
    def test_rows(self, field: str, to: Any, says: str) -> None:
        now = copy.deepcopy(SCHEMAS["rows"])
        if to is None:
            del now["TaskRecord"]["fields"][field]
        else:
            now["TaskRecord"]["fields"][field] = to
        found = list(of_rows(SCHEMAS["rows"], now))
        assert any(says in one for one in found), found

    def test_a_new_column_with_a_default_does_no_harm(self) -> None:
        now = copy.deepcopy(SCHEMAS["rows"])
        now["TaskRecord"]["fields"]["colour"] = {"type": "str", "required": False, "default": ""}
        assert list(of_rows(SCHEMAS["rows"], now)) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the use cases write today, while tests of theirs run: as it was recorded."""
    folder = tmp_path_factory.mktemp("harvest")
    tests = [f"tests/unit/test_{name}.py" for name in USE_CASES]
    tools = [str(ROOT / "tests" / "recorded" / "tools"), *(str(ROOT / one) for one in ("local-dev", "functions"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "harvest", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(tools), "HARVEST": str(folder)},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.slow
class TestWhatThisReleaseWrites:
    def test_the_release_before_takes_every_document_but_for_what_is_new_in_it(self, written: list[Any]) -> None:
        known = [one for one in written if one["kind"] in SCHEMAS["models"]]
        refused = [f"{one['kind']}: {why}" for one in known for why in refusals(one["kind"], one["document"])]
        assert not refused
        told = {one["kind"] for one in known}
        assert told >= {
            "RequestEnvelope",
            "BatchEnvelope",
            "Plan",
            "Ticket",
            "Release",
            "Wake",
            "CatalogueEntry",
            "Wanted",
        }

    def test_and_every_row(self, written: list[Any]) -> None:
        rows = [one for one in written if one["kind"] in SCHEMAS["rows"]]
        for one in rows:
            about = SCHEMAS["rows"][one["kind"]]
            values = one["document"]["values"]
            for name, field in about["fields"].items():
                assert not field["required"] or name in values or name in about["keys"], (one["kind"], name)
                assert "enum" not in field or values.get(name, field["enum"][0]) in field["enum"], (one["kind"], name)
        assert len({one["kind"] for one in rows}) > 15


def refusals(kind: str, document: Any) -> Iterator[str]:
    """Why a reader of the release before refuses a document, other than for a field that is used and was not there."""
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMAS["models"]}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        yield from _leaves(error)


def _uses_what_is_new(error: jsonschema.ValidationError) -> bool:
    """Whether all that is in the way are fields which are left out where they are at their default."""
    if error.validator != "additionalProperties":
        return False
    model = next((name for name, schema in SCHEMAS["models"].items() if schema == error.schema), "")
    extra = {*error.instance} - {*error.schema["properties"]}
    fields = models()[model].model_fields if model in models() else {}
    return all(name in fields and is_left_out(model, name) for name in extra)


def _leaves(error: jsonschema.ValidationError) -> Iterator[str]:
    if error.context:
        for inner in error.context:
            yield from _leaves(inner)
    elif not _uses_what_is_new(error):
        yield f"{error.json_path}: {error.message}"


def test_a_reader_of_the_release_before_refuses_what_it_would_have() -> None:
    request = {"request_id": "r1", "products": ["products/a.tif"]}
    assert list(refusals("Request", request)) == []
    assert "sharpness" in " ".join(refusals("Request", {**request, "sharpness": 2}))
    assert list(refusals("Wake", {"v": 1, "reason": "x", "loud": True})) == [], "messages are read leniently"
    batch = {"v": 1, "batch": "b", "user": "u", "at": "2026-05-01T00:00:00Z"}
    assert list(refusals("BatchEnvelope", batch)) == []
    assert list(refusals("BatchEnvelope", {**batch, "loud": True}))
    trace = {"v": 1, "request": request, "traceparent": "00-…"}
    assert list(refusals("RequestEnvelope", trace)) == [], "it does refuse that, but only where a trace is carried"
