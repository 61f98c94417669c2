"""One execution: which products, and how the images should be."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from orthocontracts.productids import with_prefix
from orthocontracts.requests import Extra, Radiometry, Resampling, Scale

Execution = dict[str, Any]
"""As a batch has it: ``{"process": …, "inputs": {…}, "subscriber": {…}}``."""


class Wishes(TypedDict, total=False):
    """What may be asked for besides the products; whatever is left out, the service chooses.

    Keys
    ----
    process : str
        ``orthorectify`` where it is left out; ``radar-backscatter`` makes what CEOS-ARD asks for of Sentinel-1.
    tiles, spacing_m
        MGRS tiles (all the product touches by default) and pixel size in metres (10 by default; for Sentinel-3 what
        suits the instrument). Without both, Sentinel-3 comes on its own footprint, all else on tiles.
    area : dict
        A GeoJSON Polygon or MultiPolygon in longitude and latitude: one image around it, in its UTM zone.
    grid : dict
        Any grid of the service's schema instead, for example
        ``{"kind": "bounds", "epsg": 32633, "left": …, "bottom": …, "right": …, "top": …, "spacing": 10}``.
    bands : sequence of str
        ``vv``, ``b04``, ``oa08``, ``s8``, …; by default all of a Sentinel-1 product, the main ones of others.
    radiometry : {"dn", "beta0", "sigma0", "gamma0", "gamma0_rtc", "reflectance", "physical"}
        ``gamma0_rtc`` is terrain-flattened gamma0; it always brings the extras ``layover_shadow``,
        ``local_incidence`` and ``acquisition``. ``reflectance`` is for Sentinel-2 L1C and L2A, ``physical``
        (radiance, temperature) for Sentinel-3. By default sigma0 for radar, these two where they are, else dn.
    resampling : {"nearest", "bilinear", "cubic", "average"}
        By default average where the pixels are much coarser than the product's, nearest for SLSTR, else bilinear.
    noise_removal : bool
        Of thermal noise; by default wherever the radiometry is calibrated and the product tells its noise.
    scale : {"linear", "db"}
        ``db`` only with ``beta0``, ``sigma0`` or ``gamma0``.
    extras : sequence of str
        Further files beside the image: ``layover_shadow``, ``local_incidence``, ``scattering_area`` of radar;
        ``scene_classification`` of Sentinel-2 L2A; ``detector`` of Sentinel-2; ``quality`` of Sentinel-2 L1C and
        L2A and Sentinel-3; ``acquisition`` of any mosaic.
    options : dict
        These six as one document instead, as the service's schema has them.
    terrain : dict
        ``{"dem": "aux/…", "geoid": "aux/…"}`` or ``{"height_m": …}``; the site's default without it. Sentinel-2 L1C
        and L2A and Sentinel-3 need none and take none.
    gipp, iers : str
        ``aux/…`` for Sentinel-2 L1B: the folder of the instrument's parameters, and an IERS Bulletin A; the site's
        defaults without them.
    orbits : str
        ``aux/…``, a folder of orbit files: each Sentinel-1 pass takes the best; the site's default without it.
    deadline : datetime
        With a zone. The work goes to the cloud just in time when the HPC centre would miss it.
    patience_s : float
        How long to wait for the HPC centre where there is no deadline.
    urgent : bool
        Go to the cloud past the month's budget, for users who may.
    request_id : str
        The same id is the same job, however often it is sent; a fresh one by default.
    shared_with : sequence of str
        Groups whose members may see the job and its images as you may.
    keep_days : float
        How long its results are kept, at most as long as the site keeps any.
    notify : str or dict
        A URL to be called when the job is over, however it ends; or one for each of ``successUri``, ``failedUri`` and
        ``inProgressUri``.
    """

    process: str | None
    tiles: Sequence[str] | None
    spacing_m: float | None
    area: Mapping[str, Any] | None
    grid: Mapping[str, Any] | None
    bands: Sequence[str] | None
    radiometry: Radiometry | None
    resampling: Resampling | None
    noise_removal: bool | None
    scale: Scale | None
    extras: Sequence[Extra] | None
    options: Mapping[str, Any] | None
    terrain: Mapping[str, Any] | None
    gipp: str | None
    iers: str | None
    orbits: str | None
    deadline: datetime | None
    patience_s: float | None
    urgent: bool
    request_id: str | None
    shared_with: Sequence[str] | None
    keep_days: float | None
    notify: str | Mapping[str, str] | None


_OPTIONS = ("bands", "radiometry", "resampling", "noise_removal", "scale", "extras")
_LISTS = ("bands", "extras", "shared_with")
_AS_THEY_ARE = ("terrain", "gipp", "iers", "orbits", "patience_s", "request_id", "shared_with", "keep_days")


def execution(products: str | Sequence[str], **wishes: Unpack[Wishes]) -> Execution:
    """One execution, for `Client.submit_batch` or `Client.estimate`. `Wishes` says what may be asked for.

    Parameters
    ----------
    products : str or sequence of str
        ``products/NAME.zip``, ``products/NAME.SAFE``, ``products/NAME.SEN3``, ``products/NAME.tif``, or an address on
        a server that the site reads from; or a product's official name alone, which is looked for. All of one pass.

    Raises
    ------
    TypeError
        Where two wishes exclude each other, or there is no such wish.
    """
    unknown = sorted(set(wishes) - Wishes.__annotations__.keys())
    if unknown:
        raise TypeError(f"{', '.join(unknown)}: no such wish; there are {', '.join(Wishes.__annotations__)}")
    wanted: dict[str, Any] = {name: value for name, value in wishes.items() if value is not None}
    for name in _LISTS:
        if name in wanted:
            wanted[name] = list(wanted[name])
    deadline = wanted.get("deadline")
    inputs = {
        "products": [with_prefix(ref) for ref in ([products] if isinstance(products, str) else products)],
        "grid": _grid(wanted),
        "options": _options(wanted),
        "deadline": deadline.isoformat() if isinstance(deadline, datetime) else deadline,
        "urgent": wanted.get("urgent") or None,
        **{name: wanted.get(name) for name in _AS_THEY_ARE},
    }
    made: Execution = {"inputs": {name: value for name, value in inputs.items() if value is not None}}
    if "process" in wanted:
        made["process"] = wanted["process"]
    notify = wanted.get("notify")
    if notify is not None:
        is_one = isinstance(notify, str)
        made["subscriber"] = {"successUri": notify, "failedUri": notify} if is_one else dict(notify)
    return made


def with_id(made: Execution) -> Execution:
    """The execution under a request id of its own, where it has none: repeating it is harmless then."""
    return {**made, "inputs": {"request_id": f"r{uuid.uuid4().hex}", **made["inputs"]}}


def _grid(wanted: Mapping[str, Any]) -> Any:
    """``spacing_m`` goes with tiles or an area; a grid stands alone."""
    named = [name for name in ("tiles", "area", "grid") if name in wanted]
    if len(named) > 1 or ("grid" in wanted and "spacing_m" in wanted):
        raise TypeError("give either grid or tiles and spacing_m, or area and spacing_m")
    if "grid" in wanted:
        return dict(wanted["grid"])
    spacing = {"spacing_m": wanted["spacing_m"]} if "spacing_m" in wanted else {}
    if "area" in wanted:
        return {"kind": "area", "area": dict(wanted["area"]), **spacing}
    if "tiles" in wanted:
        return {"kind": "mgrs", "tiles": list(wanted["tiles"]), **spacing}
    return {"kind": "mgrs", **spacing} if spacing else None


def _options(wanted: Mapping[str, Any]) -> Any:
    chosen = {name: wanted[name] for name in _OPTIONS if name in wanted}
    if "options" in wanted and chosen:
        raise TypeError(f"give either options or {', '.join(chosen)}")
    return dict(wanted["options"]) if "options" in wanted else chosen or None
