"""Where the slices before and after a radar product would lie: its two ends, which a neighbour may go on from.

The sides of a swath never get a neighbour of the same pass. Which edges of a footprint are ends follows from the
direction of flight, and that from the orbit's inclination: manifests and catalogues list corners in any order. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orthocontracts.manifests import OrbitDirection
from orthofunctions.domain.footprints import LonLat, lonlat_of, vector_of

_INCLINATION_RAD: Final = math.radians(98.18)
"""Of Sentinel-1's orbit (Sentinel-1 Product Definition, S1-RS-MDA-52-7440)."""
_TURNS_PER_S: Final = 2 * math.pi / 5924.5
"""Of the satellite: 175 orbits in 12 days."""
_EARTH_TURNS_PER_S: Final = 7.292115e-5
_LOOK_RAD: Final = 0.075
"""How far right of the ground track a swath lies: 480 km, for 39 degrees of incidence."""
_JUST_BEYOND: Final = 0.05
"""Of its length: there a neighbour has image, wherever exactly the cut is and however short it is."""

_Vector = tuple[float, ...]


@dataclass(frozen=True)
class End:
    """An end of a product.

    Attributes
    ----------
    neighbour_lonlat : tuple
        The outline of a neighbour as long as the product itself.
    beyond_lonlat : tuple
        A place just beyond the middle of the end: whoever has it is the neighbour.
    """

    neighbour_lonlat: tuple[LonLat, ...]
    beyond_lonlat: LonLat


def ends_of(footprint_lonlat: Sequence[LonLat], direction: OrbitDirection | None) -> tuple[End, End]:
    """Both ends of a Sentinel-1 product, the earlier first.

    Without a direction the one is taken that the footprint lies along better; then either may be the earlier.
    """
    vectors = [vector_of(point) for point in footprint_lonlat]
    centre = _unit(tuple(math.fsum(vector[k] for vector in vectors) for k in range(3)))
    wanted: tuple[OrbitDirection, ...] = (direction,) if direction else ("ascending", "descending")
    quads = [_corners(vectors, centre, _heading(centre, one)) for one in wanted]
    _, (back_left, back_right, front_left, front_right) = max(quads, key=lambda found: found[0])
    return (
        _end((front_left, front_right), (back_left, back_right)),
        _end((back_left, back_right), (front_left, front_right)),
    )


def _heading(centre: _Vector, direction: OrbitDirection) -> _Vector:
    """Unit vector over the ground along which the satellite flies that looks right at a place."""
    lon, lat = math.atan2(centre[1], centre[0]), math.asin(max(-1.0, min(1.0, centre[2])))
    # of the orbit's pole, from centre . pole = -sin(look); beyond the last parallel it sees: the nearest there is
    cosine = (-math.sin(_LOOK_RAD) - math.cos(_INCLINATION_RAD) * math.sin(lat)) / (
        math.sin(_INCLINATION_RAD) * max(math.cos(lat), 1e-9)
    )
    off = math.acos(max(-1.0, min(1.0, cosine)))
    pole_lon = lon - off if direction == "ascending" else lon + off
    pole = (
        math.sin(_INCLINATION_RAD) * math.cos(pole_lon),
        math.sin(_INCLINATION_RAD) * math.sin(pole_lon),
        math.cos(_INCLINATION_RAD),
    )
    flown, turned = _cross(pole, centre), _cross((0.0, 0.0, 1.0), centre)
    return _unit(tuple(_TURNS_PER_S * a - _EARTH_TURNS_PER_S * b for a, b in zip(flown, turned, strict=True)))


def _corners(vectors: Sequence[_Vector], centre: _Vector, heading: _Vector) -> tuple[float, list[_Vector]]:
    """How well a footprint lies along a heading, and its corners: back left, back right, front left, front right."""
    left = _cross(centre, heading)
    along, across = [_dot(v, heading) for v in vectors], [_dot(v, left) for v in vectors]
    scale_along, scale_across = max(map(abs, along)) or 1.0, max(map(abs, across)) or 1.0
    found = []
    for sign_along, sign_across in ((-1, 1), (-1, -1), (1, 1), (1, -1)):
        reach = [
            sign_along * a / scale_along + sign_across * c / scale_across for a, c in zip(along, across, strict=True)
        ]
        found.append(vectors[reach.index(max(reach))])
    back_left, back_right, front_left, front_right = found
    sides = [_minus(front_left, back_left), _minus(front_right, back_right)]
    return math.fsum(_dot(_unit(side), heading) for side in sides), found


def _end(away: tuple[_Vector, _Vector], here: tuple[_Vector, _Vector]) -> End:
    """The end ``here`` of a product that reaches to ``away``: its sides go on by their length."""
    there = [
        _unit(tuple(2 * b - a for a, b in zip(far, near, strict=True))) for far, near in zip(away, here, strict=True)
    ]
    middles = [tuple((a + b) / 2 for a, b in zip(*pair, strict=True)) for pair in (away, here)]
    beyond = tuple(b + _JUST_BEYOND * (b - a) for a, b in zip(*middles, strict=True))
    ring = tuple(lonlat_of(vector) for vector in (here[0], there[0], there[1], here[1]))
    return End(ring, lonlat_of(beyond))


def _dot(a: _Vector, b: _Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _cross(a: _Vector, b: _Vector) -> _Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _minus(a: _Vector, b: _Vector) -> _Vector:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _unit(vector: _Vector) -> _Vector:
    length = math.hypot(*vector) or 1.0
    return tuple(x / length for x in vector)
