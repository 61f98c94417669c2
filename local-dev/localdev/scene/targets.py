"""Where point targets stand: spread over the image, each on the gentlest ground nearby, or where asked for."""

from __future__ import annotations

import numpy as np

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.pixels import Window
from localdev.scene.radar import RadarGeometry
from localdev.scene.spec import Target
from localdev.scene.terrain import Surface

EDGE_PX = 24.0
CANDIDATES = 200
NEAR_PX, FAR_PX = 3.0, 12.0
ECHO_PX = 4.0
"""How far off the image a target may be whose echo it still shows."""


def place_targets(count: int, geometry: RadarGeometry, surface: Surface, window: Window, seed: int) -> list[Target]:
    """Targets in the cells of a grid over the window.

    Among the candidates of a cell the one wins whose neighbourhood spreads most evenly in the image. Within 12 pixels
    the ground is then neither folded over (layover) nor turned away (shadow), and within 3 pixels, where the target's
    own echo lies, it hardly bends: a map stretches the two halves of an echo on bent ground differently, which moves
    its centroid by up to a third of a pixel while its peak stays in place.
    """
    if count == 0:
        return []
    random = np.random.default_rng([seed, 77])
    rows = max(1, round((count * window.lines / window.samples) ** 0.5))
    columns = -(-count // rows)
    reference = float(np.median(surface.height_m))
    found = []
    height = max(window.lines - 2 * EDGE_PX, 1.0) / rows
    width = max(window.samples - 2 * EDGE_PX, 1.0) / columns
    for cell in range(count):
        row, column = divmod(cell, columns)
        line = window.first_line + EDGE_PX + (row + random.uniform(0.1, 0.9, CANDIDATES)) * height
        sample = window.first_sample + EDGE_PX + (column + random.uniform(0.1, 0.9, CANDIDATES)) * width
        lon, lat = geometry.image_to_ground(line, sample, reference)
        around_lon, around_lat = _crosses(lon, lat, geometry.sample_spacing_m)
        ground = surface.height(around_lon, around_lat)
        lines, samples = geometry.ground_to_image(around_lon, around_lat, ground)
        flat_lines, flat_samples = geometry.ground_to_image(around_lon, around_lat, ground[:, :1] + 0 * ground)
        shift = np.stack([lines - flat_lines, samples - flat_samples])
        near, far = shift[:, :, 1:5], shift[:, :, 5:]
        bend = np.hypot(*(near[:, :, 0::2] + near[:, :, 1::2])).max(axis=1)
        uneven = NEAR_PX / FAR_PX * np.hypot(*far).max(axis=1) + np.hypot(*near).max(axis=1) + bend
        inside = (
            (lines[:, 0] > window.first_line + EDGE_PX / 2)
            & (lines[:, 0] < window.first_line + window.lines - 1 - EDGE_PX / 2)
            & (samples[:, 0] > window.first_sample + EDGE_PX / 2)
            & (samples[:, 0] < window.first_sample + window.samples - 1 - EDGE_PX / 2)
        )
        if not inside.any():
            continue
        best = int(np.where(inside, uneven, np.inf).argmin())
        found.append(
            Target(
                float(lon[best]),
                float(lat[best]),
                float(ground[best, 0]),
                float(lines[best, 0]),
                float(samples[best, 0]),
            )
        )
    return found


def targets_at(
    lonlat_deg: tuple[tuple[float, float], ...], geometry: RadarGeometry, surface: Surface, window: Window
) -> list[Target]:
    """Those targets at given places whose echo is in the window, some of it perhaps beyond an edge."""
    found = []
    for lon, lat in lonlat_deg:
        height = float(surface.height(np.array([lon]), np.array([lat]))[0])
        line, sample = (float(part) for part in geometry.ground_to_image(lon, lat, height))
        off_lines = max(window.first_line - line, line - (window.first_line + window.lines - 1))
        off_samples = max(window.first_sample - sample, sample - (window.first_sample + window.samples - 1))
        if max(off_lines, off_samples) < ECHO_PX:
            found.append(Target(lon, lat, height, line, sample))
    return found


def _crosses(lon_deg: Float64Array, lat_deg: Float64Array, spacing_m: float) -> tuple[Float64Array, Float64Array]:
    """Each place, its neighbours east, west, north and south at ``NEAR_PX``, and those at ``FAR_PX``: (N, 9)."""
    east_m = spacing_m * np.array([0.0, NEAR_PX, -NEAR_PX, 0.0, 0.0, FAR_PX, -FAR_PX, 0.0, 0.0])
    north_m = spacing_m * np.array([0.0, 0.0, 0.0, NEAR_PX, -NEAR_PX, 0.0, 0.0, FAR_PX, -FAR_PX])
    lon = lon_deg[:, None] + east_m / 111e3 / np.cos(np.radians(lat_deg[:, None]))
    return lon, lat_deg[:, None] + north_m / 111e3
