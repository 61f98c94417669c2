"""The products of a day: which satellite saw what, in which pass, and what is wrong with one in a hundred."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from shapely import Polygon

from localdev.day.geometry import around, onto
from localdev.day.orbits import DAY_S, LonLat, Orbit
from orthocontracts.tiles import tile_ring_lonlat, tiles_intersecting

MIDNIGHT = datetime(2026, 5, 12, tzinfo=UTC)
"""In the middle of a month: no cap begins anew."""

Mission = Literal["sentinel-1", "sentinel-2", "sentinel-3"]
Defect = Literal[
    "cut manifest", "no footprint", "member missing", "member short", "no zip", "cut zip", "zip without manifest",
    "cut image",
]  # fmt: skip
DEFECTS_OF_FOLDERS: tuple[Defect, ...] = ("cut manifest", "no footprint", "member missing", "member short", "cut image")
DEFECTS_OF_ZIPS: tuple[Defect, ...] = ("no zip", "cut zip", "zip without manifest", "no footprint", "cut image")

SHARE = {"sentinel-1": 0.13, "sentinel-2": 0.79, "sentinel-3": 0.08}
SLICE_S, FRAME_S = 25.0, 180.0
LONGEST_TAKE_S = {"sentinel-1": 20 * SLICE_S, "sentinel-2": 280.0, "sentinel-3": 5 * FRAME_S}
LAND = (
    (-125, 25, -70, 60), (-78, -40, -40, 8), (-10, 36, 40, 70), (-15, 5, 45, 35), (12, -34, 40, 5), (40, 12, 80, 65),
    (80, 10, 140, 65), (113, -38, 153, -12), (168, 60, 192, 68),
)  # fmt: skip
"""Roughly: west, south, east, north. The last lies across the antimeridian."""
LEAST_OF_A_TILE = 0.05
LATER = 1.5
"""Times a satellite's usual delay, at most."""
FARTHEST_FRAME_DEG = 62.0
"""A frame beyond would hold a pole."""


@dataclass(frozen=True)
class Satellite:
    name: str
    mission: Mission
    orbit: Orbit
    near_km: float
    far_km: float
    first_revolution: int
    delay_s: float
    """From the end of a pass to its first product: downlink and processing."""


_S1 = {"period_s": 5924.6, "inclination_deg": 98.18}
_S2 = {"period_s": 6043.0, "inclination_deg": 98.56}
_S3 = {"period_s": 6059.5, "inclination_deg": 98.65}
SATELLITES = (
    Satellite("S1A", "sentinel-1", Orbit(**_S1, node_lon_deg=-93.0), 210.0, 460.0, 63000, 4200.0),
    Satellite("S1C", "sentinel-1", Orbit(**_S1, node_lon_deg=-81.0, phase_s=2962.0), 210.0, 460.0, 8100, 4200.0),
    Satellite("S2B", "sentinel-2", Orbit(**_S2, node_lon_deg=157.0), -145.0, 145.0, 47000, 9000.0),
    Satellite("S2C", "sentinel-2", Orbit(**_S2, node_lon_deg=169.0, phase_s=3021.0), -145.0, 145.0, 8700, 9000.0),
    Satellite("S3A", "sentinel-3", Orbit(**_S3, node_lon_deg=150.0), -760.0, 510.0, 53000, 7200.0),
    Satellite("S3B", "sentinel-3", Orbit(**_S3, node_lon_deg=162.0, phase_s=3030.0), -760.0, 510.0, 42000, 7200.0),
)


