"""Slow twin of the simulator's facet loop: every vertex through the exact geometry, whole arrays at a time."""

from __future__ import annotations

import numpy as np

from localdev.scene.ellipsoid import Float64Array, to_earth_centred
from localdev.scene.radar import RadarGeometry
from localdev.scene.terrain import Surface


def sigma_of_facets(
    geometry: RadarGeometry,
    surface: Surface,
    *,
    reference_m: float,
    lattice_line: Float64Array,
    lattice_sample: Float64Array,
    shape: tuple[int, int],
    by_sight: bool,
) -> Float64Array:
    """Echo area over flat pixel area, for the image's first ``shape`` lines and samples, backscatter 1.

    The lattice's ground points are where the exact geometry puts its lines and samples at the reference height.
    """
    lon, lat = geometry.image_to_ground(lattice_line[:, None], lattice_sample[None, :], reference_m)
    height = surface.height(lon, lat)
    point = to_earth_centred(lon, lat, height)
    line, sample = geometry.ground_to_image(lon, lat, height)
    satellite = geometry.arc.position(lattice_line * geometry.line_interval_s)[:, None, :]
    sight = satellite - point
    cosine = np.sum(sight * satellite, axis=-1) / np.linalg.norm(sight, axis=-1) / np.linalg.norm(satellite, axis=-1)
    lowest = np.minimum.accumulate(cosine, axis=1)
    lit = np.ones(cosine.shape)
    lit[:, 1:] = cosine[:, 1:] < lowest[:, :-1]

    def corners(values: Float64Array) -> Float64Array:
        return 0.25 * (values[:-1, :-1] + values[:-1, 1:] + values[1:, :-1] + values[1:, 1:])

    area = 0.5 * np.cross(point[1:, 1:] - point[:-1, :-1], point[:-1, 1:] - point[1:, :-1])
    area *= np.sign(np.sum(area * point[1:, 1:], axis=-1, keepdims=True))
    look = (satellite[1:] - point[1:, 1:]) / np.linalg.norm(satellite[1:] - point[1:, 1:], axis=-1, keepdims=True)
    seen = np.sum(area * look, axis=-1)
    power = np.where(seen > 0, seen if by_sight else np.linalg.norm(area, axis=-1), 0.0) * corners(lit)
    image = np.zeros((shape[0] + 4, shape[1] + 4))
    q, s = corners(line) + 2, corners(sample) + 2
    inside = (q > 1) & (q < shape[0] + 2) & (s > 1) & (s < shape[1] + 2)
    q, s, power = q[inside], s[inside], power[inside]
    q0, s0 = np.floor(q).astype(int), np.floor(s).astype(int)
    for dq in (0, 1):
        for ds in (0, 1):
            weight = np.abs(1 - dq - (q - q0)) * np.abs(1 - ds - (s - s0))
            np.add.at(image, (q0 + dq, s0 + ds), power * weight)
    flat_lon, flat_lat = geometry.image_to_ground(
        np.arange(-0.5, shape[0])[:, None], np.arange(-0.5, shape[1])[None, :], reference_m
    )
    flat = to_earth_centred(flat_lon, flat_lat, reference_m)
    diagonals = np.cross(flat[1:, 1:] - flat[:-1, :-1], flat[:-1, 1:] - flat[1:, :-1])
    return image[2:-2, 2:-2] / (0.5 * np.linalg.norm(diagonals, axis=-1))
