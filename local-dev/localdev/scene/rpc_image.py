"""Makes an image with RPC: camera, terrain, texture, targets, and the coefficients fitted to the camera."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rasterio.windows import Window as RasterWindow

from localdev.scene.fractal import write_fractal_dem
from localdev.scene.optical import Photographer
from localdev.scene.pushbroom import Pushbroom, pushbroom_over
from localdev.scene.rational import RationalModel, fit_rational
from localdev.scene.rpc_files import rpc_tags, write_dimap, write_text
from localdev.scene.spec import Target
from localdev.scene.terrain import Bounds, Surface, flat_surface, read_surface
from localdev.scene.texture import Texture, make_texture

RpcForm = Literal["tags", "text", "dimap"]
LARGEST_RESIDUAL_PX = 0.01
EDGE_PX = 16.0


@dataclass(frozen=True)
class RpcSpec:
    """An image with RPC to make.

    Attributes
    ----------
    out_file : Path
        The TIFF; a made DEM and an RPC file go beside it.
    form
        Where the coefficients go: the TIFF's tags, ``NAME_RPC.TXT``, or ``RPC_NAME.XML`` (DIMAP, 1-based).
    crop_origin : (line, sample), optional
        The image is a crop that begins here in a larger image, which the coefficients are for; the TIFF's geotransform
        says so. With tags the coefficients are the crop's own instead.
    gsd_m : float
        Pixel on the ground, at nadir.
    heading_deg, roll_deg, pitch_deg : float
        Direction of flight, and look angle to its right and ahead.
    dem_file, geoid_file, fractal_seed, relief_m, flat_height_m
        Terrain, as in ``SceneSpec``.
    bands : int
        Each with a texture of its own; the targets are in all.
    """

    out_file: Path
    centre_lonlat_deg: tuple[float, float] = (12.5, 42.0)
    size_lines_samples: tuple[int, int] = (1000, 1000)
    form: RpcForm = "tags"
    crop_origin: tuple[int, int] | None = None
    gsd_m: float = 0.7
    heading_deg: float = 195.0
    roll_deg: float = 12.0
    pitch_deg: float = 6.0
    dem_file: Path | None = None
    geoid_file: Path | None = None
    fractal_seed: int | None = None
    relief_m: float = 800.0
    flat_height_m: float = 0.0
    bands: int = 1
    targets: int = 0
    target_dn: float = 20000.0
    seed: int = 1
    threads: int = 2


@dataclass(frozen=True)
class RpcImage:
    """An image made, and its truth.

    ``camera``, ``model`` and the targets count lines and samples in this image, whatever the files say of a crop.
    """

    path: Path
    rpc_path: Path | None
    dem_path: Path | None
    geoid_path: Path | None
    flat_height_m: float | None
    camera: Pushbroom
    model: RationalModel
    residual_px: float
    textures: list[Texture]
    targets: list[Target]


def make_rpc_image(spec: RpcSpec) -> RpcImage:
    """Make the image that a specification describes.

    Raises
    ------
    ValueError
        Where the DEM does not fit, or no RPC meets the camera within 0.01 px.
    """
    spec.out_file.parent.mkdir(parents=True, exist_ok=True)
    lon, lat = spec.centre_lonlat_deg
    n_lines, n_samples = spec.size_lines_samples
    surface, dem = _ground(spec)
    camera = pushbroom_over(
        lon,
        lat,
        float(surface.height(lon, lat)),
        n_lines=n_lines,
        n_samples=n_samples,
        gsd_m=spec.gsd_m,
        heading_deg=spec.heading_deg,
        roll_deg=spec.roll_deg,
        pitch_deg=spec.pitch_deg,
    )
    model, residual = _fit(camera, surface)
    textures = [make_texture(lon, lat, spec.gsd_m, spec.seed + 101 * band) for band in range(spec.bands)]
    targets = _targets(spec, camera, surface)
    _write(
        spec,
        camera,
        model,
        Photographer(camera, surface, targets, target_dn=spec.target_dn, panel_dn=textures[0].mean),
        textures,
    )
    return RpcImage(
        path=spec.out_file,
        rpc_path=_write_coefficients(spec, model),
        dem_path=dem,
        geoid_path=spec.geoid_file if dem else None,
        flat_height_m=None if dem else spec.flat_height_m,
        camera=camera,
        model=model,
        residual_px=residual,
        textures=textures,
        targets=targets,
    )


def _ground(spec: RpcSpec) -> tuple[Surface, Path | None]:
    lon, lat = spec.centre_lonlat_deg
    half = 0.75 * spec.gsd_m * max(spec.size_lines_samples) / 111e3 * 1.3 + 0.012
    wide = half / float(np.cos(np.radians(lat)))
    bounds: Bounds = (lon - wide, lat - half, lon + wide, lat + half)
    if spec.dem_file is not None:
        return read_surface(spec.dem_file, spec.geoid_file, bounds), spec.dem_file
    if spec.fractal_seed is not None:
        path = spec.out_file.with_name(f"{spec.out_file.stem}-dem.tif")
        write_fractal_dem(path, bounds, spec.fractal_seed, spec.relief_m)
        return read_surface(path, spec.geoid_file, bounds), path
    return flat_surface(bounds, spec.flat_height_m), None


def _fit(camera: Pushbroom, surface: Surface) -> tuple[RationalModel, float]:
    """Fit over the image's ground, for all heights of the surface and some more."""
    heights = (float(surface.height_m.min()) - 100.0, float(surface.height_m.max()) + 100.0)
    lines = np.array([-0.5, camera.n_lines - 0.5])[:, None, None]
    samples = np.array([-0.5, camera.n_samples - 0.5])[None, :, None]
    lon, lat = camera.image_to_ground(lines, samples, np.array(heights))
    model, residual = fit_rational(
        camera.ground_to_image,
        (float(lon.min()), float(lon.max())),
        (float(lat.min()), float(lat.max())),
        heights,
    )
    if residual > LARGEST_RESIDUAL_PX:
        raise ValueError(f"the best RPC is {residual:.3f} px off the camera: make the image smaller")
    return model, residual


