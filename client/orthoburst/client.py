"""The service, as an object."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from orthoburst.http import Session
from orthoburst.job import Job
from orthocontracts.requests import Extra, Radiometry, Resampling, Scale

DEFAULT_URL = "http://127.0.0.1:7071"
PROCESS = "orthorectify"


class Client:
    """A connection to one orthoburst service.

    Parameters
    ----------
    url : str, optional
        Where it answers; the environment's ORTHOBURST_URL, else a service on this machine.
    api_key : str, optional
        The environment's ORTHOBURST_API_KEY by default; a service on this machine needs none.
    timeout_s : float
        How long one call may take.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, *, timeout_s: float = 30.0) -> None:
        self._session = Session(
            url or os.environ.get("ORTHOBURST_URL") or DEFAULT_URL,
            api_key or os.environ.get("ORTHOBURST_API_KEY"),
            timeout_s,
        )

    @property
    def url(self) -> str:
        return self._session.url

    def submit(
        self,
        products: Sequence[str],
        *,
        tiles: Sequence[str] | None = None,
        spacing_m: float | None = None,
        grid: dict[str, Any] | None = None,
        bands: Sequence[str] | None = None,
        radiometry: Radiometry | None = None,
        resampling: Resampling | None = None,
        noise_removal: bool | None = None,
        scale: Scale | None = None,
        extras: Sequence[Extra] | None = None,
        options: dict[str, Any] | None = None,
        terrain: dict[str, Any] | None = None,
        gipp: str | None = None,
        iers: str | None = None,
        deadline: datetime | None = None,
        patience_s: float | None = None,
        urgent: bool = False,
        request_id: str | None = None,
    ) -> Job:
        """Ask for images of products that lie in the service's store.

        Parameters
        ----------
        products : sequence of str
            ``products/NAME.zip``, ``products/NAME.SAFE``, ``products/NAME.SEN3`` or ``products/NAME.tif``; all of one
            pass.
        tiles, spacing_m
            MGRS tiles (all the product touches by default) and pixel size in metres (10 by default; for Sentinel-3 what
            suits the instrument). Without both, Sentinel-3 comes on its own footprint, all else on tiles.
        grid : dict, optional
            Any grid of the service's schema instead, for example
            ``{"kind": "bounds", "epsg": 32633, "left": …, "bottom": …, "right": …, "top": …, "spacing": 10}``.
        bands : sequence of str, optional
            ``vv``, ``b04``, ``oa08``, ``s8``, …; by default all of a Sentinel-1 product, the main ones of others.
        radiometry : {"dn", "beta0", "sigma0", "gamma0", "gamma0_rtc", "reflectance", "physical"}, optional
            ``gamma0_rtc`` is terrain-flattened gamma0; it always brings the extras ``layover_shadow``,
            ``local_incidence`` and ``acquisition``. ``reflectance`` is for Sentinel-2 L1C and L2A, ``physical``
            (radiance, temperature) for Sentinel-3. By default sigma0 for radar, these two where they are, else dn.
        resampling : {"nearest", "bilinear", "cubic", "average"}, optional
            By default average where the pixels are much coarser than the product's, nearest for SLSTR, else bilinear.
        noise_removal : bool, optional
            Of thermal noise; by default wherever the radiometry is calibrated and the product tells its noise.
        scale : {"linear", "db"}, optional
            ``db`` only with ``beta0``, ``sigma0`` or ``gamma0``.
        extras : sequence of str, optional
            Further files beside the image: ``layover_shadow``, ``local_incidence``, ``scattering_area`` of radar;
            ``scene_classification`` of Sentinel-2 L2A; ``detector`` of Sentinel-2; ``quality`` of Sentinel-2 L1C and
            L2A and Sentinel-3; ``acquisition`` of any mosaic.
        options : dict, optional
            These six as one document instead, as the service's schema has them.
        terrain : dict, optional
            ``{"dem": "aux/…", "geoid": "aux/…"}`` or ``{"height_m": …}``; the site's default without it. Sentinel-2 L1C
            and L2A and Sentinel-3 need none and take none.
        gipp, iers : str, optional
            ``aux/…`` for Sentinel-2 L1B: the folder of the instrument's parameters, and an IERS Bulletin A; the site's
            defaults without them.
        deadline : datetime, optional
            With a zone. The work goes to the cloud just in time when the HPC centre would miss it.
        patience_s : float, optional
            How long to wait for the HPC centre where there is no deadline.
        urgent : bool
            Go to the cloud past the month's budget, for users who may.
        request_id : str, optional
            The same id is the same job, however often it is sent; a fresh one by default.

        Raises
        ------
        RefusedError
            Where the request is not valid: its ``problem`` names the field.
        """
        if grid is None and (tiles is not None or spacing_m is not None):
            grid = {"kind": "mgrs"}
            if tiles is not None:
                grid["tiles"] = list(tiles)
            if spacing_m is not None:
                grid["spacing_m"] = spacing_m
        elif grid is not None and (tiles is not None or spacing_m is not None):
            raise TypeError("give either grid or tiles and spacing_m")
        named = {
            "bands": None if bands is None else list(bands),
            "radiometry": radiometry,
            "resampling": resampling,
            "noise_removal": noise_removal,
            "scale": scale,
            "extras": None if extras is None else list(extras),
        }
        chosen = {name: value for name, value in named.items() if value is not None}
        if options is not None and chosen:
            raise TypeError(f"give either options or {', '.join(chosen)}")
        inputs = {
            "request_id": request_id or f"r{uuid.uuid4().hex}",
            "products": list(products),
            "grid": grid,
            "options": options if options is not None else chosen or None,
            "terrain": terrain,
            "gipp": gipp,
            "iers": iers,
            "deadline": deadline.isoformat() if deadline else None,
            "patience_s": patience_s,
            "urgent": urgent or None,
        }
        body = {"inputs": {name: value for name, value in inputs.items() if value is not None}}
        status = self._session.call("POST", f"/processes/{PROCESS}/execution", body)
        return Job(self._session, status)

    def job(self, job_id: str) -> Job:
        """A job by its id."""
        return Job(self._session, self._session.call("GET", f"/jobs/{job_id}"))

    def jobs(self, limit: int | None = None) -> list[Job]:
        """Your jobs, newest first."""
        return [Job(self._session, status) for status in self._session.call("GET", "/jobs", limit=limit)["jobs"]]

    def cancel_all(self) -> list[str]:
        """Cancel all your jobs that are not over yet; their ids."""
        dismissed: list[str] = self._session.call("DELETE", "/jobs")["dismissed"]
        return dismissed

    def failed(self) -> list[dict[str, Any]]:
        """Tasks that have been given up, of all users, with the reason."""
        tasks: list[dict[str, Any]] = self._session.call("GET", "/failed")["tasks"]
        return tasks

    def pools(self) -> list[dict[str, Any]]:
        """The pools, their workers and how much waits for them."""
        pools: list[dict[str, Any]] = self._session.call("GET", "/pools")["pools"]
        return pools

    def pause_pool(self, pool: str) -> None:
        """Release nothing more to a pool; what runs there goes on."""
        self._session.call("POST", f"/pools/{quote(pool, safe='')}/pause")

    def resume_pool(self, pool: str) -> None:
        """Undo `pause_pool`."""
        self._session.call("POST", f"/pools/{quote(pool, safe='')}/resume")

    def costs(self, month: str | None = None) -> dict[str, Any]:
        """What a month (``"2026-05"``, by default this one) has cost: all, by user, against the budget."""
        found: dict[str, Any] = self._session.call("GET", "/costs", **({} if month is None else {"month": month}))
        return found

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
