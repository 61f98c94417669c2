"""What a raster's coordinate system says about its heights, and whether that agrees with the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyproj

from orthokernel.errors import TerrainError


@dataclass(frozen=True)
class HeightDatum:
    """Horizontal system of a raster, and how its values become metres.

    Attributes
    ----------
    horizontal : pyproj.CRS
        2-D: we add the geoid ourselves, so PROJ must never see the vertical part.
    vertical_name : str or None
        None where the raster does not say.
    ellipsoidal : bool or None
        Whether values count from the ellipsoid; None where the raster does not say.
    metres_per_unit : float
    """

    horizontal: pyproj.CRS
    vertical_name: str | None
    ellipsoidal: bool | None
    metres_per_unit: float


def height_datum(wkt: str | None, path: object) -> HeightDatum:
    """Split a coordinate system into its horizontal part and what it says about heights.

    Raises
    ------
    TerrainError
        There is none, it is neither projected nor geographic, or it counts depths.
    """
    if not wkt:
        raise TerrainError(path, "no coordinate system", "a georeferenced raster of heights")
    crs = pyproj.CRS.from_wkt(wkt)
    if crs.is_compound:
        horizontal, vertical = crs.sub_crs_list[0], crs.sub_crs_list[1]
        axis = vertical.axis_info[0]
        if axis.direction.lower() == "down":
            raise TerrainError(path, f"depths ({vertical.name})", "heights, positive upwards")
        ellipsoidal = "ellips" in vertical.name.lower()
        result = HeightDatum(horizontal, vertical.name, ellipsoidal, float(axis.unit_conversion_factor))
    elif len(crs.axis_info) == 3:
        # Also what PROJ makes of WKT 1 whose vertical datum is the ellipsoid.
        factor = float(crs.axis_info[2].unit_conversion_factor)
        result = HeightDatum(crs.to_2d(), f"{crs.name}, three-dimensional", True, factor)
    else:
        result = HeightDatum(crs, None, None, 1.0)
    if not (result.horizontal.is_geographic or result.horizontal.is_projected):
        raise TerrainError(
            path, f"coordinate system {result.horizontal.name}", "a map projection, or longitude and latitude"
        )
    return result


def check_geoid_agrees(datum: HeightDatum, dem: object, geoid: str | Path | None) -> None:
    """Refuse settings that would add the geoid twice, not at all, or another one than the DEM's.

    Raises
    ------
    TerrainError
        The DEM's vertical system and the geoid setting contradict each other; the message names both.
    """
    if datum.ellipsoidal is True and geoid is not None:
        raise TerrainError(
            dem,
            f"heights above the ellipsoid ({datum.vertical_name}) although the geoid {Path(geoid).name} is to be added",
            "geoid=None for this DEM",
        )
    if datum.ellipsoidal is False and geoid is None:
        raise TerrainError(
            dem,
            f"heights above a geoid ({datum.vertical_name}) although geoid=None, which takes them as ellipsoidal",
            "the geoid that belongs to this DEM",
        )
    if datum.vertical_name is not None and geoid is not None:
        wanted, given = _egm_year(datum.vertical_name), _egm_year(Path(geoid).name)
        if wanted and given and wanted != given:
            raise TerrainError(
                dem,
                f"heights above {datum.vertical_name} although the geoid is {Path(geoid).name}",
                f"a geoid of EGM{wanted}",
            )


def _egm_year(text: str) -> str | None:
    """``96``, ``08`` or ``84`` of a name like ``EGM2008 height`` or ``egm96_15.gtx``."""
    match = re.search(r"egm(?:19|20)?[-_ ]?(84|96|08)", text.lower())
    return match[1] if match else None
