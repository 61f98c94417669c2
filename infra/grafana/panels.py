"""Pieces of a Grafana dashboard, in its classic JSON model (schema version 39: Grafana 10.4 and later)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 39
WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """PromQL, and what its series are called: ``{{pool}}`` is a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture: its kind, what it says, its queries, and its size in columns (of 24) and rows."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    width: int = 8
    height: int = 8
    decimals: int | None = None
    custom: Mapping[str, Any] | None = None
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)


@dataclass(frozen=True)
class Row:
    """A heading with panels below it, laid out from left to right."""

    title: str
    panels: tuple[Panel, ...]


def lines(title: str, description: str, *queries: Query, unit: str = "short", width: int = 8) -> Panel:
    return Panel("timeseries", title, description, queries, unit, width, custom=_drawn("none"))


def areas(title: str, description: str, *queries: Query, unit: str = "short", width: int = 8) -> Panel:
    """Lines that add up, one on the other."""
    return Panel("timeseries", title, description, queries, unit, width, custom=_drawn("normal"))


def number(title: str, description: str, expr: str, unit: str = "short", *, warn: float | None, bad: float) -> Panel:
    """One figure, green, orange from ``warn`` and red from ``bad``."""
    steps: list[tuple[str, float | None]] = [("green", None)]
    if warn is not None:
        steps.append(("orange", warn))
    return Panel("stat", title, description, (Query(expr),), unit, 4, 4, steps=(*steps, ("red", bad)))


def dashboard(*, uid: str, title: str, description: str, rows: Iterable[Row], variables: list[Json]) -> Json:
    """The whole document."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["orthoburst"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": variables},
        "panels": list(_laid_out(rows)),
    }


def choose_datasource() -> Json:
    return {
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
        "current": {}, "hide": 0, "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "",
        "skipUrlSync": False,
    }  # fmt: skip


def choose_label(name: str, label: str, of: str) -> Json:
    """Values of a label, any number of them, all at first."""
    expr = f"label_values({of}, {name})"
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE,
        "query": {"query": expr, "refId": "variable"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "includeAll": True, "multi": True, "allValue": ".*", "hide": 0, "options": [], "refresh": 2, "regex": "",
        "sort": 1, "skipUrlSync": False,
    }  # fmt: skip


def _laid_out(rows: Iterable[Row]) -> Iterator[Json]:
    number_, top = 1, 0
    for row in rows:
        yield {
            "id": number_, "type": "row", "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }  # fmt: skip
        number_, top, left, high = number_ + 1, top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                top, left, high = top + high, 0, 0
            yield _panel(panel, number_, left, top)
            number_, left, high = number_ + 1, left + panel.width, max(high, panel.height)
        top += high


def _panel(panel: Panel, number_: int, left: int, top: int) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {
            "mode": "absolute", "steps": [{"color": color, "value": value} for color, value in panel.steps],
        },
        "custom": dict(panel.custom or {}),
        "mappings": [],
        "min": 0,
    }  # fmt: skip
    return {
        "id": number_,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "targets": [_target(query, ref, panel.kind) for query, ref in zip(panel.queries, "ABCDEFGH", strict=False)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _target(query: Query, ref: str, kind: str) -> Json:
    return {
        "refId": ref, "datasource": DATASOURCE, "expr": query.expr, "legendFormat": query.legend or "__auto",
        "editorMode": "code", "range": kind != "stat", "instant": kind == "stat",
    }  # fmt: skip


def _drawn(stacking: str) -> Json:
    return {
        "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if stacking == "normal" else 5, "showPoints": "never",
        "spanNulls": False, "stacking": {"mode": stacking, "group": "A"},
    }  # fmt: skip


_OPTIONS: Mapping[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
        "textMode": "auto",
    },
}  # fmt: skip
