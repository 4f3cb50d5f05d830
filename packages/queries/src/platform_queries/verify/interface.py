"""Compares the parameters and rows of a query class with what PostgreSQL reports."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from platform_queries.annotations import declared, element, hints, shown
from platform_queries.lock import Nullable, QueryClass
from platform_queries.query import Exec
from platform_queries.rows import is_row_class
from platform_queries.verify.catalog import Catalog
from platform_queries.verify.prepare import Description, Statement
from platform_queries.verify.scope import Parameter
from platform_queries.verify.types import column_mismatch, parameter_mismatch
from platform_queries.verify.verdict import Verdict


def name_problems(statement: Statement, annotations: Mapping[str, Any]) -> Iterator[str]:
    """Compare the placeholders with the fields."""
    for name in statement.names:
        if name not in annotations:
            yield f"%({name})s has no field: declare `{name}: …`"
    for name in annotations:
        if name not in statement.names:
            yield f"the field {name} is not used in the SQL"


def input_problems(
    catalog: Catalog, statement: Statement, found: Description, annotations: Mapping[str, Any]
) -> Iterator[str]:
    """Compare the annotations with the types that PostgreSQL infers."""
    for name, oid in zip(statement.names, found.parameters, strict=True):
        type_name = catalog.sql_type(oid).name
        if problem := parameter_mismatch(catalog, oid, annotations[name]):
            yield f"parameter {name} ({type_name}): {problem}"
        if declared(annotations[name]).optional and catalog.requires_value(oid):
            yield f"parameter {name} may be None, but the domain {type_name} is NOT NULL"


def as_parameter(name: str, annotation: Any) -> Parameter:
    """Return what the analysis of nullability needs to know about a parameter."""
    found = declared(annotation)
    inner = declared(element(found.kind))
    return Parameter(name, found.optional or found.kind is Any, inner.optional)


def result_problems(
    catalog: Catalog, query: QueryClass, found: Description, verdicts: Sequence[Verdict]
) -> Iterator[str]:
    """Compare what the statement returns with the base class and the row."""
    if issubclass(query, Exec):
        if found.columns:
            yield "Exec returns no rows, but this statement does: use One, Maybe or Many"
        return
    if not found.columns:
        yield "this statement returns no rows: use Exec, or add RETURNING"
        return
    names = [column.name for column in found.columns]
    yield from _name_problems(query.row, names)
    annotations = row_annotations(query.row, names)
    for column, verdict in zip(found.columns, verdicts, strict=True):
        if column.name in annotations:
            annotation = annotations[column.name]
            if problem := column_mismatch(catalog, column.type, annotation):
                type_name = catalog.sql_type(column.type).name
                yield f"column {column.name} ({type_name}): {problem}"
                continue
            yield from _null_problems(f"column {column.name}", annotation, verdict)


def row_annotations(row: Any, columns: Sequence[str]) -> Mapping[str, Any]:
    """Return the annotations of the columns that a row has a place for."""
    if not is_row_class(row):
        return {columns[0]: row} if columns else {}
    annotations = hints(row)
    fields = [field.name for field in dataclasses.fields(row) if field.init]
    return {name: annotations[name] for name in columns if name in fields}


def _name_problems(row: Any, columns: list[str]) -> Iterator[str]:
    for name, count in Counter(columns).items():
        if count > 1:
            yield f"column {name} is returned {count} times"
    if is_row_class(row):
        yield from _field_problems(row, columns)
    elif len(columns) > 1:
        yield f"{shown(row)} is one value, but there are {len(columns)} columns"


def _field_problems(row: type[Any], columns: list[str]) -> Iterator[str]:
    fields = {field.name: field for field in dataclasses.fields(row) if field.init}
    for name in columns:
        if name not in fields:
            yield f"column {name} is not a field of {row.__name__}"
    for name, field in fields.items():
        if name not in columns and not _has_default(field):
            yield f"{row.__name__}.{name} is not returned"


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _null_problems(name: str, annotation: Any, verdict: Verdict) -> Iterator[str]:
    found, written = declared(annotation), shown(annotation)
    accepts_none = found.optional or found.kind in (Any, object)
    if verdict.nullable is Nullable.CAN and not accepts_none:
        yield f"{name} can be NULL ({verdict.reason}): declare `{written} | None`"
    if verdict.nullable is Nullable.UNKNOWN and not accepts_none and not found.not_null:
        yield (
            f"{name} is not known to be NOT NULL ({verdict.reason}):"
            f" declare `{written} | None` or `Annotated[{written}, NotNull]`"
        )
    if verdict.is_never and found.not_null:
        yield f"{name} is never NULL ({verdict.reason}): drop NotNull"
