"""How jobs, batches and images show in a notebook. Every text of the service is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape

import httpx

LARGEST_THUMBNAIL_BYTES = 2_000_000
THUMBNAIL_TIMEOUT_S = 5.0
_COLOURS = {"successful": "#2e7d32", "running": "#1565c0", "failed": "#c62828", "dismissed": "#757575"}
_GREY = "#9e9e9e"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, which are HTML already where they begin with ``<``-made parts of this module."""
    lines = (f"<tr><th style='text-align:left'>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{''.join(lines)}</table>"


def text(value: object) -> str:
    return escape(str(value))


def state(name: str) -> str:
    return f"<span style='color:{_COLOURS.get(name, _GREY)}'>{escape(name)}</span>"


def progress(percent: float) -> str:
    share = min(100.0, max(0.0, percent))
    return f"<progress value='{share:.0f}' max='100'></progress> {share:.0f} %"


def parts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{int(n)} {state(name)}" for name, n in states.items())


def thumbnail(url: str) -> str:
    """A browse image, written into the page: its link is a secret that would be saved with the notebook, and expires.

    Nothing where it cannot be had.
    """
    if not url.startswith(("http://", "https://")):
        return ""
    data = bytearray()
    try:
        with httpx.stream("GET", url, timeout=THUMBNAIL_TIMEOUT_S) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > LARGEST_THUMBNAIL_BYTES:
                    return ""
    except httpx.HTTPError:
        return ""
    image = base64.b64encode(data).decode()
    return f"<img alt='browse image' style='max-width:256px' src='data:image/png;base64,{image}'>"
