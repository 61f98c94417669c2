"""Writes down what programs say to each other and keep, while they run: as a plugin of pytest, or by sitecustomize.

One JSON document a line goes to a file a process, below the folder that ``HARVEST`` names: the kind, and the document
or row. What tests themselves write is left out: only what our packages serialise is noted. Runs with the modules of the
release that is recorded.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from orthocontracts.model import Document, Message

MOST_ALIKE, MOST, MOST_LARGE, LARGE_BYTES = 1, 8, 2, 8_000
"""Of one kind: documents with the same fields, all, and all that are large."""
PACKAGES: Final = ("orthofunctions.", "orthoagent.", "orthocontracts.stubs")
_seen: Counter[Any] = Counter()


def note(kind: str, document: Any, shape: object) -> None:
    text = json.dumps(document)
    is_large = len(text) > LARGE_BYTES
    counts = ((kind, MOST), ((kind, shape), MOST_ALIKE), *((((kind, "large"), MOST_LARGE),) if is_large else ()))
    if any(_seen[key] >= most for key, most in counts):
        return
    _seen.update(key for key, _ in counts)
    with open(f"{os.environ['HARVEST']}/{os.getpid()}.jsonl", "a") as file:  # noqa: PTH123
        file.write(json.dumps({"kind": kind, "document": document}) + "\n")


def note_text(kind: str, text: str) -> None:
    document = json.loads(text)
    note(kind, document, tuple(sorted(_paths(document))))


def row_document(row: Any) -> dict[str, Any]:
    """A row as JSON: a time is ``{"time": ISO}``."""
    values = {
        name: {"time": value.isoformat()} if isinstance(value, datetime) else value
        for name, value in sorted(row.values.items())
    }
    return {"partition": row.partition, "key": row.key, "values": values}


def hook_documents() -> None:
    """Whatever is serialised."""

    def wrap(kind: type[Any]) -> None:
        real: Callable[[Any], str] = kind.to_json

        def to_json(self: Any) -> str:
            text = real(self)
            if _is_ours():
                note_text(type(self).__name__, text)
            return text

        kind.to_json = to_json  # type: ignore[attr-defined]

    wrap(Document)
    wrap(Message)


def hook_rows() -> None:
    """Whatever becomes a row."""
    from orthofunctions.domain.records import Record
    from orthofunctions.usecases.roster import Page

    def wrap(kind: type[Any], name_of: Callable[[Any], str]) -> None:
        real = kind.to_row

        def to_row(self: Any) -> Any:
            row = real(self)
            if _is_ours():
                note(name_of(self), row_document(row), tuple(sorted(row.values)))
            return row

        kind.to_row = to_row  # type: ignore[attr-defined]

    wrap(Record, lambda record: type(record).__name__)
    wrap(Page, lambda _: "Page")


def hook_settings() -> None:
    """Files of a site that could be read. Before anything imports their readers by name."""
    import yaml

    from orthofunctions.domain import catalogues, pools, raw_rules

    def wrap(module: Any, reader: str, kind: str, part: str | None = None) -> None:
        real = getattr(module, reader)

        def read(text: bytes | None) -> Any:
            found = real(text)
            if text is not None:
                whole = yaml.safe_load(text)
                for document in whole[part] if part else (whole,):
                    note_text(kind, json.dumps(document, default=str))
            return found

        setattr(module, reader, read)

    wrap(pools, "parse_site", "SiteSpec")
    wrap(raw_rules, "parse_raw_rules", "RawRules")
    wrap(catalogues, "parse_catalogues", "CatalogueSpec", "catalogues")


def _is_ours() -> bool:
    """Whether a package serialises, not a test: past the crash wrappers of both."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(("localdev.", "fakes", __name__)):
            return module.startswith(PACKAGES)
        frame = frame.f_back
    return False


def _paths(node: Any, at: str = "") -> set[str]:
    """Names of all fields, however deep; what is named by a digest or a path is all one."""
    if isinstance(node, dict):
        named = {f"{at}.{key if key.isidentifier() and len(key) < 40 else '*'}": value for key, value in node.items()}
        return {at}.union(*(_paths(value, name) for name, value in named.items()))
    return {at}.union(*(_paths(one, at) for one in node)) if isinstance(node, list) else {at}


if os.environ.get("HARVEST_IN") == "everything" or "pytest" in sys.modules:
    hook_settings()
    hook_rows()
hook_documents()
