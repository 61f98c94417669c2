"""Lines of the image, band by band: echoes of the terrain, noise, speckle and point targets, as digital numbers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from localdev.scene.border import HIGHEST_DN, imaged
from localdev.scene.calibration import Calibration
from localdev.scene.ellipsoid import Float64Array, normal, to_earth_centred
from localdev.scene.facets import scatter
from localdev.scene.radar import RadarGeometry
from localdev.scene.spec import SceneSpec, Target
from localdev.scene.terrain import Surface, crossings

NODE_STEP_PX = 16
TABLE_STEP_M = 10.0
BAND_LINES = 256
MARGIN_PX = 4.0
LEAN_LINES_PER_KM = 0.4  # the ellipsoid's normal leaves the zero-Doppler plane by up to 3.4 m per km of height
IW_STEEPNESS = 1.85  # 1 / tan(29 degrees) and a little

UInt16Array = NDArray[np.uint16]


@dataclass(frozen=True)
class Window:
    """The part of the frame that is filled."""

    first_line: int
    first_sample: int
    lines: int
    samples: int


@dataclass(frozen=True)
class Reach:
    """How far the lattice of facets must go beyond the image, in pixels, and the height it is laid out at."""

    reference_m: float
    lines: float
    near: float
    far: float


def reach_of(surface: Surface, sample_spacing_m: float, steepness: float = IW_STEEPNESS) -> Reach:
    """From the heights alone: relief moves echoes by at most ``steepness`` times the height towards the radar."""
    low, high = float(surface.height_m.min()), float(surface.height_m.max())
    reference = float(np.median(surface.height_m[:: max(1, surface.height_m.shape[0] // 500)]))
    shift = steepness * max(high - reference, 0.0) / sample_spacing_m
    shadow = 1.3 * (high - low) / sample_spacing_m
    sunk = steepness * max(reference - low, 0.0) / sample_spacing_m
    lines = MARGIN_PX + LEAN_LINES_PER_KM * 10.0 / sample_spacing_m * (high - low) / 1000.0
    return Reach(reference, lines, MARGIN_PX + sunk + shadow, MARGIN_PX + shift)


def _steepness(geometry: RadarGeometry, window: Window) -> float:
    """How far a metre of height moves an echo at the near edge: 1 / tan(incidence), never less than in IW."""
    line, sample = np.array([0.5 * geometry.n_lines]), np.array([float(window.first_sample)])
    time = line * geometry.line_interval_s
    point = geometry.locate(time, geometry.range_of(line, sample), np.zeros(1))
    incidence_deg, _ = geometry.angles(time, point)
    return max(IW_STEEPNESS, 1.04 / float(np.tan(np.radians(incidence_deg[0]))))


class Painter:
    """Makes the pixels of a window of the frame."""

    def __init__(
        self,
        spec: SceneSpec,
        *,
        geometry: RadarGeometry,
        surface: Surface,
        window: Window,
        targets: list[Target],
    ) -> None:
        self._spec = spec
        self._geometry = geometry
        self._surface = surface
        self._window = window
        self._targets = targets
        self._reach = reach_of(surface, geometry.sample_spacing_m, _steepness(geometry, window))
        self._table_range0, self._table = self._make_table()

    def bands(self, calibrations: list[Calibration]) -> Iterator[tuple[int, list[UInt16Array]]]:
        """Bands of lines in order: their first line in the frame, and one array per polarisation."""
        first, last = self._window.first_line, self._window.first_line + self._window.lines
        starts = iter(range(first, last, BAND_LINES))

        def paint(start: int) -> tuple[int, list[UInt16Array]]:
            return start, self._paint(start, min(BAND_LINES, last - start), calibrations)

        # A few bands at a time: memory stays bounded however fast the bands are made.
        with ThreadPoolExecutor(self._spec.threads) as pool:
            while chunk := list(islice(starts, self._spec.threads)):
                yield from pool.map(paint, chunk)

    def sigma(self, first_line: int, n_lines: int) -> Float64Array:
        """Backscatter per flat ground area, without speckle, for lines of the window, shape (lines, samples)."""
        geometry, window, reach = self._geometry, self._window, self._reach
        step = float(NODE_STEP_PX)
        line0 = first_line - reach.lines - 1.0
        n_node_lines = int(np.ceil((n_lines + 2.0 * reach.lines + 2.0) / step)) + 2
        sample0 = window.first_sample - reach.near - 1.0
        n_node_samples = int(np.ceil((window.samples + reach.near + reach.far + 2.0) / step)) + 2
        node_line = line0 + step * np.arange(n_node_lines)
        node_sample = sample0 + step * np.arange(n_node_samples)
        lon, lat = geometry.image_to_ground(node_line[:, None], node_sample[None, :], reach.reference_m)
        upward = normal(lon, lat)
        base = to_earth_centred(lon, lat, 0.0)
        nodes = np.concatenate([lon[None], lat[None], np.moveaxis(base, -1, 0), np.moveaxis(upward, -1, 0)])

        per_pixel = self._spec.facets_per_pixel
        n_rows = int(np.ceil((n_lines + 2.0 * reach.lines) * per_pixel)) + 1
        row_line = first_line - reach.lines + np.arange(n_rows) / per_pixel
        n_columns = int(np.ceil((window.samples + reach.near + reach.far) * per_pixel)) + 1
        surface = self._surface
        area = np.zeros((n_lines, window.samples))
        land = 10.0 ** (self._spec.level_db / 10.0)
        sea = land if self._spec.sea_level_db is None else 10.0 ** (self._spec.sea_level_db / 10.0)
        shifted = self._table - window.first_sample
        scatter(
            nodes,
            line0,
            sample0,
            step,
            row_line,
            self._row_orbit(row_line),
            window.first_sample - reach.near,
            1.0 / per_pixel,
            n_columns,
            surface.height_m,
            surface.sea,
            land,
            sea,
            np.array([surface.lon_deg, surface.lat_deg, surface.step_lon_deg, surface.step_lat_deg]),
            geometry.records.time_s / geometry.line_interval_s,
            shifted,
            self._table_range0,
            TABLE_STEP_M,
            geometry.line_interval_s,
            geometry.mid_swath_s,
            self._spec.law == "gamma0",
            first_line,
            area,
        )
        raised = base + reach.reference_m * upward
        down = np.gradient(raised, step, axis=0)
        across = np.gradient(raised, step, axis=1)
        flat_area = np.linalg.norm(np.cross(down, across), axis=-1)
        rows = (first_line - line0 + np.arange(n_lines, dtype=np.float64)) / step
        columns = (window.first_sample - sample0 + np.arange(window.samples, dtype=np.float64)) / step
        area /= crossings(flat_area, rows.astype(np.float64), columns.astype(np.float64))
        return area

    def _paint(self, first_line: int, n_lines: int, calibrations: list[Calibration]) -> list[UInt16Array]:
        window, spec = self._window, self._spec
        sigma = self.sigma(first_line, n_lines)
        line = first_line + np.arange(n_lines)
        sample = window.first_sample + np.arange(window.samples)
        images = []
        for order, calibration in enumerate(calibrations):
            level = 1.0 if order == 0 else 10.0 ** (-spec.cross_polarised_db / 10.0)
            power = sigma * level * calibration.sigma_squared(line, sample)
            if spec.noise_db is not None:
                power += calibration.noise(line, sample)
            if spec.speckle_looks is not None:
                random = np.random.default_rng([spec.seed, order, first_line])
                power *= random.standard_gamma(spec.speckle_looks, power.shape, dtype=np.float32)
                power /= spec.speckle_looks
            # Shadow without noise still is imaged ground: only what was never imaged is zero.
            self._stamp(power, first_line)
            np.sqrt(power, out=power)
            np.rint(power, out=power)
            image = np.clip(power, 1, 65535, out=power).astype(np.uint16)
            outside = ~imaged(
                spec, (window.first_line, window.first_sample, window.lines, window.samples), line, sample
            )
            if outside.any():
                random = np.random.default_rng([spec.seed, order, first_line, 1])
                image[outside] = random.integers(0, HIGHEST_DN, int(outside.sum()), dtype=np.uint16)
            images.append(image)
        return images

    def _stamp(self, power: Float64Array, first_line: int) -> None:
        """Add the point targets: Gaussians of power whose centres are exact to a fraction of a pixel."""
        window = self._window
        width = self._spec.target_width_px / 2.3548  # full width at half maximum of the power
        half = int(np.ceil(5.0 * width))
        for target in self._targets:
            q, s = round(target.line), round(target.sample)
            lines = np.arange(max(q - half, first_line), min(q + half + 1, first_line + power.shape[0]))
            samples = np.arange(
                max(s - half, window.first_sample), min(s + half + 1, window.first_sample + window.samples)
            )
            along = np.exp(-0.5 * ((lines - target.line) / width) ** 2)
            across = np.exp(-0.5 * ((samples - target.sample) / width) ** 2)
            where = np.ix_(lines - first_line, samples - window.first_sample)
            power[where] += self._spec.target_dn**2 * along[:, None] * across[None, :]

    def _row_orbit(self, line: Float64Array) -> Float64Array:
        time = line * self._geometry.line_interval_s
        arc = self._geometry.arc
        parts = [arc.position(time, d) / factor for d, factor in ((0, 1.0), (1, 1.0), (2, 2.0), (3, 6.0))]
        parts += [arc.velocity(time, d) / factor for d, factor in ((0, 1.0), (1, 1.0), (2, 2.0))]
        return np.stack(parts, axis=1)

    def _make_table(self) -> tuple[float, Float64Array]:
        """Sample by slant range for every record; at 10 m steps a straight line between them errs by 1e-5 px."""
        geometry, window, reach = self._geometry, self._window, self._reach
        span, spacing = geometry.span_m, geometry.sample_spacing_m
        first = np.array([(window.first_sample - reach.near - 40.0) * spacing])
        last = np.array([(window.first_sample + window.samples + reach.far + 40.0) * spacing])
        ranges = [
            geometry.records.slant_range(record, edge, span)[0][0]
            for record in range(geometry.records.time_s.size)
            for edge in (first, last)
        ]
        margin = 2.0 * float(np.ptp(self._surface.height_m)) + 1000.0
        start = min(ranges) - margin
        slant = np.arange(start, max(ranges) + margin, TABLE_STEP_M)
        rows = [
            geometry.records.ground_range(record, slant, span) / spacing
            for record in range(geometry.records.time_s.size)
        ]
        return start, np.array(rows)
