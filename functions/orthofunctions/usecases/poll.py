"""Catalogues are looked through for new products: each is told of on queue ``announced``, once.

A page's products are sent before they are noted as known, and the watermark moves when all pages of a window have been
read. Who dies between repeats a page at most, which the queue's trigger takes as one; nothing is passed over.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from orthocontracts import names
from orthofunctions.domain import odata, stacitems
from orthofunctions.domain.announced import Announced, NotAnnouncedError
from orthofunctions.domain.catalogues import CataloguesFileError, CatalogueSpec, Progress
from orthofunctions.ports import BlobMissingError, LeaseHeldError, LeaseLostError, Pages, PagesDownError, Ports
from orthofunctions.usecases.listings import catalogues, product_of, read_page

logger = logging.getLogger(__name__)

LEASE_S: Final = 60
MOST_S: Final = 240.0
"""Of one look; the next goes on where it ended."""
MOST_PAGES: Final = 500
"""Of one window."""
TRIES: Final = 3
"""Of a page."""


def look_for_products(ports: Ports, pages: Pages) -> int:
    """Look through every catalogue of ``settings/catalogues.yaml`` that is due.

    Returns
    -------
    int
        How many products were told of.
    """
    try:
        specs = catalogues(ports)
    except CataloguesFileError as error:
        logger.error("%s", error, extra={"action": "catalogues_file"})  # noqa: TRY400 (nobody needs the traceback)
        return 0
    n_told = 0
    for spec in (one for one in specs if one.looked_through):
        try:
            n_told += _look(ports, pages, spec)
        except PagesDownError as error:
            logger.warning("%s: %s", spec.name, error, extra={"action": "catalogue_down", "catalogue": spec.name})
        except (LeaseHeldError, LeaseLostError):
            logger.info("%s is looked through by another", spec.name, extra={"action": "catalogue_held"})
    return n_told


def progress_blob(name: str) -> str:
    return f"catalogues/{name}.json"


class _Turn:
    """The right to look through a catalogue, one at a time; asked for anew before everything that is written."""

    def __init__(self, ports: Ports, spec: CatalogueSpec) -> None:
        self._ports, self._blob = ports, f"catalogues/{spec.name}.lease"
        self._id = ports.blobs.acquire_lease(names.CONTAINER_CONTROL, self._blob, LEASE_S)

    def keep(self) -> None:
        """Raises LeaseLostError."""
        self._ports.blobs.renew_lease(names.CONTAINER_CONTROL, self._blob, self._id)

    def end(self) -> None:
        with contextlib.suppress(LeaseLostError):
            self._ports.blobs.release_lease(names.CONTAINER_CONTROL, self._blob, self._id)


def _look(ports: Ports, pages: Pages, spec: CatalogueSpec) -> int:
    now = ports.clock.now()
    if not _progress(ports, spec, now).is_due(spec, now):
        return 0
    turn = _Turn(ports, spec)
    try:
        progress = _progress(ports, spec, now)  # another may have had a turn just now
        if not progress.is_due(spec, now):
            return 0
        _save(ports, spec, progress)  # a first look that fails must not begin later the next time
        n_told = 0
        while ports.clock.now() < now + timedelta(seconds=MOST_S):
            since, until = progress.window(spec, now)
            n_of_window, progress = _read_window(ports, pages, spec, turn, progress, (since, until))
            n_told += n_of_window
            progress = progress.read_until(until, spec)
            if until >= now:
                progress = progress.model_copy(update={"looked_at": now})
            turn.keep()
            _save(ports, spec, progress)
            if until >= now:
                break
        return n_told
    finally:
        turn.end()


def _read_window(
    ports: Ports, pages: Pages, spec: CatalogueSpec, turn: _Turn, progress: Progress, window: tuple[datetime, datetime]
) -> tuple[int, Progress]:
    url: str | None = _first_page(spec, *window)
    seen: set[str] = set()
    n_told = 0
    while url is not None:
        if url in seen or len(seen) >= MOST_PAGES or not spec.is_own(url):
            raise PagesDownError(f"its pages lead in a circle, have no end, or lead elsewhere: {url[:300]}")
        seen.add(url)
        body = _get(pages, url)
        listed, url = read_page(spec, body)
        turn.keep()
        news = {one.id: one for one in _read_products(spec, listed) if _is_new(one, progress, window)}
        for product in news.values():
            ports.queues.send(names.QUEUE_ANNOUNCED, product.to_json())
        n_told += len(news)
        if news:
            progress = progress.with_known((product.id, product.published_at) for product in news.values())
            _save(ports, spec, progress)
    return n_told, progress


def _get(pages: Pages, url: str) -> Any:
    """A page, tried a few times: of a catalogue that fails now and then no window would ever be read to its end."""
    for _ in range(TRIES - 1):
        try:
            return pages.get(url)
        except PagesDownError as error:
            logger.info("asked again: %s", error, extra={"action": "page_again"})
    return pages.get(url)


def _is_new(product: Announced, progress: Progress, window: tuple[datetime, datetime]) -> bool:
    """What lies outside the window is no news, though a catalogue lists it: it was asked for before, or will be."""
    since, until = window
    return since <= product.published_at < until and product.id not in progress.known


def _read_products(spec: CatalogueSpec, listed: list[Any]) -> list[Announced]:
    found = []
    for one in listed:
        try:
            found.append(product_of(spec, one))
        except NotAnnouncedError as error:
            logger.info("%s: %s", spec.name, error, extra={"action": "announcement_passed_over"})
    return found


def _first_page(spec: CatalogueSpec, since: datetime, until: datetime) -> str:
    if spec.kind == "odata":
        return odata.first_page(spec.url, since, until, spec.filter, spec.page_size)
    return stacitems.first_page(spec.url, since, until, spec.collections, spec.published, spec.page_size)


def _progress(ports: Ports, spec: CatalogueSpec, now: datetime) -> Progress:
    text = _read(ports, names.CONTAINER_CONTROL, progress_blob(spec.name))
    try:
        if text is not None:
            return Progress.model_validate_json(text)
    except ValidationError as error:
        raise PagesDownError(
            f"control/{progress_blob(spec.name)} cannot be read: mend it, or delete it to begin anew ({error})"
        ) from error
    return Progress(began=spec.since or now, watermark=spec.since or now)


def _save(ports: Ports, spec: CatalogueSpec, progress: Progress) -> None:
    ports.blobs.write(names.CONTAINER_CONTROL, progress_blob(spec.name), progress.to_json().encode())


def _read(ports: Ports, container: str, name: str) -> bytes | None:
    try:
        return ports.blobs.read(container, name)
    except BlobMissingError:
        return None