@dataclass(frozen=True)
class Scene:
    """A product as it was made: the truth that manifests and names are written from.

    Attributes
    ----------
    name : str
        Without ``.SAFE``, ``.SEN3`` or ``.zip``.
    kind : str
        ``GRD``, ``L1C``, ``L2A``, ``OL_1_EFR``, ``SL_1_RBT``.
    ring_lonlat : tuple
        Its footprint's corners; edges are great circles.
    arrives_s : float
        When its upload begins, seconds of the day.
    tile : str or None
        Of Sentinel-2.
    """

    name: str
    mission: Mission
    kind: str
    platform: str
    start: datetime
    stop: datetime
    ring_lonlat: tuple[LonLat, ...]
    ascends: bool
    relative_orbit: int
    arrives_s: float
    is_zip: bool
    tile: str | None = None
    clouds_percent: float | None = None
    defect: Defect | None = None

    @property
    def folder(self) -> str:
        return f"{self.name}.{'SEN3' if self.mission == 'sentinel-3' else 'SAFE'}"

    @property
    def ref(self) -> str:
        """As requests name it."""
        return f"products/{self.name}.zip" if self.is_zip else f"products/{self.folder}"


def scenes_of_day(n_scenes: int, rng: random.Random, *, hours: float = 24.0, broken_share: float = 0.01) -> list[Scene]:
    """So many products, by arrival, of so many hours: whole passes over land, the last of them cut short."""
    scenes: list[Scene] = []
    for mission, share in SHARE.items():
        wanted = round(n_scenes * share)
        found: list[Scene] = []
        for take in _takes(mission, hours, rng):
            found += _scenes_of(take, rng)
            if len(found) >= wanted:
                break
        scenes += found[:wanted]
    for n in rng.sample(range(len(scenes)), round(broken_share * len(scenes))):
        defects = DEFECTS_OF_ZIPS if scenes[n].is_zip else DEFECTS_OF_FOLDERS
        scenes[n] = replace(scenes[n], defect=rng.choice(defects))
    return sorted(scenes, key=lambda one: (one.arrives_s, one.name))


@dataclass(frozen=True)
class _Take:
    """A stretch of an orbit in which a satellite looked at land."""

    satellite: Satellite
    from_s: float
    to_s: float
    downlink_s: float


def _takes(mission: str, hours: float, rng: random.Random) -> Iterator[_Take]:
    """All of a day's first hours, in no order. What was seen before midnight arrives after it."""
    takes = []
    for satellite in (one for one in SATELLITES if one.mission == mission):
        # as long before the day as products take, so that the whole day is one of arrivals
        at_s, end_s = -satellite.delay_s, DAY_S * hours / 24.0 - LATER * satellite.delay_s
        while at_s < end_s:
            length_s = 0.0
            while length_s < LONGEST_TAKE_S[mission] and _looks(satellite, at_s + length_s):
                length_s += 5.0
            if length_s >= SLICE_S:
                late_s = satellite.delay_s * rng.uniform(1.0, LATER)
                takes.append(_Take(satellite, at_s, at_s + length_s, at_s + length_s + late_s))
            at_s += max(length_s, 20.0)
    rng.shuffle(takes)
    yield from takes


def _looks(satellite: Satellite, at_s: float) -> bool:
    """Over land, Sentinel-2 in daylight, in which it descends; Sentinel-3 always, but for frames around the poles."""
    lon, lat = satellite.orbit.beside(at_s, (satellite.near_km + satellite.far_km) / 2)
    if satellite.mission == "sentinel-3":
        return abs(lat) < FARTHEST_FRAME_DEG
    if satellite.mission == "sentinel-2" and satellite.orbit.ascends(at_s):
        return False
    return any(
        south <= lat <= north and (west <= lon <= east or west <= lon + 360 <= east)
        for west, south, east, north in LAND
    )


def _scenes_of(take: _Take, rng: random.Random) -> Iterator[Scene]:
    match take.satellite.mission:
        case "sentinel-1":
            found = _slices(take, rng)
        case "sentinel-2":
            found = _tiles(take, rng)
        case _:
            found = _frames(take, rng)
    # a burst: one after the other, as the processing chain lets go of them
    at_s = max(0.0, take.downlink_s)
    for scene in found:
        at_s += rng.expovariate(1 / 4.0)
        later_s = 1800.0 if scene.kind == "L2A" else 0.0
        yield replace(scene, arrives_s=at_s + later_s)


