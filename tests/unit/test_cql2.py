"""Filters: what they hold for, in both ways of writing them, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orthofunctions.domain.cql2 import FilterError, parse_filter

THING: dict[str, Any] = {
    "platform": "sentinel-1a",
    "eo:cloud_cover": 12.5,
    "orbit": 37,
    "datetime": datetime(2026, 3, 10, 12, tzinfo=UTC),
    "created": "2026-03-11T00:00:00Z",
    "odd": "100% a'b_c",
}
NAMES = [*THING, "absent"]


def p(name: str) -> dict[str, str]:
    return {"property": name}


@pytest.mark.parametrize(
    ("text", "document", "holds"),
    [
        ("platform = 'sentinel-1a'", {"op": "=", "args": [p("platform"), "sentinel-1a"]}, True),
        ("platform <> 'sentinel-1a'", {"op": "<>", "args": [p("platform"), "sentinel-1a"]}, False),
        ("eo:cloud_cover < 12.5", {"op": "<", "args": [p("eo:cloud_cover"), 12.5]}, False),
        ('"eo:cloud_cover" <= 12.5', {"op": "<=", "args": [p("eo:cloud_cover"), 12.5]}, True),
        ("properties.eo:cloud_cover > -1e1", {"op": ">", "args": [p("eo:cloud_cover"), -10]}, True),
        ("orbit = 37.0 AND NOT orbit = 38", {"op": "and", "args": [
            {"op": "=", "args": [p("orbit"), 37]}, {"op": "not", "args": [{"op": "=", "args": [p("orbit"), 38]}]},
        ]}, True),
        ("orbit = 1 or orbit = 37 and platform = 'x'", {"op": "or", "args": [
            {"op": "=", "args": [p("orbit"), 1]},
            {"op": "and", "args": [{"op": "=", "args": [p("orbit"), 37]}, {"op": "=", "args": [p("platform"), "x"]}]},
        ]}, False),
        ("(orbit = 1 OR orbit = 37) AND TRUE", {"op": "and", "args": [
            {"op": "or", "args": [{"op": "=", "args": [p("orbit"), 1]}, {"op": "=", "args": [p("orbit"), 37]}]}, True,
        ]}, True),
        ("absent IS NULL", {"op": "isNull", "args": [p("absent")]}, True),
        ("orbit is not null", {"op": "not", "args": [{"op": "isNull", "args": [p("orbit")]}]}, True),
        ("absent = 1", {"op": "=", "args": [p("absent"), 1]}, False),
        ("orbit BETWEEN 30 AND 37", {"op": "between", "args": [p("orbit"), 30, 37]}, True),
        ("orbit NOT BETWEEN 30 AND 37",
         {"op": "not", "args": [{"op": "between", "args": [p("orbit"), 30, 37]}]}, False),
        ("orbit IN (1, 37)", {"op": "in", "args": [p("orbit"), [1, 37]]}, True),
        ("platform not in ('x')", {"op": "not", "args": [{"op": "in", "args": [p("platform"), ["x"]]}]}, True),
        ("platform LIKE 'sentinel-1_'", {"op": "like", "args": [p("platform"), "sentinel-1_"]}, True),
        ("platform LIKE 'sentinel.1%'", {"op": "like", "args": [p("platform"), "sentinel.1%"]}, False),
        ("odd LIKE '100\\% a''b\\_%'", {"op": "like", "args": [p("odd"), "100\\% a'b\\_%"]}, True),
        ("orbit LIKE '3%'", {"op": "like", "args": [p("orbit"), "3%"]}, False),
        ("datetime >= TIMESTAMP('2026-03-10T13:00:00+01:00')",
         {"op": ">=", "args": [p("datetime"), {"timestamp": "2026-03-10T13:00:00+01:00"}]}, True),
        ("datetime < DATE('2026-03-10')", {"op": "<", "args": [p("datetime"), {"date": "2026-03-10"}]}, False),
        ("datetime < '2026-03-11T00:00:00Z'", {"op": "<", "args": [p("datetime"), "2026-03-11T00:00:00Z"]}, True),
        ("created > TIMESTAMP('2026-03-10T00:00:00Z')",
         {"op": ">", "args": [p("created"), {"timestamp": "2026-03-10T00:00:00Z"}]}, True),
        ("orbit = 'x'", {"op": "=", "args": [p("orbit"), "x"]}, False),
        ("orbit < 'x'", {"op": "<", "args": [p("orbit"), "x"]}, False),
        ("orbit <> 'x'", {"op": "<>", "args": [p("orbit"), "x"]}, True),
    ],
)  # fmt: skip
def test_both_ways_of_writing_mean_the_same(text: str, document: dict[str, Any], holds: bool) -> None:
    assert parse_filter(text, NAMES).holds(THING.get) is holds
    assert parse_filter(document, NAMES).holds(THING.get) is holds
    assert parse_filter(text, NAMES) == parse_filter(document, NAMES) or "BETWEEN" in text or "37.0" in text


@pytest.mark.parametrize(
    "text",
    [
        "", "platform", "platform =", "= 1", "colour = 1", "platform = 'a", "platform = 1 platform = 2", "(orbit = 1",
        "orbit in ()", "orbit between 1", "not", "orbit is 1", "orbit not = 1", "orbit ~ 1", "datetime = DATE('then')",
        "orbit = TIMESTAMP(1)", "(" * 50 + "orbit = 1" + ")" * 50, "not " * 50 + "orbit = 1", "x" * 20_000, "{", "{}",
    ],
)  # fmt: skip
def test_text_that_is_no_filter(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text, NAMES)


NESTED: Any = {"op": "=", "args": [p("orbit"), 1]}
for _ in range(50):
    NESTED = {"op": "not", "args": [NESTED]}


@pytest.mark.parametrize(
    "document",
    [
        None, 7, [], {}, {"op": "="}, {"op": "=", "args": []}, {"op": "=", "args": [1, 2]}, {"op": 7, "args": []},
        {"op": "=", "args": [p("colour"), 1]}, {"op": "=", "args": [p("orbit"), {"x": 1}]},
        {"op": "=", "args": [p("orbit"), None]}, {"op": "in", "args": [p("orbit"), 1]},
        {"op": "like", "args": [p("orbit"), 1]}, {"op": "and", "args": []}, {"op": "and", "args": [7]},
        {"op": "s_intersects", "args": [p("geometry"), {}]}, NESTED,
        {"op": "=", "args": [p("orbit"), {"timestamp": 7}]},
    ],
)  # fmt: skip
def test_a_document_that_is_no_filter(document: Any) -> None:
    with pytest.raises(FilterError):
        parse_filter(document, NAMES)


def test_what_a_filter_leaves_of_a_property() -> None:
    assert parse_filter("platform = 'a' and orbit = 1", NAMES).must_equal("orbit") == 1
    assert parse_filter("platform = 'a' or orbit = 1", NAMES).must_equal("orbit") is None
    assert parse_filter("not orbit = 1", NAMES).must_equal("orbit") is None
