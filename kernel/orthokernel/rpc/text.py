"""RPC from text files: ``_RPC.TXT``, ``.RPB`` and OTB's ``.geom``. All three count from 0 at pixel centres."""

from __future__ import annotations

import re
from pathlib import Path

from orthokernel.errors import RpcError
from orthokernel.rpc.coefficients import RpcCoefficients

_RPB_NAMES = {
    "lineoffset": "LINE_OFF",
    "linescale": "LINE_SCALE",
    "sampoffset": "SAMP_OFF",
    "sampscale": "SAMP_SCALE",
    "longoffset": "LONG_OFF",
    "longscale": "LONG_SCALE",
    "latoffset": "LAT_OFF",
    "latscale": "LAT_SCALE",
    "heightoffset": "HEIGHT_OFF",
    "heightscale": "HEIGHT_SCALE",
    "linenumcoef": "LINE_NUM_COEFF",
    "linedencoef": "LINE_DEN_COEFF",
    "sampnumcoef": "SAMP_NUM_COEFF",
    "sampdencoef": "SAMP_DEN_COEFF",
}
_TERM = re.compile(r"((?:LINE|SAMP)_(?:NUM|DEN)_COEFF)_(\d+)")
_MAX_BYTES = 2**20


def read_text_rpc(path: Path) -> RpcCoefficients:
    """Coefficients of a file of ``NAME: value unit`` lines (``_RPC.TXT``, ``.geom``) or ``name = value;`` (``.RPB``).

    Raises
    ------
    RpcError
        A value is missing or impossible.
    """
    content = path.read_bytes()
    if len(content) > _MAX_BYTES:
        raise RpcError(path, f"{len(content)} bytes", "a text file of a few kilobytes")
    text = content.decode("utf-8", errors="replace")
    items = _rpb_items(text) if path.suffix.lower() == ".rpb" else _line_items(text)
    return RpcCoefficients.from_items(items, path)


def _rpb_items(text: str) -> dict[str, str | list[str]]:
    items: dict[str, str | list[str]] = {}
    for match in re.finditer(r"(\w+)\s*=\s*(\([^)]*\)|[^;\n]*);", text):
        name = _RPB_NAMES.get(match[1].lower())
        if name is not None:
            items[name] = match[2].strip("()").replace(",", " ").split()
    return items


def _line_items(text: str) -> dict[str, str | list[str]]:
    items: dict[str, str | list[str]] = {}
    terms: dict[str, dict[int, str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon or not value.strip():
            continue
        name = name.strip().upper()
        term = _TERM.fullmatch(name)
        if term:
            terms.setdefault(term[1], {})[int(term[2])] = value.split()[0]
        else:
            items[name] = value
    for name, numbered in terms.items():
        # Counted from 1 (RPC.TXT) or 0 (geom): the order is the same, and a gap would show as too few.
        items[name] = [numbered[k] for k in sorted(numbered)]
    return items
