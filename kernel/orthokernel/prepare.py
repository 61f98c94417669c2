"""What is got ready for a block while the loop still works on the one before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from orthokernel.blocks import (
    Geometry,
    Ground,
    Walk,
    Window,
    demand_of,
    exact_geometry,
    ground_under,
    lattice_geometry,
    limit_numba_threads,
    may_reach,
)
from orthokernel.flattening.ring import AreaArrays
from orthokernel.geolocation import GeolocationModel
from orthokernel.grid import Grid
from orthokernel.layers import Layer
from orthokernel.light import LightNodes, light_over
from orthokernel.loop import SourceArrays
from orthokernel.options import Options
from orthokernel.pointwise import pointwise_geometry
from orthokernel.sensor import SensorModel
from orthokernel.spare import Spare
from orthokernel.terrain import Terrain

_MAYBE_LOWER_M, _MAYBE_HIGHER_M = 300.0, 1200.0  # a kilometre too much makes a ring 1 % wider


@dataclass(frozen=True)
class Prepared:
    """What the loop needs for one block: the ground, and per layer the geometry, the source lines, their areas
    and the sun's light."""

    window: Window
    ground: Ground | None
    geometries: Sequence[Geometry | None]
    sources: Sequence[SourceArrays | None]
    areas: Sequence[AreaArrays | None]
    lights: Sequence[LightNodes | None]


class Prepare:
    """Terrain, geometry and source lines of the blocks to come."""

    def __init__(self, grid: Grid, terrain: Terrain, options: Options, walk: Walk, layers: list[Layer]) -> None:
        self._grid, self._terrain, self._options, self._walk, self._layers = grid, terrain, options, walk, layers
        self._steps_px: dict[int, int] = {}  # by model: what sufficed for its block before
        self._told = False
        self._spare = Spare(np.float64)
        self.lattice_error_px = 0.0

    def ground(self, window: Window) -> Ground | None:
        """The terrain of a block; None where no image can lie. Any thread may ask."""
        limit_numba_threads(self._options.threads)
        block = self._grid.window(*window)
        if not any(may_reach(layer.model, block) for layer in self._layers):
            return None
        further = 1 if "local_incidence" in self._options.extras else 0  # slopes look at the neighbouring pixels
        return ground_under(self._terrain, block, self._walk, further)

    def __call__(self, window: Window, coming: Future[Ground | None]) -> Prepared:
        """Geometry and lines over the terrain that comes; block after block, on one thread."""
        limit_numba_threads(self._options.threads)
        ground = coming.result()
        if ground is None:
            nothing = [None] * len(self._layers)
            return Prepared(window, None, nothing, nothing, nothing, nothing)
        self._tell_rings(ground)
        geometries: list[Geometry] = []
        sources: list[SourceArrays | None] = []
        areas: list[AreaArrays | None] = []
        lights: list[LightNodes | None] = []
        shared: dict[tuple[int, int], Geometry] = {}
        for layer in self._layers:
            key = id(layer.model), layer.method
            geometry = shared[key] if key in shared else self._geometry(layer.model, ground, layer.method)
            shared[key] = geometry
            geometries.append(geometry)
            if not geometry.reaches_image:
                sources.append(None)
                areas.append(None)
                lights.append(None)
                continue
            source = layer.ring.prepare(geometry.lines, geometry.samples, layer.held)
            source = source._replace(first_line=layer.lines[0], last_line=layer.lines[1])
            sources.append(source._replace(first_sample=layer.samples[0], last_sample=layer.samples[1]))
            areas.append(layer.ring.areas)
            lights.append(None if layer.light is None else light_over(layer.light, ground.grid))
            layer.held = geometry.lines
        return Prepared(window, ground, geometries, sources, areas, lights)

    def take_back(self, prepared: Prepared) -> None:
        """A later block's geometry may be put in the memory of this one's."""
        looked_up = [k for k, layer in enumerate(self._layers) if isinstance(layer.model, GeolocationModel)]
        for geometry in {id(prepared.geometries[k]): prepared.geometries[k] for k in looked_up}.values():
            for array in () if geometry is None or geometry.exact is None else geometry.exact:
                self._spare.give(array)

    def _tell_rings(self, ground: Ground) -> None:
        """What the whole output will ask of them, once; the other blocks' heights are guessed from the first's."""
        if self._told or not np.isfinite(ground.low_m):
            return
        self._told = True
        low, high = ground.low_m - _MAYBE_LOWER_M, ground.high_m + _MAYBE_HIGHER_M
        for layer in self._layers:
            layer.ring.expect(demand_of(layer.model, self._grid, self._walk, low, high))

    def _geometry(self, model: SensorModel, ground: Ground, method: int) -> Geometry:
        if isinstance(model, GeolocationModel):
            return pointwise_geometry(model, ground, self._walk, method, self._options.threads, self._spare)
        if self._options.geometry == "exact":
            return exact_geometry(model, ground, self._walk, method)
        geometry = lattice_geometry(model, ground, method, self._steps_px.get(id(model)))
        if geometry.lattice is not None and geometry.reaches_image:
            self._steps_px[id(model)] = geometry.lattice.arrays.step_px
            self.lattice_error_px = max(self.lattice_error_px, geometry.lattice.error_px)
        return geometry
