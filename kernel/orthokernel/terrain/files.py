"""Which files make up a DEM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orthokernel.errors import TerrainError

SUFFIXES = frozenset({".tif", ".tiff", ".hgt", ".dt0", ".dt1", ".dt2", ".vrt"})
# What Copernicus DEM tiles keep beside the heights: water masks, error maps, quick-looks.
_NOT_HEIGHTS = frozenset({"AUXFILES", "PREVIEW"})


def raster_paths(source: str | Path | Sequence[str | Path]) -> list[str]:
    """Files of a DEM given as a file, a folder (searched through, names sorted) or a list of both.

    GDAL's virtual paths (``/vsi…``) are taken as they are.

    Raises
    ------
    TerrainError
        A path does not exist, or a folder holds no raster.
    """
    if not isinstance(source, str | Path):
        paths = [path for part in source for path in raster_paths(part)]
        if not paths:
            raise TerrainError("DEM", "an empty list", "a file, a folder of tiles, or a list of them")
        return paths
    if str(source).startswith("/vsi"):
        return [str(source)]
    path = Path(source)
    if path.is_file():
        return [str(path)]
    if not path.is_dir():
        raise TerrainError(path, "no such file or folder", "a DEM file, or a folder of tiles")
    found = sorted(
        str(file)
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and _NOT_HEIGHTS.isdisjoint(part.upper() for part in file.relative_to(path).parts)
    )
    if not found:
        raise TerrainError(path, "a folder without rasters", f"tiles ending in {', '.join(sorted(SUFFIXES))}")
    return found
