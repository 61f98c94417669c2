"""Command line of the scene simulator: ``make_scene sentinel1 | sentinel2 | sentinel2-l1b | … | demo``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from localdev.scene.modes import mode_of
from localdev.scene.presets import demo_scenes
from localdev.scene.rpc_image import RpcImage, RpcSpec, make_rpc_image
from localdev.scene.sentinel1 import make_sentinel1
from localdev.scene.sentinel2 import FULL_TILE_60M_PX, RESOLUTION_M, Sentinel2Spec, make_sentinel2
from localdev.scene.sentinel2_l1b_command import add_sentinel2_l1b
from localdev.scene.sentinel3 import FULL_SIZE as OLCI_FULL_SIZE
from localdev.scene.sentinel3 import OlciSpec, make_olci
from localdev.scene.sentinel3_slstr import FULL_SIZE_1KM as SLSTR_FULL_SIZE
from localdev.scene.sentinel3_slstr import SlstrSpec, make_slstr
from localdev.scene.spec import Scene, SceneSpec


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what was made is told on standard error, or as JSON on standard output with ``--json``."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        made = options.run(options)
    except (ValueError, OSError) as problem:
        print(f"make_scene: {problem}", file=sys.stderr)
        return 2
    print(f"make_scene: done in {time.monotonic() - started:.1f} s", file=sys.stderr)
    if options.json:
        print(json.dumps(made, default=str))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make_scene",
        description="Make simulated satellite products whose truth is known: where every point target stands and"
        " shows, and what the backscatter is.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_sentinel1(commands.add_parser("sentinel1", help="a Sentinel-1 GRD product (SAFE folder or zip)"))
    _add_sentinel2(commands.add_parser("sentinel2", help="a Sentinel-2 L1C or L2A product (folder or zip)"))
    add_sentinel2_l1b(
        commands.add_parser("sentinel2-l1b", help="a Sentinel-2 L1B product, with its parameters (GIPP) beside it")
    )
    _add_olci(commands.add_parser("olci", help="a Sentinel-3 OLCI L1B product (.SEN3 folder or zip)"))
    _add_slstr(commands.add_parser("slstr", help="a Sentinel-3 SLSTR L1B product (.SEN3 folder or zip)"))
    _add_rpc(commands.add_parser("rpc", help="an optical image with RPC"))
    demo = commands.add_parser("demo", help="the demo's handful of small products over one DEM")
    demo.set_defaults(run=_demo)
    demo.add_argument("out", metavar="OUT_FOLDER", type=Path)
    demo.add_argument("--json", action="store_true", help="print the scenes' truth as one JSON object")
    return parser


def _add_sentinel1(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_sentinel1)
    parser.add_argument("out", metavar="OUT_FOLDER", type=Path, help="where the product (and a made DEM) go")
    parser.add_argument("--json", action="store_true", help="print the scene's truth as one JSON object")
    frame = parser.add_argument_group("frame")
    frame.add_argument("--from-annotation", metavar="SAFE", type=Path, help="take orbit and annotations of a real SAFE")
    frame.add_argument(
        "--centre",
        metavar="LON,LAT",
        type=_pair,
        help="middle of the image (default 12.5,42), or of the part of a real frame that is filled",
    )
    frame.add_argument(
        "--size",
        metavar="LINESxSAMPLES",
        type=_size,
        help="default 1200x1500; with"
        " --from-annotation or --full-frame, the part in the middle that is filled (sparse file)",
    )
    frame.add_argument("--full-frame", action="store_true", help="as large as a real product: IW 16705 x 26102")
    frame.add_argument(
        "--start",
        metavar="UTC",
        type=datetime.fromisoformat,
        default=SceneSpec(Path()).start,
        help="time of the first line (default %(default)s)",
    )
    frame.add_argument("--ascending", action="store_true", help="ascending pass instead of descending")
    frame.add_argument("--platform", choices=("S1A", "S1B", "S1C", "S1D"), default="S1A")
    frame.add_argument(
        "--mode", choices=("IW", "EW", "SM"), default="IW", help="acquisition mode (default %(default)s)"
    )
    frame.add_argument("--swath", metavar="BEAM", help="beam of SM: S1 to S6 (default S3)")
    frame.add_argument("--resolution", choices=("F", "H", "M"), help="GRD class (default H; EW: M)")
    frame.add_argument("--orbit-file", action="store_true", help="also write the true orbit as a precise EOF file")
    frame.add_argument(
        "--orbit-error", metavar="M", type=float, default=0.0, help="by how much the annotated orbit is wrong"
    )
    frame.add_argument(
        "--polarisations",
        metavar="P[,P]",
        type=lambda text: tuple(text.lower().split(",")),
        default=("vv",),
        help="for example vv,vh",
    )
    ground = parser.add_argument_group("ground")
    which = ground.add_mutually_exclusive_group()
    which.add_argument("--dem", metavar="FILE", type=Path, help="DEM in degrees; sea where it has none")
    which.add_argument("--fractal", metavar="SEED", type=int, help="make a fractal DEM")
    which.add_argument("--flat", metavar="HEIGHT", type=float, default=0.0, help="one ellipsoidal height (default 0)")
    ground.add_argument("--geoid", metavar="FILE", type=Path, help="geoid to add to the DEM")
    ground.add_argument("--relief", metavar="M", type=float, default=1500.0, help="of the fractal DEM (1500)")
    ground.add_argument(
        "--sea", metavar="FRACTION", type=float, default=0.0, help="part of the fractal DEM that is sea"
    )
    level = ground.add_mutually_exclusive_group()
    level.add_argument("--gamma0", metavar="DB", type=float, help="backscatter per area seen (default -8)")
    level.add_argument("--sigma0", metavar="DB", type=float, help="backscatter per surface area")
    ground.add_argument("--sea-level", metavar="DB", type=float, help="backscatter of the sea (default: like land)")
    pixels = parser.add_argument_group("pixels")
    pixels.add_argument("--speckle-looks", metavar="L", type=_or_none, default=4.4, help="4.4, or none")
    pixels.add_argument(
        "--noise",
        metavar="DB",
        type=_or_none,
        default=-24.0,
        help="noise-equivalent sigma0 in pixels and noise vectors, or none (default %(default)s)",
    )
    pixels.add_argument("--targets", metavar="N", type=int, default=0, help="point targets")
    pixels.add_argument(
        "--facets", metavar="N", type=int, help="facets along each axis of a pixel (default 2; 1 for a full frame)"
    )
    pixels.add_argument("--seed", type=int, default=1, help="of speckle and targets")
    pixels.add_argument("--zip", action="store_true", help="zip the product (measurement stored, not deflated)")


def _sentinel1(options: argparse.Namespace) -> dict[str, object]:
    whole = options.full_frame or options.from_annotation
    size = options.size or (None if whole else (1200, 1500))
    window = None
    if options.full_frame and options.size and not options.from_annotation:
        lines, samples = options.size
        all_lines, all_samples = mode_of(options.mode, options.swath, options.resolution).full_frame
        window = ((all_lines - lines) // 2, (all_samples - samples) // 2, lines, samples)
        size = None
    spec = SceneSpec(
        out_folder=options.out,
        annotation_safe=options.from_annotation,
        centre_lonlat_deg=options.centre,
        size_lines_samples=size,
        window=window,
        start=options.start,
        ascending=options.ascending,
        platform=options.platform,
        mode=options.mode,
        swath=options.swath,
        resolution=options.resolution,
        orbit_file=options.orbit_file,
        orbit_error_m=options.orbit_error,
        dem_file=options.dem,
        geoid_file=options.geoid,
        fractal_seed=options.fractal,
        relief_m=options.relief,
        sea_fraction=options.sea,
        flat_height_m=options.flat,
        level_db=next((db for db in (options.gamma0, options.sigma0) if db is not None), -8.0),
        law="gamma0" if options.sigma0 is None else "sigma0",
        sea_level_db=options.sea_level,
        speckle_looks=options.speckle_looks,
        noise_db=options.noise,
        targets=options.targets,
        polarisations=options.polarisations,
        facets_per_pixel=options.facets or (2 if options.size or not whole else 1),
        seed=options.seed,
        zip_it=options.zip,
    )
    scene = make_sentinel1(spec)
    _tell(scene)
    return asdict(scene)


def _add_sentinel2(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_sentinel2)
    defaults = Sentinel2Spec(Path())
    parser.add_argument("out", metavar="OUT_FOLDER", type=Path, help="where the product goes")
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON object")
    parser.add_argument("--level", choices=("L1C", "L2A"), default=defaults.level)
    parser.add_argument("--tile", default=defaults.tile, help="MGRS tile (default %(default)s)")
    parser.add_argument("--size", metavar="PX", type=int, default=defaults.size_60m_px, help="pixels of 60 m (60)")
    parser.add_argument("--full-tile", action="store_true", help="as large as a real tile: 10980 x 10980 at 10 m")
    parser.add_argument("--bands", metavar="B02,…", type=lambda text: tuple(text.upper().split(",")))
    parser.add_argument("--platform", choices=("S2A", "S2B", "S2C", "S2D"), default=defaults.platform)
    parser.add_argument("--sensing", metavar="UTC", type=datetime.fromisoformat, default=defaults.sensing)
    parser.add_argument("--baseline", default=defaults.baseline, help="before 04.00: no offset (%(default)s)")
    parser.add_argument("--swath-edge", metavar="M", type=float, help="nothing was imaged west of this")
    parser.add_argument("--noise", metavar="DN", type=float, default=defaults.noise_dn)
    parser.add_argument("--layout", choices=("safe", "cog"), default=defaults.layout)
    parser.add_argument("--zip", action="store_true")
    parser.add_argument("--seed", type=int, default=defaults.seed)


def _sentinel2(options: argparse.Namespace) -> dict[str, object]:
    bands = options.bands or tuple(band for band in RESOLUTION_M if (band, options.level) != ("B10", "L2A"))
    made = make_sentinel2(
        Sentinel2Spec(
            out_folder=options.out,
            tile=options.tile,
            level=options.level,
            platform=options.platform,
            size_60m_px=FULL_TILE_60M_PX if options.full_tile else options.size,
            bands=bands,
            sensing=options.sensing,
            baseline=options.baseline,
            swath_edge_m=options.swath_edge,
            noise_dn=options.noise,
            layout=options.layout,
            zip_it=options.zip,
            seed=options.seed,
        )
    )
    print(f"make_scene: {made.path}", file=sys.stderr)
    return {"path": made.path, "epsg": made.epsg, "left_m": made.left_m, "top_m": made.top_m, "bands": list(bands)}


def _add_sentinel3(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT_FOLDER", type=Path, help="where the product goes")
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON object")
    parser.add_argument(
        "--centre", metavar="LON,LAT", type=_pair, default=(8.0, 46.0), help="under the satellite (8,46)"
    )
    parser.add_argument("--ascending", action="store_true", help="ascending pass instead of descending")
    parser.add_argument("--relief", metavar="M", type=float, default=0.0, help="height of mountains (0)")
    parser.add_argument("--tie-points", metavar="FILE", type=Path, help="a real geodetic_tx.nc to follow")
    parser.add_argument("--zip", choices=("stored", "deflated"))
    parser.add_argument("--seed", type=int, default=1)


def _add_olci(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_olci)
    _add_sentinel3(parser)
    parser.add_argument("--size", metavar="LINESxSAMPLES", type=_size, default=OlciSpec(Path()).size_lines_samples)
    parser.add_argument("--full-frame", action="store_true", help="as large as a real frame: 4091 x 4865")
    parser.add_argument("--bands", metavar="4,6,8", type=lambda text: tuple(int(n) for n in text.split(",")))
    parser.add_argument("--reduced", action="store_true", help="ERR instead of EFR")
    parser.add_argument("--perfect", action="store_true", help="no camera seams and no duplicates")
    parser.add_argument("--uncertainties", action="store_true")


def _olci(options: argparse.Namespace) -> dict[str, object]:
    made = make_olci(
        OlciSpec(
            out_folder=options.out,
            centre_lonlat_deg=options.centre,
            size_lines_samples=OLCI_FULL_SIZE if options.full_frame else options.size,
            bands=options.bands or OlciSpec(Path()).bands,
            ascending=options.ascending,
            reduced=options.reduced,
            relief_m=options.relief,
            cameras=not options.perfect,
            duplicates=not options.perfect,
            uncertainties=options.uncertainties,
            tie_points=options.tie_points,
            zip_it=options.zip,
            seed=options.seed,
        )
    )
    print(f"make_scene: {made.path}", file=sys.stderr)
    return {"path": made.path, "bands": [f"oa{band:02d}" for band in made.fields]}


def _add_slstr(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_slstr)
    _add_sentinel3(parser)
    parser.add_argument("--size", metavar="LINESxSAMPLES", type=_size, default=SlstrSpec(Path()).size_1km, help="1 km")
    parser.add_argument("--full-frame", action="store_true", help="as large as a real frame: 1200 x 1500 at 1 km")
    parser.add_argument(
        "--images",
        metavar="S8_in,…",
        type=lambda text: tuple((one.split("_")[0], one.split("_")[1]) for one in text.split(",")),
        default=SlstrSpec(Path()).images,
        help="channels with grid and view",
    )


def _slstr(options: argparse.Namespace) -> dict[str, object]:
    made = make_slstr(
        SlstrSpec(
            out_folder=options.out,
            centre_lonlat_deg=options.centre,
            size_1km=SLSTR_FULL_SIZE if options.full_frame else options.size,
            images=options.images,
            ascending=options.ascending,
            relief_m=options.relief,
            tie_points=options.tie_points,
            zip_it=options.zip,
            seed=options.seed,
        )
    )
    print(f"make_scene: {made.path}", file=sys.stderr)
    return {"path": made.path, "images": [f"{channel}_{grid}" for channel, grid in made.spec.images]}


def _add_rpc(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_rpc)
    defaults = RpcSpec(Path())
    parser.add_argument("out", metavar="OUT.tif", type=Path, help="the image; a made DEM and RPC file go beside it")
    parser.add_argument("--json", action="store_true", help="print the image's truth as one JSON object")
    frame = parser.add_argument_group("camera")
    frame.add_argument(
        "--centre", metavar="LON,LAT", type=_pair, default=defaults.centre_lonlat_deg, help="default 12.5,42"
    )
    frame.add_argument(
        "--size", metavar="LINESxSAMPLES", type=_size, default=defaults.size_lines_samples, help="default 1000x1000"
    )
    frame.add_argument("--gsd", metavar="M", type=float, default=defaults.gsd_m, help="pixel on the ground (0.7)")
    frame.add_argument("--heading", metavar="DEG", type=float, default=defaults.heading_deg)
    frame.add_argument("--roll", metavar="DEG", type=float, default=defaults.roll_deg, help="look to the right")
    frame.add_argument("--pitch", metavar="DEG", type=float, default=defaults.pitch_deg, help="look ahead")
    frame.add_argument("--form", choices=("tags", "text", "dimap"), default="tags", help="where the RPC go")
    frame.add_argument(
        "--crop-origin", metavar="LINExSAMPLE", type=_size, help="the image is a crop beginning there in a larger one"
    )
    ground = parser.add_argument_group("ground")
    which = ground.add_mutually_exclusive_group()
    which.add_argument("--dem", metavar="FILE", type=Path)
    which.add_argument("--fractal", metavar="SEED", type=int, help="make a fractal DEM")
    which.add_argument("--flat", metavar="HEIGHT", type=float, default=0.0, help="one ellipsoidal height (default 0)")
    ground.add_argument("--geoid", metavar="FILE", type=Path, help="geoid to add to the DEM")
    ground.add_argument("--relief", metavar="M", type=float, default=defaults.relief_m, help="of the fractal DEM (800)")
    ground.add_argument("--bands", type=int, default=1)
    ground.add_argument("--targets", metavar="N", type=int, default=0, help="point targets")
    ground.add_argument("--seed", type=int, default=1, help="of texture and targets")


def _rpc(options: argparse.Namespace) -> dict[str, object]:
    image = make_rpc_image(
        RpcSpec(
            out_file=options.out,
            centre_lonlat_deg=options.centre,
            size_lines_samples=options.size,
            form=options.form,
            crop_origin=options.crop_origin,
            gsd_m=options.gsd,
            heading_deg=options.heading,
            roll_deg=options.roll,
            pitch_deg=options.pitch,
            dem_file=options.dem,
            geoid_file=options.geoid,
            fractal_seed=options.fractal,
            relief_m=options.relief,
            flat_height_m=options.flat,
            bands=options.bands,
            targets=options.targets,
            seed=options.seed,
        )
    )
    _tell(image)
    print(f"make_scene: RPC within {image.residual_px:.1e} px of the camera", file=sys.stderr)
    return _image_truth(image)


def _demo(options: argparse.Namespace) -> dict[str, object]:
    made = demo_scenes(options.out)
    for path in [*(scene.path for scene in made.sentinel1), *(image.path for image in made.rpc)]:
        print(f"make_scene: {path}", file=sys.stderr)
    return {
        "dem": made.dem_path,
        "sentinel1": [asdict(scene) for scene in made.sentinel1],
        "rpc": [_image_truth(image) for image in made.rpc],
    }


def _image_truth(image: RpcImage) -> dict[str, object]:
    return {
        "path": image.path,
        "rpc_path": image.rpc_path,
        "dem_path": image.dem_path,
        "geoid_path": image.geoid_path,
        "flat_height_m": image.flat_height_m,
        "residual_px": image.residual_px,
        "targets": [asdict(target) for target in image.targets],
    }


def _tell(scene: Scene | RpcImage) -> None:
    print(f"make_scene: {scene.path}", file=sys.stderr)
    if isinstance(scene, Scene) and scene.orbit_path:
        print(f"make_scene: orbit {scene.orbit_path}", file=sys.stderr)
    if scene.dem_path:
        print(f"make_scene: DEM {scene.dem_path}", file=sys.stderr)
    for target in scene.targets:
        print(
            f"make_scene: target at {target.lon_deg:.7f} E {target.lat_deg:.7f} N {target.height_m:.2f} m shows at"
            f" line {target.line:.3f} sample {target.sample:.3f}",
            file=sys.stderr,
        )


def _pair(text: str) -> tuple[float, float]:
    lon, lat = text.split(",")
    return float(lon), float(lat)


def _size(text: str) -> tuple[int, int]:
    lines, samples = text.lower().split("x")
    return int(lines), int(samples)


def _or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


if __name__ == "__main__":
    sys.exit(main())
