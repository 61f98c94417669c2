"""Makes Sentinel-2 L1B products: granules of staggered detectors, and all that a rigorous model needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localdev.scene.earth import EarthPose
from localdev.scene.ellipsoid import Float64Array
from localdev.scene.flight import MadeFlight
from localdev.scene.fractal import write_fractal_dem
from localdev.scene.gipp_xml import DETECTORS, write_gipp
from localdev.scene.msi import MSI_BANDS, SMALL_REFINING, Mountings, Refining
from localdev.scene.msi_camera import MsiCamera
from localdev.scene.msi_targets import MsiTarget, Swath, place_targets
from localdev.scene.optical import PATCH_PX, Photographer, Response
from localdev.scene.sentinel2_l1b_flight import cameras_over, flight_over
from localdev.scene.sentinel2_l1b_granules import footprint, granule_notes, made
from localdev.scene.sentinel2_l1b_masks import write_masks, write_strip
from localdev.scene.sentinel2_l1b_xml import DatastripNote, GranuleNote, datastrip_xml, granule_xml
from localdev.scene.spec import Target
from localdev.scene.sunlight import Sunlight
from localdev.scene.terrain import Surface, flat_surface, read_surface
from localdev.scene.texture import Texture, make_texture

_NODE_STEP_PX = 4
_SUN_COLUMNS = 9
_AROUND_DEG = 0.06
"""Of terrain around the image."""
_KNOWN_BEYOND_S = 12
"""For how long there are orbit and attitude before the image and after it."""


@dataclass(frozen=True)
class Sentinel2L1BSpec:
    """A product to make.

    Attributes
    ----------
    out_folder : Path
        Gets ``L1B``, ``GIPP`` and, for made terrain, ``dem.tif``.
    platform : str
    baseline : str
        From 04.00 on counts have an offset of 100, and masks are images; before they are vectors.
    centre_lonlat_deg : (lon, lat)
        Middle of the image.
    sensing : datetime
        UTC, of the middle of the image.
    bands : tuple of str
    detectors : tuple of str
        Neighbours, "01" (on the right) to "12".
    granules : int
        Of each detector, one after the other.
    granule_lines, samples, overlap_px : int
        Of a granule, and what two detectors have in common; in pixels of 10 m. A real one has 2304 lines, 2552 samples
        and about 100 in common. Lines are a multiple of 6, so that all bands have whole ones.
    wobble_rad : float
        Of roll, pitch and yaw, slow.
    refining : Refining, optional
        What is wrong with the orbit and attitude that are told; `SMALL_REFINING` where ``refined``.
    dem_file, geoid_file, fractal_seed, relief_m, flat_height_m
        Terrain: a DEM, or a fractal one, or where neither is given one ellipsoidal height.
    targets : int
        Point targets, in all bands.
    common_targets : int
        More of them, in the middle of what each two neighbouring detectors have in common.
    masks_of_strip : bool
        Vectors count lines from the beginning of the datastrip, not of the granule.
    reflectance_per_dn : float, optional
        What a number of the textures stands for: pixels are then counts of the sun's light that comes back. Default:
        pixels are the textures' numbers.
    """

    out_folder: Path
    platform: str = "S2A"
    baseline: str = "05.00"
    centre_lonlat_deg: tuple[float, float] = (12.5, 42.0)
    sensing: datetime = datetime(2024, 6, 5, 10, 0, 31, 24000)
    ascending: bool = False
    relative_orbit: int = 122
    absolute_orbit: int = 46_789
    bands: tuple[str, ...] = ("B02", "B03", "B05", "B01")
    detectors: tuple[str, ...] = ("06", "07")
    granules: int = 2
    granule_lines: int = 396
    samples: int = 300
    overlap_px: int = 36
    wobble_rad: float = 5e-5
    refined: bool = False
    refining: Refining = SMALL_REFINING
    pose: EarthPose = field(default_factory=EarthPose)
    mountings: Mountings = field(default_factory=Mountings)
    dem_file: Path | None = None
    geoid_file: Path | None = None
    fractal_seed: int | None = 1
    relief_m: float = 600.0
    flat_height_m: float = 0.0
    targets: int = 6
    common_targets: int = 1
    target_dn: float = 2500.0
    masks_of_strip: bool = False
    reflectance_per_dn: float | None = None
    seed: int = 1
    threads: int = 2

    @property
    def offset(self) -> int:
        """``RADIO_ADD_OFFSET``."""
        return -100 if self.baseline >= "04.00" else 0


@dataclass(frozen=True)
class Sentinel2L1BProduct:
    """A product made, and its truth.

    Attributes
    ----------
    path : Path
        The folder ``L1B``.
    gipp_path : Path
        The folder of parameter files.
    dem_path : Path or None
        None for flat ground.
    cameras : dict of (band, detector) to MsiCamera
    textures : dict of band to Texture
        Brightness of the ground, the same whichever detector sees it.
    """

    path: Path
    gipp_path: Path
    dem_path: Path | None
    spec: Sentinel2L1BSpec
    cameras: dict[tuple[str, str], MsiCamera]
    surface: Surface
    textures: dict[str, Texture]
    targets: list[MsiTarget]


def make_sentinel2_l1b(spec: Sentinel2L1BSpec) -> Sentinel2L1BProduct:
    """Make the product that a specification describes.

    Raises
    ------
    ValueError
        Where there is no such band or detector, or sizes do not fit.
    """
    _check(spec)
    product, gipp = spec.out_folder / "L1B", spec.out_folder / "GIPP"
    product.mkdir(parents=True)
    day = _day(spec)
    flight = flight_over(spec, day)
    cameras = cameras_over(spec, flight)
    start, stop = _sensed(cameras, day, spec.pose)
    middle_s = (start - day + (stop - start) / 2) / timedelta(seconds=1) + spec.pose.gps_minus_utc_s
    refining = spec.refining if spec.refined else Refining()
    cameras = {key: replace(camera, middle_s=middle_s, refining=refining) for key, camera in cameras.items()}
    surface, dem = _ground(spec, cameras)
    swath = Swath(spec.detectors, spec.granules * spec.granule_lines, spec.samples, spec.overlap_px)
    targets = place_targets(cameras, swath, surface, spec.targets, spec.common_targets, spec.seed)
    textures = {
        name: make_texture(*spec.centre_lonlat_deg, float(MSI_BANDS[name].resolution_m), spec.seed + 101 * k)
        for k, name in enumerate(spec.bands)
    }
    granules = granule_notes(spec, cameras, day)
    names = write_gipp(
        gipp, spec.platform, (MSI_BANDS[name] for name in spec.bands), spec.mountings, spec.samples, spec.overlap_px
    )
    _write_metadata(spec, product, granules, cameras, flight, (start, stop), names)
    for (name, detector), camera in cameras.items():
        pixels = _pixels(spec, camera, surface, targets, textures[name])
        own_lines = spec.granule_lines // camera.band.per_pixel
        for granule in granules:
            if granule.detector == detector:
                first = granule.position // camera.band.per_pixel
                stem = granule.id.removesuffix(f"_N{spec.baseline}")
                write_strip(
                    product / "GRANULE" / granule.id / "IMG_DATA" / f"{stem}_{name}.jp2",
                    pixels[None, first : first + own_lines],
                )
    return Sentinel2L1BProduct(product, gipp, dem, spec, cameras, surface, textures, targets)


def _day(spec: Sentinel2L1BSpec) -> datetime:
    """Its beginning."""
    return datetime(spec.sensing.year, spec.sensing.month, spec.sensing.day)


def _check(spec: Sentinel2L1BSpec) -> None:
    unknown = [name for name in spec.bands if name not in MSI_BANDS]
    if unknown or not spec.bands:
        raise ValueError(f"bands {', '.join(unknown) or 'none'}: expected some of {', '.join(MSI_BANDS)}")
    numbers = [DETECTORS.index(detector) if detector in DETECTORS else -1 for detector in spec.detectors]
    if not numbers or min(numbers) < 0 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ValueError(f"detectors {', '.join(spec.detectors)}: expected neighbours among 01 to 12, in order")
    if spec.granule_lines % 6 or spec.granule_lines < 12 or spec.samples < 12 or spec.granules < 1:
        raise ValueError(
            f"{spec.granules} granules of {spec.granule_lines} x {spec.samples} px of 10 m: expected 12 or more, lines"
            " a multiple of 6"
        )


def _sensed(cameras: dict[tuple[str, str], MsiCamera], day: datetime, pose: EarthPose) -> tuple[datetime, datetime]:
    """Whole milliseconds UTC before the first line and after the last."""
    first_s = min(camera.first_line_s for camera in cameras.values()) - pose.gps_minus_utc_s
    last_s = max(camera.first_line_s + camera.n_lines * camera.line_period_s for camera in cameras.values())
    last_s -= pose.gps_minus_utc_s
    return (
        day + timedelta(milliseconds=int(np.floor(first_s * 1e3))),
        day + timedelta(milliseconds=int(np.ceil(last_s * 1e3))),
    )


def _ground(spec: Sentinel2L1BSpec, cameras: dict[tuple[str, str], MsiCamera]) -> tuple[Surface, Path | None]:
    rings = np.concatenate([footprint(camera, 0, camera.n_lines) for camera in cameras.values()])
    (west, south), (east, north) = rings.min(axis=0) - _AROUND_DEG, rings.max(axis=0) + _AROUND_DEG
    bounds = (float(west), float(south), float(east), float(north))
    if spec.dem_file is not None:
        return read_surface(spec.dem_file, spec.geoid_file, bounds), spec.dem_file
    if spec.fractal_seed is not None:
        path = spec.out_folder / "dem.tif"
        write_fractal_dem(path, bounds, spec.fractal_seed, spec.relief_m)
        return read_surface(path, spec.geoid_file, bounds), path
    return flat_surface(bounds, spec.flat_height_m), None


def _write_metadata(
    spec: Sentinel2L1BSpec,
    product: Path,
    granules: list[GranuleNote],
    cameras: dict[tuple[str, str], MsiCamera],
    flight: MadeFlight,
    sensed: tuple[datetime, datetime],
    gipp: list[str],
) -> None:
    start, stop = sensed
    day = _day(spec)
    stem = f"DPRM_{made(spec)}_S{start:%Y%m%dT%H%M%S}"
    identifier = f"{spec.platform}_OPER_MSI_L1B_DS_{stem}_N{spec.baseline}"
    known_s = [(time - day) / timedelta(seconds=1) + spec.pose.gps_minus_utc_s for time in sensed]
    note = DatastripNote(
        id=identifier,
        platform=spec.platform,
        baseline=spec.baseline,
        start=start,
        stop=stop,
        day=day,
        relative_orbit=spec.relative_orbit,
        absolute_orbit=spec.absolute_orbit,
        ascending=spec.ascending,
        flight=flight,
        known_s=(int(np.floor(known_s[0])) - _KNOWN_BEYOND_S, int(np.ceil(known_s[1])) + _KNOWN_BEYOND_S),
        first_line_s={(camera.band.number, detector): camera.first_line_s for (_, detector), camera in cameras.items()},
        granules=granules,
        gipp=gipp,
        refining=spec.refining if spec.refined else None,
        offset=spec.offset,
    )
    folder = product / "DATASTRIP" / identifier
    folder.mkdir(parents=True)
    (folder / f"{spec.platform}_OPER_MTD_L1B_DS_{stem}.xml").write_bytes(datastrip_xml(note))
    for granule in granules:
        images = product / "GRANULE" / granule.id / "IMG_DATA"
        images.mkdir(parents=True)
        name = granule.id.removesuffix(f"_N{spec.baseline}").replace("_MSI_L1B_GR_", "_MTD_L1B_GR_")
        masks = write_masks(spec, images.parent, granule)
        (images.parent / f"{name}.xml").write_bytes(granule_xml(granule, identifier, masks))


def _pixels(
    spec: Sentinel2L1BSpec, camera: MsiCamera, surface: Surface, targets: list[MsiTarget], texture: Texture
) -> NDArray[np.uint16]:
    """Of a detector's image of the datastrip."""
    stamps = []
    if targets:
        places = np.array([(target.lon_deg, target.lat_deg, target.height_m) for target in targets])
        for place, line, sample in zip(places, *camera.ground_to_image(*places.T), strict=True):
            # Some of a target just outside shows, too.
            near_line = -PATCH_PX < line < camera.n_lines + PATCH_PX
            if near_line and -PATCH_PX < sample < camera.n_samples + PATCH_PX:
                stamps.append(Target(*(float(part) for part in (*place, line, sample))))
    photographer = Photographer(
        camera,
        surface,
        stamps,
        target_dn=spec.target_dn,
        panel_dn=texture.mean,
        node_step_px=_NODE_STEP_PX,
        response=None if spec.reflectance_per_dn is None else _counting(spec, camera, spec.reflectance_per_dn),
    )
    return np.concatenate([pixels[0] for _, pixels in photographer.bands([texture], spec.threads)])


def _counting(spec: Sentinel2L1BSpec, camera: MsiCamera, reflectance_per_dn: float) -> Response:
    """Of a detector that the sun lights: its place goes in straight lines between some samples of each line."""
    sun = Sunlight(_day(spec))
    columns = np.linspace(0.0, camera.n_samples - 1.0, _SUN_COLUMNS)
    weights = np.stack([np.interp(np.arange(camera.n_samples), columns, row) for row in np.eye(_SUN_COLUMNS)])

    def response(first_line: int, image: Float64Array) -> Float64Array:
        line = first_line + np.arange(image.shape[1])[:, None]
        utc_s = camera.first_line_s + (line + 0.5) * camera.line_period_s - spec.pose.gps_minus_utc_s
        cosine = sun.direction(*camera.image_to_ground(line, columns[None, :], 0.0), utc_s)[0]
        return sun.counts(spec.platform, camera.band.name, reflectance_per_dn * image, cosine @ weights, spec.offset)

    return response
