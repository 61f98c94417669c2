"""Makes Sentinel-2 L1C and L2A products: tiles on the map whose reflectance is known at every point."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyproj
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio.transform import Affine

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.sentinel2_vectors import vector_masks
from localdev.scene.sentinel2_xml import TilePlace, manifest_xml, tile_xml, user_xml
from orthocontracts.tiles import tile_bounds

Level = Literal["L1C", "L2A"]
Layout = Literal["safe", "cog"]
Pixels = NDArray[np.uint16] | NDArray[np.uint8]

RESOLUTION_M = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip
QUANTIFICATION = 10_000
FULL_TILE_60M_PX = 1830
DETECTOR_M = 25_000.0
_BLOCK_PX = {10: 1024, 20: 640, 60: 192}
_WAVES, _FINEST_M, _COARSEST_M = 12, 600.0, 30_000.0
_CELL_M = 2_000.0


@dataclass(frozen=True)
class Sentinel2Spec:
    """A product to make.

    Attributes
    ----------
    out_folder : Path
    tile : str
        MGRS tile, for example 33TTG.
    size_60m_px : int
        Pixels of 60 m on a side, from the tile's upper left corner: 1830 is a real tile.
    bands : tuple of str
    sensing : datetime
        UTC.
    baseline : str
        From 04.00 on pixels have an offset of 1000, and masks are images; before they are vectors.
    swath_edge_m : float, optional
        West of a slanted line that starts this far from the left edge nothing was imaged.
    noise_dn : float
        Standard deviation of noise in the pixels: real images are not as easy to compress as waves.
    layout : {"safe", "cog"}
        JPEG 2000 in a SAFE as ESA has them, or GeoTIFF beside ``product_metadata.xml`` as archives of COG have them.
    """

    out_folder: Path
    tile: str = "33TTG"
    level: Level = "L1C"
    platform: str = "S2A"
    size_60m_px: int = 60
    bands: tuple[str, ...] = tuple(RESOLUTION_M)
    sensing: datetime = datetime(2024, 6, 5, 10, 0, 31, 24000)
    baseline: str = "05.10"
    relative_orbit: int = 122
    absolute_orbit: int = 46_789
    swath_edge_m: float | None = None
    noise_dn: float = 0.0
    layout: Layout = "safe"
    zip_it: bool = False
    seed: int = 1

    @property
    def offset(self) -> int:
        """``RADIO_ADD_OFFSET`` or ``BOA_ADD_OFFSET``."""
        return -1000 if self.baseline >= "04.00" else 0

    @property
    def stem(self) -> str:
        """The product's name without ending."""
        at, made = f"{self.sensing:%Y%m%dT%H%M%S}", f"{self.sensing + timedelta(hours=3):%Y%m%dT%H%M%S}"
        baseline = self.baseline.replace(".", "")
        orbit = f"R{self.relative_orbit:03d}"
        return f"{self.platform}_MSI{self.level}_{at}_N{baseline}_{orbit}_T{self.tile}_{made}"


