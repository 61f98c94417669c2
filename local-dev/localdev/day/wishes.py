"""Five hundred standing orders of a hundred and fifty users, many of whom want the same."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from localdev.day.orbits import LonLat
from localdev.day.scenes import MIDNIGHT, Scene
from orthocontracts.areas import Polygon
from orthocontracts.orders import ProductFilter, StandingOrder
from orthocontracts.requests import FootprintGrid, Options, Subscriber, TileGrid

HOOK = "https://hooks.example.org"
_RADAR = (Options(), Options(), Options(radiometry="gamma0"), Options(radiometry="sigma0", scale="db"))
_OPTICAL = (Options(), Options(), Options(bands=("b04",)), Options(resampling="cubic"))
_WIDE = (Options(), Options(resampling="nearest"))
_KINDS = {"sentinel-1": ("GRD",), "sentinel-2": ("L1C", "L2A"), "sentinel-3": ("OL_1_EFR", "SL_1_RBT")}


def orders_of_day(n_orders: int, scenes: Sequence[Scene], rng: random.Random) -> list[StandingOrder]:
    """Areas lie where satellites look: around places that the day's products show."""
    n_users = max(2, n_orders * 3 // 10)
    return [_order(n, f"u{rng.randrange(n_users):03d}", rng.choice(scenes), rng) for n in range(n_orders)]


def _order(n: int, user: str, about: Scene, rng: random.Random) -> StandingOrder:
    mission = rng.choices(("sentinel-1", "sentinel-2", "sentinel-3"), (40, 50, 10))[0]
    wanted: dict[str, object] = {"missions": (mission,)}
    if rng.random() < 0.97:
        wanted["area"] = _area(about, rng)
    elif mission != "sentinel-3":
        wanted["relative_orbits"] = tuple(sorted(rng.sample(range(1, 144), 20)))
    if mission != "sentinel-1" and rng.random() < 0.7:
        wanted["product_types"] = (rng.choice(_KINDS[mission]),)
    if mission == "sentinel-1" and rng.random() < 0.3:
        wanted["orbit_direction"] = rng.choice(("ascending", "descending"))
    if mission == "sentinel-1" and rng.random() < 0.3:
        wanted["polarisations"] = ("vh",) if rng.random() < 0.9 else ("hh",)
    if mission == "sentinel-1" and rng.random() < 0.2:
        wanted["modes"] = (rng.choice(("IW", "IW", "EW")),)
    if mission == "sentinel-2" and rng.random() < 0.5:
        wanted["max_cloud_cover_percent"] = rng.choice((10.0, 30.0, 60.0))
    if rng.random() < 0.1:
        wanted["platforms"] = (about.platform,)
    grid: TileGrid | FootprintGrid | None = None
    if rng.random() < 0.25:
        grid = FootprintGrid(kind="footprint", spacing_m=100.0) if rng.random() < 0.5 else TileGrid(spacing_m=20.0)
        grid = None if mission == "sentinel-3" else grid
    options = rng.choice({"sentinel-1": _RADAR, "sentinel-2": _OPTICAL, "sentinel-3": _WIDE}[mission])
    cap = rng.choice((0, 3, 20)) if "area" not in wanted or rng.random() < 0.1 else None
    return StandingOrder(
        order_id=f"order-{n:04d}",
        # on its own: of a user with several nobody could tell whose cap was kept
        user=user if cap is None else f"capped{n:04d}",
        title=f"around {about.name[:30]}",
        products=ProductFilter.model_validate(wanted),
        grid=grid,
        options=options,
        within_s=rng.choice((3600.0, 10_800.0)) if rng.random() < 0.1 else None,
        since=about.start if rng.random() < 0.05 else None,
        until=about.start if rng.random() < 0.05 else None,
        products_per_month=cap,
        subscriber=_subscriber(n, rng),
        created_at=MIDNIGHT,
    )


def _subscriber(n: int, rng: random.Random) -> Subscriber | None:
    if rng.random() > 0.15:
        return None
    return Subscriber(success_uri=f"{HOOK}/{n}/done", failed_uri=f"{HOOK}/{n}/failed")


def _area(about: Scene, rng: random.Random) -> Polygon:
    """A star around a place: from a town's size to a country's."""
    lon, lat = _middle(about.ring_lonlat)
    lat = max(-75.0, min(75.0, lat))
    size_deg = math.exp(rng.uniform(math.log(0.1), math.log(5.0)))
    n_corners = rng.randrange(4, 10)
    ring = []
    for n in range(n_corners):
        angle = 2 * math.pi * n / n_corners
        reach = size_deg * rng.uniform(0.4, 1.0)
        x = lon + reach * math.cos(angle) / math.cos(math.radians(lat))
        y = max(-85.0, min(85.0, lat + reach * math.sin(angle)))
        ring.append((round((x + 180.0) % 360.0 - 180.0, 4), round(y, 4)))
    return Polygon(type="Polygon", coordinates=((*ring, ring[0]),))


def _middle(ring: Sequence[LonLat]) -> LonLat:
    """Of a ring's points, on the turn of the first."""
    lons = [lon - 360.0 * round((lon - ring[0][0]) / 360.0) for lon, _ in ring]
    return sum(lons) / len(lons), sum(lat for _, lat in ring) / len(ring)
