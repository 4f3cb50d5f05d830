"""What can be wrong with the parameters of a query."""

from collections.abc import Iterator, Mapping
from typing import Any

from platform_infrastructure.postgres.annotations import declared, element
from platform_infrastructure.postgres.verification.catalog import Catalog
from platform_infrastructure.postgres.verification.described import Description
from platform_infrastructure.postgres.verification.matching import parameter_mismatch
from platform_infrastructure.postgres.verification.scope import Parameter
from platform_infrastructure.postgres.verification.statement import Statement


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
