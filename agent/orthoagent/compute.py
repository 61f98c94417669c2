"""The real compute function: one output of a task through ``orthokernel``. Runs in the child process only."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

import pyproj
from affine import Affine

from orthoagent.childwords import OutputMade, OutputOrder
from orthocontracts.outputs import FILE_SUFFIX, GridSpec, file_kinds
from orthokernel import Grid, Product, Terrain, open_product, orthorectify
from orthokernel.warm import warm_up


class _Opened:
    """The products of the job at hand, open for all its outputs: a zip is inflated once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: tuple[object, ...] = ()
        self._products: list[Product] = []

    def products(self, order: OutputOrder) -> list[Product]:
        files = (order.products, order.orbits, order.gipp, order.iers)
        if files != self._files:
            self.close()
            auxiliary = (order.orbits, order.gipp, order.iers)
            opened = (open_product(path, *auxiliary) for path in order.products)
            self._products = [self._stack.enter_context(product) for product in opened]
            self._files = files
        return self._products

    def close(self) -> None:
        self._products, self._files = [], ()
        self._stack.close()


_opened = _Opened()


def orthorectify_output(order: OutputOrder, progress: Callable[[float], None]) -> OutputMade:
    """Make one output, with its other files beside it.

    Options are named alike here and in the kernel; those at their default are the kernel's to fill in.

    Raises
    ------
    KernelError
        As the kernel does.
    """
    result = orthorectify(
        _opened.products(order),
        grid_of(order.grid),
        _terrain(order),
        out=order.out,
        progress=lambda part, _doing: progress(part),
        threads=int(os.environ["NUMBA_NUM_THREADS"]) if "NUMBA_NUM_THREADS" in os.environ else None,
        facility=os.environ.get("ORTHOAGENT_FACILITY"),
        **order.options.model_dump(exclude_defaults=True),
    )
    beside = {kind: order.out.with_name(order.out.stem + FILE_SUFFIX[kind]) for kind in file_kinds(order.options)}
    return OutputMade(
        files={kind: path for kind, path in beside.items() if path.exists()},
        figures={
            "lattice_error_px": result.lattice_error_px,
            "dem_coverage": result.dem_coverage,
            "valid_fraction": result.valid_fraction,
        },
    )


def grid_of(spec: GridSpec) -> Grid:
    transform = Affine(spec.spacing, 0.0, spec.left, 0.0, -spec.spacing, spec.top)
    return Grid(pyproj.CRS.from_epsg(spec.epsg), transform, spec.n_rows, spec.n_cols)


def _terrain(order: OutputOrder) -> Terrain | None:
    """None for products that need no heights: the plan gave none."""
    if order.dem is not None:
        return Terrain(order.dem, order.geoid)
    return None if order.height_m is None else Terrain.constant(order.height_m)


def warm() -> None:
    """Compile, or load what was compiled."""
    warm_up()


def finish() -> None:
    """Close what the job had open: its folder is about to be removed."""
    _opened.close()
