"""Makes a Sentinel-1 product: geometry, terrain, pixels, annotations, manifest."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from localdev.scene.annotation import GeolocationGrid, parse, read_geometry, read_grid
from localdev.scene.annotation_xml import Statistics, annotation_xml
from localdev.scene.border import is_old
from localdev.scene.calibration import Calibration, make_calibration, read_calibration, without_azimuth
from localdev.scene.calibration_xml import calibration_xml, noise_xml, old_noise_xml
from localdev.scene.fractal import write_fractal_dem
from localdev.scene.frame import anx_time, displaced, make_geometry, make_grid
from localdev.scene.identity import Identity, stop_time
from localdev.scene.manifest import ProductFile, footprint, manifest_xml, unique_digits, updated_manifest
from localdev.scene.measurement import write_measurements
from localdev.scene.orbit_file import write_orbit_file
from localdev.scene.pixels import Painter, Window
from localdev.scene.quicklook import overlay_xml, write_quick_look
from localdev.scene.radar import RadarGeometry
from localdev.scene.spec import Scene, SceneSpec, Target
from localdev.scene.targets import place_targets, targets_at
from localdev.scene.terrain import Bounds, Surface, flat_surface, read_surface

DEM_MARGIN_DEG = 0.05
DEFAULT_CENTRE_LONLAT_DEG = (12.5, 42.0)


def make_sentinel1(spec: SceneSpec) -> Scene:
    """Make the product that a specification describes.

    Returns
    -------
    Scene
        Where it is, and the truth it was made with.

    Raises
    ------
    ValueError
        Where the specification contradicts itself or a file it names does not fit the scene.
    """
    spec.out_folder.mkdir(parents=True, exist_ok=True)
    return _from_annotation(spec) if spec.annotation_safe else _from_nothing(spec)


def _from_nothing(spec: SceneSpec) -> Scene:
    mode = spec.radar_mode
    n_lines, n_samples = spec.size_lines_samples or mode.full_frame
    lon, lat = spec.centre_lonlat_deg or DEFAULT_CENTRE_LONLAT_DEG
    geometry, orbit, middle = make_geometry(
        lon,
        lat,
        (n_lines, n_samples),
        spec.start,
        ascending=spec.ascending,
        mode=mode,
        offset_lines=spec.slice_offset_lines,
    )
    identity = Identity(
        spec.platform,
        geometry.epoch,
        stop_time(geometry.epoch, (n_lines - 1) * geometry.line_interval_s),
        spec.polarisations,
        spec.ascending,
        anx_time(orbit, geometry.epoch, middle),
        mode,
    )
    annotated = displaced(geometry, spec.orbit_error_m) if spec.orbit_error_m else geometry
    window = Window(*spec.window) if spec.window else Window(0, 0, n_lines, n_samples)
    surface, dem = _ground(spec, geometry, window)
    grid = make_grid(annotated, float(np.median(surface.height_m)))
    calibration = make_calibration(geometry, float(np.median(surface.height_m)), spec.noise_db, mode.subswaths)
    if is_old(spec.ipf_version):
        calibration = without_azimuth(calibration)
    work = spec.out_folder / (identity.product_name("0000") + ".SAFE")
    for part in ("annotation/calibration", "measurement", "preview"):
        (work / part).mkdir(parents=True, exist_ok=True)
    measurements = [work / "measurement" / (identity.file_stem(p) + ".tiff") for p in spec.polarisations]
    targets = place_targets(spec.targets, geometry, surface, window, spec.seed)
    targets += targets_at(spec.target_lonlat_deg, geometry, surface, window)
    painter = Painter(spec, geometry=geometry, surface=surface, window=window, targets=targets)
    statistics, pictures = write_measurements(
        measurements,
        shape=(n_lines, n_samples),
        window=window,
        grid=grid,
        title=f"Sentinel-1{spec.platform[-1]} {mode.name} GRD {mode.resolution_words} L1",
        start=geometry.epoch,
        bands=painter.bands([calibration] * len(measurements)),
    )
    files = _annotations(
        work, identity, spec.ipf_version, geometry=annotated, grid=grid, calibration=calibration, statistics=statistics
    )
    (work / "preview/map-overlay.kml").write_bytes(overlay_xml(footprint(grid)))
    write_quick_look(work / "preview/quick-look.png", pictures)
    files += [ProductFile("overlay", work / "preview/map-overlay.kml")]
    files += [ProductFile("measurement", path) for path in measurements]
    files += [ProductFile("quicklook", work / "preview/quick-look.png")]
    path = _finish(work, manifest_xml(work, identity, grid, files, spec.ipf_version), spec)
    scene = _scene(spec, path, geometry=geometry, window=window, targets=targets, dem=dem)
    if not spec.orbit_file:
        return scene
    return replace(scene, orbit_path=write_orbit_file(spec.out_folder, identity, orbit, geometry.epoch, middle))


def _annotations(
    work: Path,
    identity: Identity,
    ipf_version: str,
    *,
    geometry: RadarGeometry,
    grid: GeolocationGrid,
    calibration: Calibration,
    statistics: list[Statistics],
) -> list[ProductFile]:
    files = []
    for polarisation, numbers in zip(identity.polarisations, statistics, strict=True):
        stem = identity.file_stem(polarisation)
        for kind, name, content in (
            ("product", f"{stem}.xml", annotation_xml(identity, polarisation, geometry, grid, numbers)),
            (
                "noise",
                f"calibration/noise-{stem}.xml",
                old_noise_xml(identity, polarisation, geometry, calibration, ipf_version)
                if is_old(ipf_version)
                else noise_xml(identity, polarisation, geometry, calibration),
            ),
            (
                "calibration",
                f"calibration/calibration-{stem}.xml",
                calibration_xml(identity, polarisation, geometry, calibration),
            ),
        ):
            path = work / "annotation" / name
            path.write_bytes(content)
            files.append(ProductFile(kind, path))
    return files


def _from_annotation(spec: SceneSpec) -> Scene:
    source = spec.annotation_safe
    assert source is not None
    if spec.orbit_file or spec.orbit_error_m:
        raise ValueError("an orbit file or an orbit error needs a scene made from nothing, not a real annotation")
    annotations = sorted((source / "annotation").glob("*-grd-*.xml"))
    if not annotations:
        raise ValueError(f"{source.name}: no GRD annotation in its annotation folder")
    geometry = read_geometry(parse(annotations[0]))
    grid = read_grid(parse(annotations[0]))
    window = _real_window(spec, geometry)
    surface, dem = _ground(spec, geometry, window)
    calibrations = []
    for path in annotations:
        noise = path.parent / "calibration" / f"noise-{path.name}"
        calibrations.append(
            read_calibration(
                parse(path.parent / "calibration" / f"calibration-{path.name}"),
                parse(noise) if noise.is_file() else None,
            )
        )
    work = spec.out_folder / f".making-{source.name}"
    shutil.rmtree(work, ignore_errors=True)
    for path in (source / "annotation").rglob("*.xml"):
        if spec.noise_db is None and path.name.startswith("noise-"):
            continue  # there is none in the pixels
        copy = work / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for part in ("measurement", "preview"):
        (work / part).mkdir(parents=True)
    measurements = [work / "measurement" / f"{path.stem}.tiff" for path in annotations]
    targets = place_targets(spec.targets, geometry, surface, window, spec.seed)
    targets += targets_at(spec.target_lonlat_deg, geometry, surface, window)
    painter = Painter(spec, geometry=geometry, surface=surface, window=window, targets=targets)
    _, pictures = write_measurements(
        measurements,
        shape=(geometry.n_lines, geometry.n_samples),
        window=window,
        grid=grid,
        title=f"Sentinel-1{source.name[2]} {source.name[4:6]} GRD L1",
        start=geometry.epoch,
        bands=painter.bands(calibrations),
    )
    write_quick_look(work / "preview/quick-look.png", pictures)
    path = _finish(work, updated_manifest(source / "manifest.safe", work), spec, source.stem[:-4])
    polarisations = tuple(path.name.split("-")[3] for path in annotations)
    return replace(
        _scene(spec, path, geometry=geometry, window=window, targets=targets, dem=dem), polarisations=polarisations
    )


def _real_window(spec: SceneSpec, geometry: RadarGeometry) -> Window:
    if spec.window:
        return Window(*spec.window)
    if spec.size_lines_samples is None:
        return Window(0, 0, geometry.n_lines, geometry.n_samples)
    lines = min(spec.size_lines_samples[0], geometry.n_lines)
    samples = min(spec.size_lines_samples[1], geometry.n_samples)
    first_line, first_sample = (geometry.n_lines - lines) // 2, (geometry.n_samples - samples) // 2
    if spec.centre_lonlat_deg is not None:
        lon, lat = spec.centre_lonlat_deg
        line, sample = (float(part) for part in geometry.ground_to_image(lon, lat, spec.flat_height_m))
        if not (0 <= line < geometry.n_lines and 0 <= sample < geometry.n_samples):
            raise ValueError(f"{lon}, {lat} is outside the real frame (it would show at line {line:.0f} {sample:.0f})")
        first_line = min(max(round(line) - lines // 2, 0), geometry.n_lines - lines)
        first_sample = min(max(round(sample) - samples // 2, 0), geometry.n_samples - samples)
    return Window(first_line, first_sample, lines, samples)


def _scene(
    spec: SceneSpec,
    path: Path,
    *,
    geometry: RadarGeometry,
    window: Window,
    targets: list[Target],
    dem: Path | None,
) -> Scene:
    return Scene(
        path=path,
        dem_path=dem,
        geoid_path=spec.geoid_file if dem else None,
        flat_height_m=None if dem else spec.flat_height_m,
        targets=targets,
        level_db=spec.level_db,
        law=spec.law,
        n_lines=geometry.n_lines,
        n_samples=geometry.n_samples,
        window=(window.first_line, window.first_sample, window.lines, window.samples),
        polarisations=spec.polarisations,
    )


def bounds_of(geometry: RadarGeometry, window: Window, margin_deg: float = DEM_MARGIN_DEG) -> Bounds:
    """West, south, east, north of what a window of the image sees, with a margin."""
    line = window.first_line + np.linspace(0, window.lines - 1, 9)
    sample = window.first_sample + np.linspace(0, window.samples - 1, 9)
    lon, lat = geometry.image_to_ground(line[:, None], sample[None, :], 0.0)
    if np.ptp(lon) > 180.0:
        raise ValueError("the simulator makes no scene across the antimeridian")
    wide = margin_deg / float(np.cos(np.radians(np.abs(lat).max())))
    return (
        float(lon.min()) - wide,
        float(lat.min()) - margin_deg,
        float(lon.max()) + wide,
        float(lat.max()) + margin_deg,
    )


def _ground(spec: SceneSpec, geometry: RadarGeometry, window: Window) -> tuple[Surface, Path | None]:
    bounds = bounds_of(geometry, window)
    if spec.dem_file is not None:
        return read_surface(spec.dem_file, spec.geoid_file, bounds), spec.dem_file
    if spec.fractal_seed is not None:
        path = spec.out_folder / f"dem-fractal-{spec.fractal_seed}.tif"
        write_fractal_dem(path, bounds, spec.fractal_seed, spec.relief_m, sea_fraction=spec.sea_fraction)
        return read_surface(path, spec.geoid_file, bounds), path
    return flat_surface(bounds, spec.flat_height_m), None


def _finish(work: Path, manifest: bytes, spec: SceneSpec, stem: str | None = None) -> Path:
    """Put the manifest last, name the product after its checksum, zip it if asked."""
    (work / "manifest.safe").write_bytes(manifest)
    name = (stem or work.stem[:-4]) + unique_digits(manifest)
    folder = spec.out_folder / f"{name}.SAFE"
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)
    if not spec.zip_it:
        return folder
    archive = spec.out_folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as sink:
        for path in sorted(folder.rglob("*")):
            style = zipfile.ZIP_STORED if path.suffix == ".tiff" else zipfile.ZIP_DEFLATED
            sink.write(path, path.relative_to(spec.out_folder), style)
    shutil.rmtree(folder)
    return archive
