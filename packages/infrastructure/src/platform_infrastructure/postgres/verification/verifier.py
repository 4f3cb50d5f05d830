"""One query against the catalog: everything that can be wrong with it, in sentences."""

import dataclasses
from collections.abc import Sequence
from types import NoneType
from typing import Any, ForwardRef, TypeVar, cast

from psycopg import Connection

from platform_infrastructure.postgres.annotations import hints
from platform_infrastructure.postgres.query import Exec
from platform_infrastructure.postgres.rows import is_row_class
from platform_infrastructure.postgres.verification.catalog import Catalog
from platform_infrastructure.postgres.verification.described import (
    Description,
    Refused,
    accepted,
    described,
)
from platform_infrastructure.postgres.verification.inputs import (
    as_parameter,
    input_problems,
    name_problems,
)
from platform_infrastructure.postgres.verification.nullability import RULES
from platform_infrastructure.postgres.verification.outputs import outputs
from platform_infrastructure.postgres.verification.raising import constraints, write_problems
from platform_infrastructure.postgres.verification.results import result_problems
from platform_infrastructure.postgres.verification.scope import Context, Scope
from platform_infrastructure.postgres.verification.sent import sendings
from platform_infrastructure.postgres.verification.statement import (
    Statement,
    StatementInvalid,
    numbered,
)
from platform_infrastructure.postgres.verification.verdict import Verdict
from platform_infrastructure.postgres.verification.verified import (
    Problem,
    QueryClass,
    Verified,
    VerifiedColumn,
    VerifiedParameter,
)

UNKNOWN_ROWS = (NoneType, str, ForwardRef, TypeVar)

Judgement = tuple[Verified, list[Problem]]


class Verifier:
    """Looks at queries through one connection, on which nothing changes."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self.catalog = Catalog(connection)

    def verify(self, query: QueryClass) -> Judgement:
        """Return what is known about `query`, and what is wrong with it."""
        try:
            annotations = parameters(query)
            statement = numbered(query.sql)
            if wrong := list(name_problems(statement, annotations)):
                return Verified(), [Problem(message) for message in wrong]
            return self.judged(query, statement, described(self.connection, statement))
        except (NameError, TypeError) as error:
            return Verified(), [Problem(f"an annotation cannot be read: {error}")]
        except (StatementInvalid, Refused) as error:
            return Verified(), [Problem(str(error), error.offset)]

    def judged(self, query: QueryClass, statement: Statement, found: Description) -> Judgement:
        """Judge a query that PostgreSQL has described."""
        annotations = parameters(query)
        declared = [as_parameter(name, annotations[name]) for name in statement.names]
        scope = Scope(Context(self.catalog, declared, RULES), found.query)
        verdicts = outputs(scope) if found.columns else []
        breakable = constraints(scope)
        problems = [
            *input_problems(self.catalog, statement, found, annotations),
            *write_problems(query, scope, breakable),
            *result_problems(self.catalog, query, found, verdicts),
        ]
        verified = Verified(
            self._parameters(statement, found),
            self._columns(found, verdicts),
            [each.name for each in breakable],
        )
        told = [Problem(message) for message in dict.fromkeys(problems)]
        return verified, told or self._sending_problems(statement, found)

    def _parameters(self, statement: Statement, found: Description) -> list[VerifiedParameter]:
        return [
            VerifiedParameter(name, self.catalog.sql_type(oid).name)
            for name, oid in zip(statement.names, found.parameters, strict=True)
        ]

    def _columns(self, found: Description, verdicts: Sequence[Verdict]) -> list[VerifiedColumn]:
        return [
            VerifiedColumn(
                column.name,
                self.catalog.sql_type(column.type).name,
                verdict.nullable,
                verdict.reason,
            )
            for column, verdict in zip(found.columns, verdicts, strict=True)
        ]

    def _sending_problems(self, statement: Statement, found: Description) -> list[Problem]:
        try:
            for types in sendings(self.catalog, found.parameters):
                accepted(self.connection, statement, types)
        except Refused as refused:
            message = f"as psycopg sends the parameters: {refused}; cast the parameter"
            return [Problem(message, refused.offset)]
        return []


def parameters(query: QueryClass) -> dict[str, Any]:
    """Return the annotations of the parameters by name.

    Raises NameError or TypeError where one of them, or one of the row, cannot be read.
    """
    annotations = hints(query)
    if is_row_class(query.row):
        hints(query.row)
    elif not issubclass(query, Exec) and isinstance(query.row, UNKNOWN_ROWS):
        raise TypeError(f"give {query.__mro__[1].__name__}[…] the type of a row, without quotes")
    return {field.name: annotations[field.name] for field in dataclasses.fields(cast(Any, query))}
