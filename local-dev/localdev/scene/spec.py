"""What to simulate, and what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from localdev.scene.modes import Mode, ModeName, Resolution, mode_of

ScatteringLaw = Literal["gamma0", "sigma0"]


@dataclass(frozen=True)
class SceneSpec:
    """A Sentinel-1 scene to make.

    Attributes
    ----------
    out_folder : Path
        The product and, where one is made, the DEM go here.
    annotation_safe : Path, optional
        A real SAFE folder whose orbit, records, calibration and noise are taken over. Without it all are made.
    centre_lonlat_deg : (lon, lat), optional
        Middle of the image; with ``annotation_safe`` the middle of the part that is filled. Default: 12.5 E 42 N, or
        the middle of the real frame.
    size_lines_samples : (lines, samples), optional
        Size of the image. With ``annotation_safe`` the frame keeps its size and this is the window to fill in its
        middle (see ``window``); None fills everything.
    window : (first_line, first_sample, lines, samples), optional
        Fill only this part; the rest of the frame stays zero and takes no disk space.
    start : datetime
        UTC of the first line (without ``annotation_safe``).
    slice_offset_lines : int
        Make, of the same pass, the slice of the same size that begins this many lines after the one centred
        on the place (and at ``start`` plus that time).
    mode, swath, resolution
        Without ``annotation_safe``: IW, EW, or SM with a beam S1 to S6 (default S3); GRD class F, H or M (default H,
        for EW M). See `Mode`.
    orbit_file : bool
        Also write the true orbit as a precise orbit file of 26 hours (without ``annotation_safe``).
    orbit_error_m : float
        By how much the annotated orbit and geolocation grid are displaced, forward and to the right, from the true
        orbit that made the pixels (without ``annotation_safe``).
    dem_file, geoid_file : Path, optional
        Terrain from files: geographic DEM; heights are DEM + geoid (none: ellipsoidal).
    fractal_seed : int, optional
        Make a fractal DEM of ``relief_m`` instead. With ``geoid_file`` the file written holds DEM = height - geoid.
    flat_height_m : float
        Used where neither is given: one ellipsoidal height everywhere.
    level_db, law
        Backscatter: ``gamma0`` (area seen by the radar times gamma0: slopes shade) or ``sigma0`` (surface area times
        sigma0).
    sea_level_db : float, optional
        Backscatter where the terrain is the sea surface (DEM height zero or less); None: like land.
    cross_polarised_db : float
        What VH or HV has less.
    speckle_looks : float, optional
        Gamma-distributed speckle with unit mean; None: none.
    noise_db : float, optional
        Noise-equivalent sigma0 that is in the pixels and in the noise vectors (without ``annotation_safe``; with it
        the annotated noise is in the pixels; where this is None it is not, and the noise files are left out).
    ipf_version : str
        Processor that the manifest names (without ``annotation_safe``). Before 2.9 noise files have range vectors
        only, and before 2.5 these lack their factor.
    border_noise_px : int
        Before IPF 2.9: width of the border of low random values around what is filled.
    targets : int
        Point targets spread over the image.
    target_lonlat_deg : tuple of (lon, lat)
        Further point targets, on the ground there; where the image shows none of them it has none. So neighbouring
        slices can show the same one.
    facets_per_pixel : int
        Facets along each axis of a pixel.
    """

    out_folder: Path
    annotation_safe: Path | None = None
    centre_lonlat_deg: tuple[float, float] | None = None
    size_lines_samples: tuple[int, int] | None = (1200, 1500)
    window: tuple[int, int, int, int] | None = None
    start: datetime = field(default_factory=lambda: datetime(2024, 3, 10, 5, 11, 22, 594441))
    ascending: bool = False
    slice_offset_lines: int = 0
    platform: Literal["S1A", "S1B", "S1C", "S1D"] = "S1A"
    mode: ModeName = "IW"
    swath: str | None = None
    resolution: Resolution | None = None
    orbit_file: bool = False
    orbit_error_m: float = 0.0
    dem_file: Path | None = None
    geoid_file: Path | None = None
    fractal_seed: int | None = None
    relief_m: float = 1500.0
    sea_fraction: float = 0.0
    flat_height_m: float = 0.0
    level_db: float = -8.0
    law: ScatteringLaw = "gamma0"
    sea_level_db: float | None = None
    cross_polarised_db: float = 7.0
    speckle_looks: float | None = 4.4
    noise_db: float | None = -24.0
    ipf_version: str = "003.40"
    border_noise_px: int = 0
    targets: int = 0
    target_lonlat_deg: tuple[tuple[float, float], ...] = ()
    target_dn: float = 20000.0
    target_width_px: float = 1.4
    polarisations: tuple[str, ...] = ("vv",)
    facets_per_pixel: int = 2
    seed: int = 1
    zip_it: bool = False
    threads: int = 2

    @property
    def radar_mode(self) -> Mode:
        """Mode, swath and resolution class with their defaults."""
        return mode_of(self.mode, self.swath, self.resolution)


@dataclass(frozen=True)
class Target:
    """A point target: where it stands and where the image shows it (0-based, integers at pixel centres)."""

    lon_deg: float
    lat_deg: float
    height_m: float
    line: float
    sample: float


@dataclass(frozen=True)
class Scene:
    """A simulated product.

    Attributes
    ----------
    path : Path
        The SAFE folder, or the zip where one was asked for.
    dem_path : Path or None
        The DEM its pixels were made with; None for flat ground.
    measurements : dict
        Measurement TIFF by polarisation, as written in the SAFE folder before zipping.
    orbit_path : Path or None
        The orbit file, where one was asked for.
    """

    path: Path
    dem_path: Path | None
    geoid_path: Path | None
    flat_height_m: float | None
    targets: list[Target]
    level_db: float
    law: ScatteringLaw
    n_lines: int
    n_samples: int
    window: tuple[int, int, int, int]
    polarisations: tuple[str, ...]
    orbit_path: Path | None = None
