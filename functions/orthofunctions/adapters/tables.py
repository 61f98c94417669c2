"""Azure Table Storage rows with their ETags."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import requests
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import (
    EdmType,
    EntityProperty,
    TableClient,
    TableEntity,
    TableServiceClient,
    TableTransactionError,
    UpdateMode,
)

from orthofunctions.adapters.transport import table_options
from orthofunctions.ports import Change, Row, RowChangedError, RowExistsError, Value

MAX_CHANGES = 100
_FORBIDDEN_IN_KEYS = frozenset("/\\#?%")  # and control characters; "%" because it is our escape


class AzureTables:
    """``orthofunctions.ports.Tables`` over one storage account.

    Forbidden characters in keys are percent-encoded, which keeps the order of all others.
    """

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._tables: dict[str, TableClient] = {}

    @classmethod
    def connect(cls, connection_string: str, session: requests.Session) -> AzureTables:
        return cls(TableServiceClient.from_connection_string(connection_string, **table_options(session)))

    def make_table(self, table: str) -> None:
        """Make a table; one that is there is no error."""
        with contextlib.suppress(ResourceExistsError):
            self._table(table).create_table()

    def get(self, table: str, partition: str, key: str) -> Row | None:
        try:
            return _row(self._table(table).get_entity(_encoded(partition), _encoded(key)))
        except ResourceNotFoundError:
            return None

    def query(
        self,
        table: str,
        *,
        partition: str | None = None,
        partition_from: str | None = None,
        partition_below: str | None = None,
        key_from: str | None = None,
        key_below: str | None = None,
        equal: Mapping[str, Value] | None = None,
        limit: int | None = None,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Row]:
        terms = []
        if partition is not None:
            terms.append(f"PartitionKey eq {_literal(_encoded(partition))}")
        if partition_from is not None:
            terms.append(f"PartitionKey ge {_literal(_encoded(partition_from))}")
        if partition_below is not None:
            terms.append(f"PartitionKey lt {_literal(_encoded(partition_below))}")
        if key_from is not None:
            terms.append(f"RowKey ge {_literal(_encoded(key_from))}")
        if key_below is not None:
            terms.append(f"RowKey lt {_literal(_encoded(key_below))}")
        terms += [f"{name} eq {_literal(value)}" for name, value in (equal or {}).items()]
        page = min(limit, 1000) if limit else 1000
        chosen = None if fields is None else ["PartitionKey", "RowKey", *fields]
        entities = self._table(table).query_entities(" and ".join(terms), results_per_page=page, select=chosen)
        for number, entity in enumerate(entities):
            if number == limit:
                return
            yield _row(entity)

    def insert(self, table: str, row: Row) -> Row:
        try:
            done = self._table(table).create_entity(_entity(row))
        except ResourceExistsError as error:
            raise RowExistsError(f"{table}/{row.partition}/{row.key}") from error
        return Row(row.partition, row.key, row.values, done["etag"])

    def replace(self, table: str, row: Row) -> Row:
        if not row.etag:
            raise RowChangedError(f"{table}/{row.partition}/{row.key} was never read: it has no ETag")
        try:
            done = self._table(table).update_entity(
                _entity(row), mode=UpdateMode.REPLACE, etag=row.etag, match_condition=MatchConditions.IfNotModified
            )
        except HttpResponseError as error:
            raise _as_changed(error, table, row) from error
        return Row(row.partition, row.key, row.values, done["etag"])

    def put(self, table: str, row: Row) -> None:
        self._table(table).upsert_entity(_entity(row), mode=UpdateMode.REPLACE)

    def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> None:
        conditions: dict[str, Any] = {}
        if etag is not None:
            conditions = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        try:
            self._table(table).delete_entity(_encoded(partition), _encoded(key), **conditions)
        except HttpResponseError as error:
            if error.status_code == 404 and etag is None:
                return
            raise _as_changed(error, table, Row(partition, key, {})) from error

    def transact(self, table: str, changes: Sequence[Change]) -> None:
        if not changes:
            return
        if len(changes) > MAX_CHANGES:
            raise ValueError(f"{len(changes)} changes in one transaction; {MAX_CHANGES} is the most")
        if len({change.row.partition for change in changes}) > 1:
            raise ValueError("a transaction holds changes of one partition only")
        for change in changes:
            if change.kind in ("replace", "delete") and not change.row.etag:
                raise RowChangedError(f"{table}/{change.row.partition}/{change.row.key} was never read: it has no ETag")
        try:
            self._table(table).submit_transaction([_operation(change) for change in changes])
        except (TableTransactionError, HttpResponseError) as error:
            guilty = changes[getattr(error, "index", 0)].row
            if error.status_code == 409:
                raise RowExistsError(f"{table}/{guilty.partition}/{guilty.key}") from error
            raise _as_changed(error, table, guilty) from error

    def _table(self, table: str) -> TableClient:
        if table not in self._tables:
            self._tables[table] = self._service.get_table_client(table)
        return self._tables[table]


def _as_changed(error: HttpResponseError, table: str, row: Row) -> Exception:
    """Gone (404) and changed (412) mean the same to a caller: read again. Anything else stays what it is."""
    if error.status_code in (404, 412) and getattr(error, "error_code", None) != "TableNotFound":
        return RowChangedError(f"{table}/{row.partition}/{row.key}")
    return error


def _operation(change: Change) -> Any:
    entity = _entity(change.row)
    match change.kind:
        case "insert":
            return ("create", entity)
        case "put":
            return ("upsert", entity, {"mode": UpdateMode.REPLACE})
        case "replace":
            condition = {"etag": change.row.etag, "match_condition": MatchConditions.IfNotModified}
            return ("update", entity, {"mode": UpdateMode.REPLACE, **condition})
        case "delete":
            return (
                "delete",
                entity,
                {"etag": change.row.etag, "match_condition": MatchConditions.IfNotModified},
            )


def _entity(row: Row) -> dict[str, Any]:
    values = {name: _property(value) for name, value in row.values.items()}
    return {**values, "PartitionKey": _encoded(row.partition), "RowKey": _encoded(row.key)}


def _property(value: Value) -> Any:
    """Every whole number is stored as Int64: a type that follows the value would make filters miss rows."""
    if isinstance(value, int) and not isinstance(value, bool):
        return EntityProperty(value, EdmType.INT64)
    if isinstance(value, float):
        return EntityProperty(value, EdmType.DOUBLE)
    return value


def _row(entity: TableEntity) -> Row:
    values = {
        name: _plain(value)
        for name, value in entity.items()
        if name not in ("PartitionKey", "RowKey", "Timestamp") and value is not None
    }
    return Row(
        partition=unquote(entity["PartitionKey"]),
        key=unquote(entity["RowKey"]),
        values=values,
        etag=str(entity.metadata["etag"]),
    )


def _plain(value: Any) -> Value:
    if isinstance(value, EntityProperty):
        value = value.value
    if isinstance(value, datetime):  # the SDK's own subclass
        return datetime.fromisoformat(value.isoformat())
    assert isinstance(value, str | int | float | bool)
    return value


def _encoded(key: str) -> str:
    return "".join(
        quote(char, safe="") if char in _FORBIDDEN_IN_KEYS or ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F else char
        for char in key
    )


def _literal(value: Value) -> str:
    """A value as an OData literal."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}L"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return f"datetime'{value.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
    escaped = value.replace("'", "''")
    return f"'{escaped}'"
