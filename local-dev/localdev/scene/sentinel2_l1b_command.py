"""``make_scene sentinel2-l1b``."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from localdev.scene.sentinel2_l1b import Sentinel2L1BSpec, make_sentinel2_l1b


def add_sentinel2_l1b(parser: argparse.ArgumentParser) -> None:
    """Its arguments, and what is done with them."""
    parser.set_defaults(run=_run)
    defaults = Sentinel2L1BSpec(Path())
    parser.add_argument("out", metavar="OUT_FOLDER", type=Path, help="where L1B, GIPP and a made DEM go")
    parser.add_argument("--json", action="store_true", help="print the product's truth as one JSON object")
    parser.add_argument("--centre", metavar="LON,LAT", type=_pair, default=defaults.centre_lonlat_deg)
    parser.add_argument("--platform", choices=("S2A", "S2B", "S2C", "S2D"), default=defaults.platform)
    parser.add_argument("--sensing", metavar="UTC", type=datetime.fromisoformat, default=defaults.sensing)
    parser.add_argument("--ascending", action="store_true")
    parser.add_argument(
        "--bands", metavar="B02,…", type=lambda text: tuple(text.upper().split(",")), default=defaults.bands
    )
    parser.add_argument(
        "--detectors", metavar="06,…", type=lambda text: tuple(text.split(",")), default=defaults.detectors
    )
    parser.add_argument("--granules", type=int, default=defaults.granules, help="of each detector (2)")
    parser.add_argument("--granule-lines", type=int, default=defaults.granule_lines, help="of 10 m; real ones 2304")
    parser.add_argument("--samples", type=int, default=defaults.samples, help="of 10 m; real detectors 2552")
    parser.add_argument("--overlap", metavar="PX", type=int, default=defaults.overlap_px, help="of detectors (36)")
    parser.add_argument("--refined", action="store_true", help="orbit and attitude are wrong, and refining says how")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dem", metavar="FILE", type=Path)
    which.add_argument("--fractal", metavar="SEED", type=int, help="make a fractal DEM (default: 1)")
    which.add_argument("--flat", metavar="HEIGHT", type=float, help="one ellipsoidal height")
    parser.add_argument("--geoid", metavar="FILE", type=Path, help="geoid to add to the DEM")
    parser.add_argument("--relief", metavar="M", type=float, default=defaults.relief_m, help="of the fractal DEM (600)")
    parser.add_argument("--targets", metavar="N", type=int, default=defaults.targets, help="point targets (6)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of texture, targets and wobble")


def _run(options: argparse.Namespace) -> dict[str, object]:
    made = make_sentinel2_l1b(
        Sentinel2L1BSpec(
            out_folder=options.out,
            platform=options.platform,
            centre_lonlat_deg=options.centre,
            sensing=options.sensing,
            ascending=options.ascending,
            bands=options.bands,
            detectors=options.detectors,
            granules=options.granules,
            granule_lines=options.granule_lines,
            samples=options.samples,
            overlap_px=options.overlap,
            refined=options.refined,
            dem_file=options.dem,
            geoid_file=options.geoid,
            fractal_seed=None if options.flat is not None else options.fractal or Sentinel2L1BSpec.fractal_seed,
            relief_m=options.relief,
            flat_height_m=options.flat or 0.0,
            targets=options.targets,
            seed=options.seed,
        )
    )
    for path in (made.path, made.gipp_path, *([made.dem_path] if made.dem_path else [])):
        print(f"make_scene: {path}", file=sys.stderr)
    return {
        "path": made.path,
        "gipp_path": made.gipp_path,
        "dem_path": made.dem_path,
        "geoid_path": made.spec.geoid_file,
        "targets": [
            {
                "lon_deg": target.lon_deg,
                "lat_deg": target.lat_deg,
                "height_m": target.height_m,
                "seen": [
                    {"band": band, "detector": detector, "line": line, "sample": sample}
                    for (band, detector), (line, sample) in target.seen.items()
                ],
            }
            for target in made.targets
        ],
    }


def _pair(text: str) -> tuple[float, float]:
    lon, lat = text.split(",")
    return float(lon), float(lat)
