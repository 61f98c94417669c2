"""A whole OLCI frame onto a map, from its files to an array, beside pyresample."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from localdev.bench._peers import GET_PYRESAMPLE, find_pyresample
from localdev.bench._sides import Side
from localdev.bench.case import Case, not_measured
from localdev.scene.sentinel3 import FULL_SIZE, OlciScene, OlciSpec, make_olci

SIDE = [sys.executable, "-m", "localdev.bench._swath_side"]
EPSG, SPACING_M, RADIUS_M = 32632, 300.0, 400.0
TIMES, THREADS = 3, 2
FASTER = 10.0
FLAGGED_ONLY = 1.0  # radiance: darker pixels have a number and are flagged invalid, which pyresample is not told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this bench."""
    parser.add_argument("--lines", type=int, default=FULL_SIZE[0], help="of the frame (%(default)s: a real one)")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Ours with both methods against pyresample's nearest neighbour, its fastest."""
    with tempfile.TemporaryDirectory(prefix="bench-swath-") as name:
        spec = OlciSpec(Path(name), size_lines_samples=(options.lines, FULL_SIZE[1]), bands=(8,))
        scene = make_olci(spec)
        yield from _versus_pyresample(scene, Path(name))


def _versus_pyresample(scene: OlciScene, folder: Path) -> Iterator[Case]:
    peer = find_pyresample()
    case = "swath vs pyresample"
    if peer is None:
        yield not_measured(case, "s", "pyresample", f"{FASTER:g}x faster", GET_PYRESAMPLE)
        return
    request = _request(scene)
    with (
        Side([*SIDE, "ours"]) as nearest,
        Side([*SIDE, "ours"]) as bilinear,
        Side([*SIDE, "pyresample"]) as theirs,
    ):
        asked = [
            (nearest, {**request, "resampling": "nearest"}),
            (bilinear, {**request, "resampling": "bilinear"}),
            (theirs, request),
        ]
        for k, (side, one) in enumerate(
            asked[:2]
        ):  # compiled, or loaded from the cache; pyresample has nothing to warm
            side.run({**one, "out": str(folder / f"{k}.npy")}, counted=False)
        for n in range(TIMES):
            for side, one in asked:
                side.run({**one, "out": str(folder / "theirs.npy")} if side is theirs and n == 0 else one)
        runs = [side.runs() for side in (nearest, bilinear, theirs)]
    holes, same = _compare(folder)
    for name, own in (("nearest", runs[0]), ("bilinear", runs[1])):
        ratio = runs[2].median_s / own.median_s
        yield Case(
            case=f"{case}, {name}",
            figure=own.median_s,
            unit="s",
            peer=f"{peer.name}, nearest: {runs[2]} ({holes} holes of ours only, {same:.3%} the same)",
            ratio=ratio,
            at_least=f"{FASTER:g}x faster",
            holds=ratio >= FASTER and holes == 0,
            peak_mb=own.peak_mb,
            runs=own.spread,
        )


def _request(scene: OlciScene) -> dict[str, Any]:
    to_map = pyproj.Transformer.from_crs("OGC:CRS84", EPSG, always_xy=True)
    x, y = to_map.transform(scene.lon_deg[::32, ::32], scene.lat_deg[::32, ::32])
    left, bottom = (float(np.floor(part.min() / SPACING_M) * SPACING_M) for part in (x, y))
    right, top = (float(np.ceil(part.max() / SPACING_M) * SPACING_M) for part in (x, y))
    return {
        "path": str(scene.path), "epsg": EPSG, "bounds": [left, bottom, right, top], "spacing_m": SPACING_M,
        "radius_m": RADIUS_M, "threads": THREADS, "nprocs": 1,
    }  # fmt: skip


def _compare(folder: Path) -> tuple[int, float]:
    """Pixels well inside pyresample's image that ours lacks, and which share of pixels has the same value."""
    ours, theirs = np.load(folder / "0.npy"), np.load(folder / "theirs.npy")
    has = np.isfinite(theirs) & (theirs > FLAGGED_ONLY)
    inner = has.copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    for _ in range(3):  # its radius goes beyond the edge, where ours ends half a pixel outside
        inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    both = has & np.isfinite(ours)
    return int((inner & np.isnan(ours)).sum()), float(np.mean(np.abs(ours[both] - theirs[both]) < 1e-3))
