"""Radiometric terrain flattening: projected ground areas, what is hidden or shared, local incidence angles."""

from orthokernel.flattening.areas import AreaWindow, RadarAreas
from orthokernel.flattening.incidence import ellipsoid_incidence, local_incidence, look_nodes
from orthokernel.flattening.walk import LAYOVER, LEAST_AREA, SHADOW, VISIBLE

__all__ = [
    "LAYOVER",
    "LEAST_AREA",
    "SHADOW",
    "VISIBLE",
    "AreaWindow",
    "RadarAreas",
    "ellipsoid_incidence",
    "local_incidence",
    "look_nodes",
]