def _slices(take: _Take, rng: random.Random) -> Iterator[Scene]:
    satellite, orbit = take.satellite, take.satellite.orbit
    revolution = satellite.first_revolution + orbit.revolution(take.from_s)
    data_take = rng.randrange(16**6)
    at_s = take.from_s
    while at_s + SLICE_S <= take.to_s:
        start, stop = _time(at_s), _time(at_s + SLICE_S)
        yield Scene(
            name=f"{satellite.name}_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{revolution:06d}_"
            f"{data_take:06X}_{rng.randrange(16**4):04X}",
            mission="sentinel-1", kind="GRD", platform=satellite.name, start=start, stop=stop,
            ring_lonlat=tuple(orbit.swath(at_s, at_s + SLICE_S, satellite.near_km, satellite.far_km)),
            ascends=orbit.ascends(at_s), relative_orbit=revolution % 175 + 1, arrives_s=0.0,
            is_zip=rng.random() < 0.4,
        )  # fmt: skip
        at_s += SLICE_S


def _tiles(take: _Take, rng: random.Random) -> Iterator[Scene]:
    satellite, orbit = take.satellite, take.satellite.orbit
    revolution = satellite.first_revolution + orbit.revolution(take.from_s)
    ring = orbit.swath(take.from_s, take.to_s, satellite.near_km, satellite.far_km, n_edges=12)
    swath = around(ring)
    start, stop = _time(take.from_s), _time(take.to_s)
    relative_orbit = revolution % 143 + 1
    for tile in tiles_intersecting(ring):
        whole = onto(Polygon(tile_ring_lonlat(tile, points_per_edge=1)), swath)
        seen = whole.intersection(swath)
        if not isinstance(seen, Polygon) or seen.area < LEAST_OF_A_TILE * whole.area:
            continue
        corners = tuple((_in_turn(lon), lat) for lon, lat in seen.exterior.coords[:-1])
        is_zip, clouds = rng.random() < 0.4, round(rng.betavariate(0.6, 0.6) * 100, 3)
        for level, hours in (("L1C", 2), ("L2A", 3)):
            made = stop + timedelta(hours=hours)
            yield Scene(
                name=f"{satellite.name}_MSI{level}_{start:%Y%m%dT%H%M%S}_N0511_R{relative_orbit:03d}_T{tile}_"
                f"{made:%Y%m%dT%H%M%S}",
                mission="sentinel-2", kind=level, platform=satellite.name, start=start, stop=stop, ring_lonlat=corners,
                ascends=False, relative_orbit=relative_orbit, arrives_s=0.0, is_zip=is_zip, tile=tile,
                clouds_percent=clouds,
            )  # fmt: skip


def _frames(take: _Take, rng: random.Random) -> Iterator[Scene]:
    satellite, orbit = take.satellite, take.satellite.orbit
    revolution = satellite.first_revolution + orbit.revolution(take.from_s)
    relative_orbit = revolution % 385 + 1
    at_s = take.from_s
    while at_s + FRAME_S <= take.to_s:
        start, stop = _time(at_s), _time(at_s + FRAME_S)
        ring = tuple(orbit.swath(at_s, at_s + FRAME_S, satellite.near_km, satellite.far_km, n_edges=6))
        # OLCI sees nothing at night
        for kind in ("SL_1_RBT",) if orbit.ascends(at_s) else ("OL_1_EFR", "SL_1_RBT"):
            yield Scene(
                name=f"{satellite.name}_{kind}____{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_"
                f"{stop + timedelta(hours=2):%Y%m%dT%H%M%S}_0179_{revolution // 385:03d}_{relative_orbit:03d}_"
                f"{rng.randrange(9999):04d}_PS1_O_NR_004",
                mission="sentinel-3", kind=kind, platform=satellite.name, start=start, stop=stop, ring_lonlat=ring,
                ascends=orbit.ascends(at_s), relative_orbit=relative_orbit, arrives_s=0.0,
                is_zip=rng.random() < 0.4,
            )  # fmt: skip
        at_s += FRAME_S


def _time(at_s: float) -> datetime:
    """Whole seconds, as names have them."""
    return MIDNIGHT + timedelta(seconds=round(at_s))


def _in_turn(lon: float) -> float:
    return (lon + 180.0) % 360.0 - 180.0
