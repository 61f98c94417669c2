"""The service, as an object."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from orthoburst.batch import Batch
from orthoburst.campaign import Campaign
from orthoburst.execution import Execution, Wishes, execution, with_id
from orthoburst.http import Session, Token
from orthoburst.job import Job
from orthoburst.search import Item, items_of

DEFAULT_URL = "http://127.0.0.1:7071"
PROCESS = "orthorectify"
JOBS_A_PAGE = 100
BATCH_TIMEOUT_S = 300.0
"""A thousand requests are planned in it, where their estimate is asked for."""

Interval = datetime | str | tuple[datetime | str | None, datetime | str | None]
"""A moment, or two of which one may be None; as datetimes with a zone, or as RFC 3339 has them."""


class Client:
    """A connection to one orthoburst service. Safe to use from several threads.

    Parameters
    ----------
    url : str, optional
        Where it answers; the environment's ORTHOBURST_URL, else a service on this machine.
    api_key : str, optional
        The environment's ORTHOBURST_API_KEY by default; a service on this machine needs none.
    token : callable, optional
        Gives the bearer token of an OIDC login, instead of a key. It is called before every request, so that it can
        renew a token that is about to expire.
    timeout_s : float
        How long one call may take.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        token: Token | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        if api_key is not None and token is not None:
            raise TypeError("give either api_key or token")
        self._session = Session(
            url or os.environ.get("ORTHOBURST_URL") or DEFAULT_URL,
            api_key or os.environ.get("ORTHOBURST_API_KEY"),
            timeout_s,
            token,
        )

    @property
    def url(self) -> str:
        return self._session.url

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    # Asking for images ---------------------------------------------------------------------------------------------

    def submit(self, products: str | Sequence[str], **wishes: Unpack[Wishes]) -> Job:
        """Ask for images of products: `orthoburst.Wishes` says what may be wished.

        >>> client.submit("products/S1A_….zip", tiles=["33TTG"], radiometry="gamma0_rtc")    # doctest: +SKIP

        Parameters
        ----------
        products : str or sequence of str
            As `execution` has them: ``products/NAME.SAFE``, or a product's official name, say; all of one pass.

        Raises
        ------
        RefusedError
            Where the request is not valid: its ``problem`` names the field.
        """
        body = with_id(execution(products, **wishes))
        process = quote(body.pop("process", PROCESS), safe="")
        return Job(self._session, self._session.call("POST", f"/processes/{process}/execution", body, safe=True))

    def submit_batch(
        self, executions: Iterable[Mapping[str, Any]], *, name: str | None = None, batch: str | None = None
    ) -> Batch:
        """Ask for up to a thousand times what `submit` asks for once: all of it, or nothing where one is not valid.

        >>> client.submit_batch([{"products": ref, "tiles": ["33TTG"]} for ref in refs])      # doctest: +SKIP

        Parameters
        ----------
        executions : iterable of mapping
            Each what `execution` gives, or its arguments.
        name : str, optional
            For people.
        batch : str, optional
            The same id is the same batch, however often it is sent; a fresh one by default.

        Raises
        ------
        RefusedError
            Where one is not valid: ``problem["errors"]`` has the index, the field and the reason for each that is not.
        """
        made = [_made(one) for one in executions]
        if batch is None:  # then it is the requests' ids that make it harmless to send it again
            batch = f"b{with_id({'inputs': {}})['inputs']['request_id'][1:]}"
        body = {"batch": batch, "name": name, "executions": made}
        sent = {key: value for key, value in body.items() if value is not None}
        return Batch(self._session, self._session.call("POST", "/batches", sent, safe=True))

    def estimate(self, executions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """What executions would come to: planned and decided as if they were submitted now, and nothing is.

        Returns
        -------
        dict
            ``executions``: for each whether it is ``valid`` or its ``errors``, and how many ``images`` it has, of which
            so many are ``there`` or ``under_way`` and cost nothing; ``megapixels``, ``run_s`` and ``eur`` of the
            others, the ``pool`` they would go to now, and ``why``. ``total``: the sums.
        """
        made = [_made(one) for one in executions]
        body = {"validate_only": True, "executions": made}
        found: dict[str, Any] = self._session.call("POST", "/batches", body, safe=True, timeout_s=BATCH_TIMEOUT_S)
        return found

    # Jobs and batches ----------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """A job by its id."""
        return Job(self._session, self._session.call("GET", f"/jobs/{quote(job_id, safe='')}"))

    def jobs(
        self,
        limit: int | None = None,
        *,
        status: str | Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        process: str | None = None,
        batch: str | None = None,
        min_duration_s: float | None = None,
        max_duration_s: float | None = None,
    ) -> Iterator[Job]:
        """Your jobs, newest first, page by page as they are asked for.

        Parameters
        ----------
        limit : int, optional
            At most so many.
        status : str or iterable of str, optional
            Of ``accepted``, ``running``, ``successful``, ``failed``, ``dismissed``.
        since, until : datetime, optional
            With a zone: created in between.
        process, batch : str, optional
        min_duration_s, max_duration_s : float, optional
            How long they ran, or have been running.
        """
        pages = self._session.pages(
            "/jobs",
            status=status if status is None or isinstance(status, str) else ",".join(status),
            datetime=_interval((since, until)) if since or until else None,
            processID=process,
            batch=batch,
            minDuration=min_duration_s,
            maxDuration=max_duration_s,
            limit=JOBS_A_PAGE if limit is None else max(1, min(limit, JOBS_A_PAGE)),
        )
        found = (Job(self._session, status) for page in pages for status in page["jobs"])
        return itertools.islice(found, limit)

    def batch(self, batch_id: str) -> Batch:
        """A batch by its id."""
        return Batch(self._session, self._session.call("GET", f"/batches/{quote(batch_id, safe='')}"))

    def batches(self, limit: int | None = None) -> Iterator[Batch]:
        """Your batches, newest first; each asks for its jobs when they are wanted."""
        found = (Batch(self._session, one) for page in self._session.pages("/batches") for one in page["batches"])
        return itertools.islice(found, limit)

    def cancel_all(self) -> list[str]:
        """Cancel all your jobs that are not over yet; their ids."""
        dismissed: list[str] = self._session.call("DELETE", "/jobs")["dismissed"]
        return dismissed

    # What is there -------------------------------------------------------------------------------------------------

    def search(
        self,
        *,
        bbox: Sequence[float] | None = None,
        datetime: Interval | None = None,
        collections: Sequence[str] | None = None,
        intersects: Mapping[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        filter: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Images in the catalogue, by STAC's own parameters, page by page as they are asked for.

        Parameters
        ----------
        bbox : sequence of float, optional
            West, south, east, north in degrees.
        datetime : datetime, str or pair, optional
        collections, ids : sequence of str, optional
        intersects : dict, optional
            A GeoJSON geometry.
        filter : str, optional
            CQL2 text.
        limit : int, optional
            At most so many.
        """
        asked = {
            "bbox": None if bbox is None else list(bbox),
            "datetime": None if datetime is None else _interval(datetime),
            "collections": None if collections is None else list(collections),
            "intersects": None if intersects is None else dict(intersects),
            "ids": None if ids is None else list(ids),
            "filter": filter,
            "filter-lang": None if filter is None else "cql2-text",
            "limit": None if limit is None else max(1, min(limit, JOBS_A_PAGE)),
        }
        body = {name: value for name, value in asked.items() if value is not None}
        return items_of(self._session.pages("/stac/search", body), limit)

    def products(
        self,
        *,
        bbox: Sequence[float] | None = None,
        datetime: Interval | None = None,
        mission: str | None = None,
        product_type: str | None = None,
        state: str | None = None,
        where: str | None = None,
        waiting: bool = False,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Products that images can be made of, newest first, as GeoJSON features.

        ``feature["properties"]["ref"]`` is what `submit` takes.

        Parameters
        ----------
        bbox : sequence of float, optional
            West, south, east, north in degrees.
        datetime : datetime, str or pair, optional
        mission, product_type : str, optional
            ``sentinel-1``, ``GRD``.
        state : str, optional
            ``here``, ``elsewhere`` or ``gone``; by default what can be had.
        where : str, optional
            ``blobs``, a store of the site, ``s3://BUCKET``, ``https://HOST``.
        waiting : bool
            Only what is so old that it may expire; ``waits_for`` says what keeps it.
        limit : int, optional
            At most so many.
        """
        pages = self._session.pages(
            "/products",
            bbox=None if bbox is None else ",".join(map(str, bbox)),
            datetime=None if datetime is None else _interval(datetime),
            mission=mission,
            type=product_type,
            state=state,
            where=where,
            waiting="true" if waiting else None,
            limit=None if limit is None else max(1, min(limit, JOBS_A_PAGE)),
        )
        return itertools.islice((feature for page in pages for feature in page["features"]), limit)

    def product_summary(self, by: Sequence[str] = ("state", "mission", "product_type")) -> dict[str, Any]:
        """How many products there are and were, and their bytes, by ``state``, ``where``, ``mission``, ``product_type``
        and ``month``; and the rules by which they go."""
        found: dict[str, Any] = self._session.call("GET", "/products/summary", by=",".join(by))
        return found

    def keep_product(self, ref: str) -> dict[str, Any]:
        """Keep an uploaded product whatever the site's rules say. For operators."""
        kept: dict[str, Any] = self._session.call("POST", "/products/keep", {"ref": ref}, safe=True)
        return kept

    def release_product(self, ref: str) -> dict[str, Any]:
        """Undo `keep_product`."""
        released: dict[str, Any] = self._session.call("POST", "/products/release", {"ref": ref}, safe=True)
        return released

    def check_products(self) -> Iterator[dict[str, Any]]:
        """Hold inventory and store against each other, and mend: what each part came to, as it is gone through."""
        asked: dict[str, Any] = {}
        while True:
            part = self._session.call("POST", "/products/check", asked, safe=True, timeout_s=BATCH_TIMEOUT_S)
            yield {name: value for name, value in part.items() if name != "token"}
            if "token" not in part:
                return
            asked = {"after": part["token"]}

    def orders(self) -> list[dict[str, Any]]:
        """Standing orders: what is made of every product that lands in the store."""
        orders: list[dict[str, Any]] = self._session.call("GET", "/orders")["orders"]
        return orders

    def add_order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Order images of every product to come that fits, as ``docs/orders.md`` says; the order as it is kept.

        The same order under the same ``id`` is harmless; an id is made where it has none.
        """
        named = {"id": f"o{uuid.uuid4().hex[:15]}", **order}
        kept: dict[str, Any] = self._session.call("POST", "/orders", named)
        return kept

    def delete_order(self, order_id: str) -> None:
        """Take a standing order back. What it has asked for goes on."""
        self._session.call("DELETE", f"/orders/{quote(order_id, safe='')}")

    def back_fill(self, order_id: str, datetime: Interval | None = None) -> Iterator[Job]:
        """The jobs of an order over products that came before it, newest first, asked for as they are gone through."""
        asked = {} if datetime is None else {"datetime": _interval(datetime)}
        while True:
            page = self._session.call("POST", f"/orders/{quote(order_id, safe='')}/backfill", asked)
            yield from (Job(self._session, status) for status in page["jobs"])
            if "token" not in page:
                return
            asked["after"] = page["token"]

    # Campaigns -----------------------------------------------------------------------------------------------------

    def plan_campaign(self, campaign: Mapping[str, Any]) -> Campaign:
        """Plan a campaign, as ``docs/campaigns.md`` says, and learn its price. Nothing is made before it is started.

        The same campaign under the same ``id`` is harmless.
        """
        return Campaign(self._session, self._session.call("POST", "/campaigns", dict(campaign)))

    def campaigns(self) -> list[Campaign]:
        """All campaigns."""
        found = self._session.call("GET", "/campaigns")["campaigns"]
        return [Campaign(self._session, one) for one in found]

    def campaign(self, campaign_id: str) -> Campaign:
        """A campaign by its id."""
        path = f"/campaigns/{quote(campaign_id, safe='')}"
        return Campaign(self._session, self._session.call("GET", path))

    # Who you are ---------------------------------------------------------------------------------------------------

    def whoami(self) -> dict[str, Any]:
        """Your name, scopes and groups, your limits and what you have used of them."""
        found: dict[str, Any] = self._session.call("GET", "/whoami")
        return found

    def keys(self) -> list[dict[str, Any]]:
        """Your API keys, without their secrets."""
        keys: list[dict[str, Any]] = self._session.call("GET", "/keys")["keys"]
        return keys

    def make_key(
        self,
        name: str,
        scopes: Sequence[str] = ("read", "submit"),
        *,
        expires_in_days: float | None = None,
        user: str | None = None,
    ) -> dict[str, Any]:
        """A new API key: ``key`` in the answer is shown this once. ``user``: for somebody else, by an admin."""
        asked = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days, "user": user}
        body = {key: value for key, value in asked.items() if value is not None}
        made: dict[str, Any] = self._session.call("POST", "/keys", body)
        return made

    def revoke_key(self, key_id: str) -> None:
        """From now on the key opens nothing."""
        self._session.call("DELETE", f"/keys/{quote(key_id, safe='')}")

    # The site ------------------------------------------------------------------------------------------------------

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
        self._session.call("POST", f"/pools/{quote(pool, safe='')}/pause", safe=True)

    def resume_pool(self, pool: str) -> None:
        """Undo `pause_pool`."""
        self._session.call("POST", f"/pools/{quote(pool, safe='')}/resume", safe=True)

    def costs(self, month: str | None = None) -> dict[str, Any]:
        """What a month (``"2026-05"``, by default this one) has cost: all, by user, against the budget."""
        found: dict[str, Any] = self._session.call("GET", "/costs", month=month)
        return found

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _made(one: Mapping[str, Any]) -> Execution:
    return dict(one) if "inputs" in one else execution(**one)


def _interval(interval: Interval) -> str:
    if not isinstance(interval, tuple):
        return _moment(interval)
    return "/".join(".." if one is None else _moment(one) for one in interval)


def _moment(moment: datetime | str) -> str:
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise TypeError(f"{moment.isoformat()}: say its zone, for example datetime(…, tzinfo=UTC)")
    return moment.isoformat()