def _targets(spec: RpcSpec, camera: Pushbroom, surface: Surface) -> list[Target]:
    random = np.random.default_rng([spec.seed, 78])
    rows = max(1, round(spec.targets**0.5))
    columns = -(-spec.targets // rows)
    found = []
    for cell in range(spec.targets):
        row, column = divmod(cell, columns)
        line = EDGE_PX + (row + random.uniform(0.2, 0.8)) / rows * (camera.n_lines - 1 - 2 * EDGE_PX)
        sample = EDGE_PX + (column + random.uniform(0.2, 0.8)) / columns * (camera.n_samples - 1 - 2 * EDGE_PX)
        height = np.asarray(surface.height(*spec.centre_lonlat_deg))
        lon, lat = camera.image_to_ground(line, sample, height)
        for _ in range(60):
            height = 0.5 * (height + surface.height(lon, lat))
            lon, lat = camera.image_to_ground(line, sample, height)
        height = surface.height(lon, lat)
        true_line, true_sample = camera.ground_to_image(lon, lat, height)
        found.append(Target(float(lon), float(lat), float(height), float(true_line), float(true_sample)))
    return found


def _write(
    spec: RpcSpec, camera: Pushbroom, model: RationalModel, photographer: Photographer, textures: list[Texture]
) -> None:
    extra: dict[str, object] = {"rpcs": rpc_tags(model)} if spec.form == "tags" else {}
    if spec.crop_origin is not None and spec.form != "tags":
        first_line, first_sample = spec.crop_origin
        extra["transform"] = Affine(1.0, 0.0, float(first_sample), 0.0, 1.0, float(first_line))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            spec.out_file,
            "w",
            driver="GTiff",
            width=camera.n_samples,
            height=camera.n_lines,
            count=len(textures),
            dtype="uint16",
            tiled=True,
            blockxsize=256,
            blockysize=256,
            interleave="pixel",
            **extra,
        ) as sink:
            for first, pixels in photographer.bands(textures, spec.threads):
                window = RasterWindow(0, first, pixels.shape[2], pixels.shape[1])  # type: ignore[no-untyped-call, unused-ignore]
                sink.write(pixels, window=window)


def _write_coefficients(spec: RpcSpec, model: RationalModel) -> Path | None:
    first_line, first_sample = spec.crop_origin or (0, 0)
    whole = model.shifted(-first_line, -first_sample)
    if spec.form == "text":
        path = spec.out_file.with_name(f"{spec.out_file.stem}_RPC.TXT")
        write_text(path, whole)
        return path
    if spec.form == "dimap":
        path = spec.out_file.with_name(f"RPC_{spec.out_file.stem.removeprefix('IMG_')}.XML")
        n_lines, n_samples = spec.size_lines_samples
        write_dimap(path, whole, first_line + n_lines, first_sample + n_samples)
        return path
    return None
