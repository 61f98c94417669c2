"""Satellite products in, map-projected images out. Knows no queue and no cloud.

>>> from orthokernel import Grid, Terrain, open_product, orthorectify
>>> product = open_product("S1B_IW_GRDH_….SAFE")
>>> grid = Grid.mgrs("33TTG", spacing_m=10)
>>> result = orthorectify([product], grid, Terrain("dem.tif", geoid="egm96_15.gtx"), out="out.tif")

What is named here is public; everything else may change. Names load when they are first used, so that a command that
only prints its help does not load a compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthokernel.errors import EmptyIntersectionError, KernelError, OutsideDemError, ProductError
    from orthokernel.grid import Grid
    from orthokernel.ortho import orthorectify
    from orthokernel.product import Product, open_product
    from orthokernel.result import MaskBit, OrthoResult
    from orthokernel.sensor import SensorModel
    from orthokernel.terrain import Terrain

__all__ = [
    "EmptyIntersectionError",
    "Grid",
    "KernelError",
    "MaskBit",
    "OrthoResult",
    "OutsideDemError",
    "Product",
    "ProductError",
    "SensorModel",
    "Terrain",
    "open_product",
    "orthorectify",
]

_HOME = {
    "EmptyIntersectionError": "errors",
    "Grid": "grid",
    "KernelError": "errors",
    "MaskBit": "result",
    "OrthoResult": "result",
    "OutsideDemError": "errors",
    "Product": "product",
    "ProductError": "errors",
    "SensorModel": "sensor",
    "Terrain": "terrain",
    "open_product": "product",
    "orthorectify": "ortho",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthokernel' has no attribute {name!r}")
    value = getattr(import_module(f"orthokernel.{_HOME[name]}"), name)
    globals()[name] = value
    return value
