"""Where point targets stand: spread over the image, each on the gentlest ground nearby."""

from __future__ import annotations

import numpy as np

from localdev.scene.pixels import Window
from localdev.scene.radar import RadarGeometry
from localdev.scene.spec import Target
from localdev.scene.terrain import Surface

EDGE_PX = 24.0
CANDIDATES = 60


def place_targets(count: int, geometry: RadarGeometry, surface: Surface, window: Window, seed: int) -> list[Target]:
    """Targets in the cells of a grid over the window.

    Among the candidates of a cell the one wins whose neighbourhood (120 m) spreads most evenly in the image: there
    the ground is neither folded over (layover) nor turned away (shadow), so that the target can be found again in a
    map.
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
        metre = 1.0 / 111e3
        around_lon = lon[:, None] + metre * np.array([0.0, 120.0, -120.0, 0.0, 0.0]) / np.cos(np.radians(lat[:, None]))
        around_lat = lat[:, None] + metre * np.array([0.0, 0.0, 0.0, 120.0, -120.0])
        ground = surface.height(around_lon, around_lat)
        lines, samples = geometry.ground_to_image(around_lon, around_lat, ground)
        flat_lines, flat_samples = geometry.ground_to_image(around_lon, around_lat, ground[:, :1] + 0 * ground)
        bend = np.hypot(lines - flat_lines, samples - flat_samples).max(axis=1)
        inside = (
            (lines[:, 0] > window.first_line + EDGE_PX / 2)
            & (lines[:, 0] < window.first_line + window.lines - 1 - EDGE_PX / 2)
            & (samples[:, 0] > window.first_sample + EDGE_PX / 2)
            & (samples[:, 0] < window.first_sample + window.samples - 1 - EDGE_PX / 2)
        )
        if not inside.any():
            continue
        best = int(np.where(inside, bend, np.inf).argmin())
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