@dataclass(frozen=True)
class Field:
    """Reflectance as a function of place on one map: a sum of waves, none of which is short, and its classes."""

    epsg: int
    origin_m: tuple[float, float]
    mean: float
    waves: Float64Array
    """(4, W): radians per metre east and north, phase in radians, amplitude."""

    def reflectance(self, x_m: ArrayLike, y_m: ArrayLike) -> Float64Array:
        """At map coordinates, broadcast."""
        x, y = np.asarray(x_m, float) - self.origin_m[0], np.asarray(y_m, float) - self.origin_m[1]
        total = np.full(np.broadcast_shapes(x.shape, y.shape), self.mean)
        for east, north, phase, amplitude in self.waves.T:
            total += amplitude * np.cos(east * x + north * y + phase)
        return total

    def reflectance_at(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """At geographic coordinates."""
        to_map = pyproj.Transformer.from_crs("OGC:CRS84", self.epsg, always_xy=True)
        return self.reflectance(*to_map.transform(np.asarray(lon_deg), np.asarray(lat_deg)))

    def on_grid(self, x_m: Float64Array, y_m: Float64Array) -> Float64Array:
        """Over columns at ``x_m`` (C,) and rows at ``y_m`` (R,): a product of two matrices, because waves separate."""
        east, north, phase, amplitude = self.waves
        across = np.outer(east, x_m - self.origin_m[0])
        along = np.outer(y_m - self.origin_m[1], north) + phase
        left = np.hstack([np.cos(along) * amplitude, -np.sin(along) * amplitude])
        return np.asarray(self.mean + left @ np.vstack([np.cos(across), np.sin(across)]))


@dataclass(frozen=True)
class Sentinel2Product:
    """A product made, and its truth.

    Attributes
    ----------
    path : Path
        The folder, or the zip where one was asked for.
    fields : dict
        By band.
    """

    path: Path
    spec: Sentinel2Spec
    epsg: int
    left_m: float
    top_m: float
    fields: dict[str, Field]

    def imaged(self, x_m: ArrayLike, y_m: ArrayLike) -> NDArray[np.bool_]:
        """Whether a place was in the swath."""
        return _imaged(self.spec, self.left_m, self.top_m, np.asarray(x_m), np.asarray(y_m))


def scene_class(x_m: ArrayLike, y_m: ArrayLike) -> NDArray[np.uint8]:
    """Class of a place: squares of 2 km, from 4 (vegetation) to 11 (snow)."""
    squares = np.floor(np.asarray(x_m) / _CELL_M) + 3 * np.floor(np.asarray(y_m) / _CELL_M)
    return np.asarray(4 + np.mod(squares, 8), np.uint8)


def detector(x_m: ArrayLike, y_m: ArrayLike) -> NDArray[np.uint8]:
    """Number of the detector that saw a place: slanted stripes."""
    stripes = np.floor((np.asarray(x_m) + 0.2 * np.asarray(y_m)) / DETECTOR_M)
    return np.asarray(1 + np.mod(stripes, 12), np.uint8)


def make_sentinel2(spec: Sentinel2Spec) -> Sentinel2Product:
    """Make the product that a specification describes.

    Raises
    ------
    ValueError
        For a band that there is not, or more pixels than a tile has.
    """
    unknown = [band for band in spec.bands if band not in RESOLUTION_M or (band, spec.level) == ("B10", "L2A")]
    if unknown or not 1 <= spec.size_60m_px <= FULL_TILE_60M_PX:
        raise ValueError(f"bands {unknown}, {spec.size_60m_px} px: expected bands of {spec.level}, 1 to 1830 px")
    bounds = tile_bounds(spec.tile)
    place = TilePlace(spec.tile, bounds.epsg, bounds.left, bounds.top, spec.size_60m_px)
    folder = spec.out_folder / (f"{spec.stem}.SAFE" if spec.layout == "safe" else spec.stem)
    folder.mkdir(parents=True)
    fields = {band: _field(spec, place, band) for band in spec.bands}
    granule = f"GRANULE/{spec.level}_T{spec.tile}_A{spec.absolute_orbit:06d}_{spec.sensing:%Y%m%dT%H%M%S}"
    images = _write_images(spec, place, folder, granule, fields)
    masks = _write_masks(spec, place, folder, granule)
    _write_metadata(spec, place, folder, granule, images, masks)
    path = _zipped(folder) if spec.zip_it else folder
    return Sentinel2Product(path, spec, place.epsg, place.left_m, place.top_m, fields)


def _field(spec: Sentinel2Spec, place: TilePlace, band: str) -> Field:
    """Waves of the band's own, whatever the tile: neighbours on one map, of one seed, continue each other."""
    random = np.random.default_rng([spec.seed, list(RESOLUTION_M).index(band)])
    length_m = np.geomspace(_FINEST_M, _COARSEST_M, _WAVES)
    turn, phase = random.uniform(0.0, 2.0 * np.pi, _WAVES), random.uniform(0.0, 2.0 * np.pi, _WAVES)
    amplitude = length_m**0.3
    amplitude *= 0.06 / np.sqrt(0.5 * np.sum(amplitude**2))
    waves = np.stack([np.cos(turn), np.sin(turn)]) * 2.0 * np.pi / length_m
    return Field(place.epsg, (500_000.0, 4_600_000.0), 0.3, np.stack([*waves, phase, amplitude]))


def _imaged(spec: Sentinel2Spec, left_m: float, top_m: float, x: Float64Array, y: Float64Array) -> NDArray[np.bool_]:
    if spec.swath_edge_m is None:
        return np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
    return np.asarray(x - left_m >= spec.swath_edge_m + 0.2 * (y - top_m) + 1e-6)


def _write_images(
    spec: Sentinel2Spec, place: TilePlace, folder: Path, granule: str, fields: dict[str, Field]
) -> list[str]:
    """The bands' images, and for L2A the scene classification and water vapour; their members without ending."""
    names = []
    for band, field in fields.items():
        x, y = place.centres(RESOLUTION_M[band])
        dn = QUANTIFICATION * field.on_grid(x, y) - spec.offset
        if spec.noise_dn:
            dn += np.random.default_rng([spec.seed, 99]).normal(0.0, spec.noise_dn, dn.shape)
        pixels = np.clip(np.rint(dn), 1, 65_534).astype(np.uint16)
        pixels[~_imaged(spec, place.left_m, place.top_m, x[None, :], y[:, None])] = 0
        names.append(_write(spec, place, folder, granule, band, RESOLUTION_M[band], pixels))
    if spec.level == "L2A":
        x, y = place.centres(20)
        classes = scene_class(x[None, :], y[:, None])
        classes[~_imaged(spec, place.left_m, place.top_m, x[None, :], y[:, None])] = 0
        names.append(_write(spec, place, folder, granule, "SCL", 20, classes))
        x, y = place.centres(10)
        vapour = np.broadcast_to((1500 + (x - place.left_m) / 100).astype(np.uint16), (y.size, x.size))
        names.append(_write(spec, place, folder, granule, "WVP", 10, vapour))
    return names


def _write(
    spec: Sentinel2Spec,
    place: TilePlace,
    folder: Path,
    granule: str,
    band: str,
    resolution_m: int,
    pixels: Pixels,
) -> str:
    if spec.layout == "cog":
        write_image(folder / f"{band}.tif", place, resolution_m, pixels[None])
        return band
    name = f"T{spec.tile}_{spec.sensing:%Y%m%dT%H%M%S}_{band}"
    sub = f"R{resolution_m}m/{name}_{resolution_m}m" if spec.level == "L2A" else name
    member = f"{granule}/IMG_DATA/{sub}"
    write_image(folder / f"{member}.jp2", place, resolution_m, pixels[None])
    return member


def _write_masks(spec: Sentinel2Spec, place: TilePlace, folder: Path, granule: str) -> dict[tuple[str, str], str]:
    """Detector footprints and quality of the bands: images, or before baseline 04.00 vectors."""
    if spec.layout == "cog":
        return {}
    if spec.offset == 0:
        return _write_vector_masks(spec, place, folder, granule)
    masks = {}
    for band in spec.bands:
        x, y = place.centres(RESOLUTION_M[band])
        seen = _imaged(spec, place.left_m, place.top_m, x[None, :], y[:, None])
        stripes = np.where(seen, detector(x[None, :], y[:, None]), 0).astype(np.uint8)
        quality = np.zeros((8, *seen.shape), np.uint8)
        quality[7, : seen.shape[0] // 4, : seen.shape[1] // 4] = 1  # saturated in a corner
        quality[4, -1, :] = 1  # a defective line
        for kind, pixels in (("MSK_DETFOO", stripes[None]), ("MSK_QUALIT", quality)):
            member = f"{granule}/QI_DATA/{kind}_{band}.jp2"
            write_image(folder / member, place, RESOLUTION_M[band], pixels)
            masks[kind, band] = member
    return masks


def _write_vector_masks(
    spec: Sentinel2Spec, place: TilePlace, folder: Path, granule: str
) -> dict[tuple[str, str], str]:
    masks = {}
    resolutions = {band: RESOLUTION_M[band] for band in spec.bands}
    for (kind, band), content in vector_masks(place, resolutions, spec.swath_edge_m, DETECTOR_M).items():
        member = f"{granule}/QI_DATA/{kind}_{band}.gml"
        (folder / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / member).write_bytes(content)
        masks[kind, band] = member
    return masks


def write_image(path: Path, place: TilePlace, resolution_m: int, pixels: Pixels) -> None:
    """Pixels (bands, rows, cols) on the tile's grid, without loss: JPEG 2000 or GeoTIFF, as the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "count": pixels.shape[0],
        "dtype": pixels.dtype.name,
        "crs": place.epsg,
        "transform": Affine(resolution_m, 0.0, place.left_m, 0.0, -resolution_m, place.top_m),
    }
    if path.suffix == ".jp2":
        block = _BLOCK_PX[resolution_m]
        profile |= {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "YCC": "NO"}
        profile |= {"BLOCKXSIZE": block, "BLOCKYSIZE": block}
    else:
        profile |= {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(path, "w", **profile) as image:
        image.write(pixels)


def _write_metadata(
    spec: Sentinel2Spec,
    place: TilePlace,
    folder: Path,
    granule: str,
    images: list[str],
    masks: dict[tuple[str, str], str],
) -> None:
    number = {band: k for k, band in enumerate(RESOLUTION_M)}
    ring = place.ring_lonlat()
    user = user_xml(
        spec.stem, spec.level, spec.platform, spec.sensing, spec.baseline, spec.relative_orbit, spec.offset, images,
        ring,
    )  # fmt: skip
    numbered = {(kind, number[band]): member for (kind, band), member in masks.items()}
    tile = tile_xml(place, spec.level, spec.platform, spec.sensing, spec.absolute_orbit, spec.baseline, numbered)
    if spec.layout == "cog":
        (folder / "product_metadata.xml").write_bytes(user)
        (folder / "granule_metadata.xml").write_bytes(tile)
        return
    (folder / f"MTD_MSI{spec.level}.xml").write_bytes(user)
    (folder / granule / "MTD_TL.xml").write_bytes(tile)
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    manifest = manifest_xml(folder, files, spec.level, spec.platform, spec.sensing, spec.absolute_orbit,
                            spec.relative_orbit, ring)  # fmt: skip
    (folder / "manifest.safe").write_bytes(manifest)


def _zipped(folder: Path) -> Path:
    """The folder as a zip beside it, images stored; the folder is gone."""
    path = folder.with_suffix(".zip") if folder.suffix == ".SAFE" else folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                kind = zipfile.ZIP_STORED if file.suffix in {".jp2", ".tif"} else zipfile.ZIP_DEFLATED
                archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}", kind)
    shutil.rmtree(folder)
    return path
