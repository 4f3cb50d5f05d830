"""What a feature team writes to talk to PostgreSQL: one class a query.

    class FindProject(Maybe[Project]):
        sql = "SELECT id, name FROM projects WHERE id = %(project_id)s"
        project_id: UUID

    project = await database.run(FindProject(project_id=id))  # Project | None

The fields are the parameters, the base says how many rows come back and what one is: a dataclass
whose fields are the columns, or a single value for a query of one column.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Generic,
    LiteralString,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

from psycopg import AsyncConnection, AsyncCursor, DataError
from psycopg.sql import SQL

from platform_queries.rows import (
    NullBroughtError,
    UnreadableError,
    adapted,
    json_parameters,
    row_factory,
    unreadable_column,
)

Row = TypeVar("Row")
Result = TypeVar("Result")

QUERIES: dict[str, type["Query[Any]"]] = {}
"""Every query class that was imported, by `module.Name`."""


class RowCountError(Exception):
    """A `One` found no row, or more than one: the query is wrong, not its caller."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Query(Generic[Result]):
    """A statement and its parameters. Subclass `One`, `Maybe`, `Many` or `Exec` instead."""

    sql: ClassVar[LiteralString]
    raises: ClassVar[Mapping[str, type[Exception]]] = {}
    """What it means to the caller when a constraint of this name is violated."""
    unbreakable: ClassVar[AbstractSet[str]] = frozenset()
    """Constraints that no caller can violate here, although the columns suggest it."""
    row: ClassVar[Any] = None

    def __init_subclass__(cls, *, shape: bool = False) -> None:
        super().__init_subclass__()
        if shape:
            return
        dataclass(frozen=True, kw_only=True)(cls)
        cls.row = _row_type(cls)
        QUERIES[f"{cls.__module__}.{cls.__qualname__}"] = cls

    async def execute(self, connection: AsyncConnection[Any]) -> Result:
        """Send the statement and read its answer.

        Raises psycopg's errors unchanged, and `UnreadableError` for a value in the answer that
        Python cannot represent or that the row's annotations exclude.
        """
        cls: Any = type(self)  # mypy takes the hash of the instances for that of the class.
        parameters = adapted(vars(self), json_parameters(cls))
        async with connection.cursor(row_factory=row_factory(self.row)) as cursor:
            try:
                await cursor.execute(SQL(self.sql), parameters)
            except UnicodeEncodeError as error:  # A lone surrogate, which JSON lets through.
                raise DataError("a text has characters that cannot be encoded") from error
            try:
                return await self._read(cursor)
            except Exception as error:
                self._require_readable(cursor, error)
                raise

    def _require_readable(self, cursor: AsyncCursor[Any], error: Exception) -> None:
        column = None if isinstance(error, RowCountError) else unreadable_column(self.row, cursor)
        if column is not None:
            kind = NullBroughtError if isinstance(error, NullBroughtError) else UnreadableError
            raise kind(f"{type(self).__name__}, column {column}: {error}") from error

    async def _read(self, cursor: AsyncCursor[Any]) -> Result:
        raise TypeError(f"{type(self).__name__} must subclass One, Maybe, Many or Exec")


class One(Query[Row], shape=True):
    """Exactly one row. Raises `RowCountError` otherwise."""

    async def _read(self, cursor: AsyncCursor[Any]) -> Row:
        rows = await cursor.fetchmany(2)
        if len(rows) != 1:
            found = "no row" if not rows else "more than one row"
            raise RowCountError(f"{type(self).__name__} found {found} where there must be one")
        return cast(Row, rows[0])


class Maybe(Query[Row | None], Generic[Row], shape=True):
    """One row or none. Raises `RowCountError` for more."""

    async def _read(self, cursor: AsyncCursor[Any]) -> Row | None:
        rows = await cursor.fetchmany(2)
        if len(rows) > 1:
            raise RowCountError(f"{type(self).__name__} found more than one row")
        return cast(Row, rows[0]) if rows else None


class Many(Query[list[Row]], Generic[Row], shape=True):
    """Any number of rows."""

    async def _read(self, cursor: AsyncCursor[Any]) -> list[Row]:
        return await cursor.fetchall()


class Exec(Query[int], shape=True):
    """No rows; how many were touched."""

    async def _read(self, cursor: AsyncCursor[Any]) -> int:
        return cursor.rowcount


def _row_type(cls: type[Query[Any]]) -> Any:
    for base in getattr(cls, "__orig_bases__", ()):
        if issubclass(get_origin(base) or base, Query) and get_args(base):
            return get_args(base)[0]
    return None
