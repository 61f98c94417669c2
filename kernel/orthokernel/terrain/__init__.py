"""Ground heights above the WGS 84 ellipsoid: DEM plus geoid, added here and nowhere else."""

from orthokernel.terrain.flags import TerrainFlag
from orthokernel.terrain.terrain import DemWindow, Terrain

__all__ = ["DemWindow", "Terrain", "TerrainFlag"]
