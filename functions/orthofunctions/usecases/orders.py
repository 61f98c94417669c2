"""Standing orders in table ``orders``: kept, changed, and read as one book for matching.

Every function keeps its book until the *mark*, a blob that is written anew after each change, differs; at the latest a
minute after a change, whoever died between the two, the book is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4
from weakref import WeakKeyDictionary

from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthofunctions.domain.records import OrderRecord
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import BlobMissingError, Ports, Row, RowExistsError, Tables
from orthofunctions.usecases.rows import find, load

MOST_CHARACTERS = 30_000
"""Of an order's document: what a table keeps in one value."""
MOST_ORDERS = 1_000
"""Of one user."""
BOOK_AGE = timedelta(seconds=60)


class OrderRefusedError(Exception):
    """A standing order that cannot be kept; the message says why."""


class OrderExistsError(Exception):
    """The user has a standing order of that id, and it is another."""


def add_order(ports: Ports, order: StandingOrder) -> StandingOrder:
    """Keep an order. The same again is harmless: then the one that is there is returned.

    Raises
    ------
    OrderRefusedError
        Where it is too large, or its user has too many.
    OrderExistsError
    """
    document = order.to_json()
    if len(document) > MOST_CHARACTERS:
        raise OrderRefusedError(
            f"the order has {len(document)} characters, {MOST_CHARACTERS} can be kept: simplify its area"
        )
    if len(orders_of(ports, order.user)) >= MOST_ORDERS:
        raise OrderRefusedError(f"you have {MOST_ORDERS} standing orders already: delete one, or widen another")
    record = OrderRecord(user=order.user, order_id=order.order_id, document=document)
    try:
        ports.tables.insert(OrderRecord.TABLE, record.to_row())
    except RowExistsError:
        there = find_order(ports, order.user, order.order_id)
        if there is None or there != order.model_copy(update={"created_at": there.created_at}):
            raise OrderExistsError(
                f"you have a standing order {order.order_id} already, and it is another: delete it first, "
                "or take another id"
            ) from None
        order = there
    _mark(ports)
    return order


def find_order(ports: Ports, user: str, order_id: str) -> StandingOrder | None:
    record = load(ports.tables, OrderRecord, user, order_id)
    return StandingOrder.model_validate_json(record.document) if record else None


def orders_of(ports: Ports, user: str) -> list[StandingOrder]:
    """A user's orders, by id."""
    return [_order(record) for record in find(ports.tables, OrderRecord, partition=user)]


def delete_order(ports: Ports, user: str, order_id: str) -> bool:
    """Take an order back; what it has asked for goes on. False where there is none."""
    there = load(ports.tables, OrderRecord, user, order_id)
    ports.tables.delete(OrderRecord.TABLE, user, order_id)
    _mark(ports)
    return there is not None


@dataclass(frozen=True)
class _Read:
    book: OrderBook
    orders: Mapping[str, StandingOrder]
    """By their documents."""
    mark: bytes
    at: datetime


_lock = threading.Lock()
_books: WeakKeyDictionary[Tables, _Read] = WeakKeyDictionary()


def order_book(ports: Ports) -> OrderBook:
    """All standing orders, ready to be matched."""
    mark, now = _read_mark(ports), ports.clock.now()
    with _lock:
        kept = _books.get(ports.tables)
        if kept is None or kept.mark != mark or now - kept.at > BOOK_AGE:
            kept = _read_again(ports, kept, mark, now)
            _books[ports.tables] = kept
        return kept.book


def _read_again(ports: Ports, before: _Read | None, mark: bytes, now: datetime) -> _Read:
    """Most orders are as they were: to parse one, area and all, takes a millisecond, and there are thousands."""
    known = before.orders if before else {}
    documents = [record.document for record in find(ports.tables, OrderRecord)]
    orders = {text: known.get(text) or StandingOrder.model_validate_json(text) for text in documents}
    same = before is not None and orders.keys() == known.keys()
    return _Read(before.book if before and same else OrderBook.of(orders.values()), orders, mark, now)


def may_ask(ports: Ports, order: StandingOrder, product: str, now: datetime) -> bool:
    """Count a product against the order's month, once. False where the month has had all it may.

    ``product`` names a product's content.
    """
    most = order.products_per_month
    if most is None:
        return True
    if has_asked(ports, order, product, [now]):
        return True
    if not has_room(ports, order, now):
        return False
    ports.tables.put(names.TABLE_ORDERED, Row(_month(order, now), product, {"at": now}))
    return True


def has_room(ports: Ports, order: StandingOrder, now: datetime) -> bool:
    """Whether one more product may be counted against an order's month."""
    most = order.products_per_month
    if most is None:
        return True
    counted: Sequence[Row] = list(ports.tables.query(names.TABLE_ORDERED, partition=_month(order, now), limit=most))
    return len(counted) < most


def has_asked(ports: Ports, order: StandingOrder, product: str, when: Iterable[datetime]) -> bool:
    """Whether a product was counted against the order in one of these months, or none are."""
    months = {_month(order, moment) for moment in when}
    return order.products_per_month is None or any(
        ports.tables.get(names.TABLE_ORDERED, month, product) is not None for month in months
    )


def _month(order: StandingOrder, now: datetime) -> str:
    return f"{order.user}|{order.order_id}|{now:%Y-%m}"


def _order(record: OrderRecord) -> StandingOrder:
    return StandingOrder.model_validate_json(record.document)


def _mark(ports: Ports) -> None:
    ports.blobs.write(names.CONTAINER_CONTROL, names.BLOB_ORDERS_MARK, uuid4().hex.encode())


def _read_mark(ports: Ports) -> bytes:
    try:
        return ports.blobs.read(names.CONTAINER_CONTROL, names.BLOB_ORDERS_MARK)
    except BlobMissingError:
        return b""
