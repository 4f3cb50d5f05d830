"""The types that psycopg names when it sends a value; 0 where it lets PostgreSQL decide.

PostgreSQL chooses operators and functions by the types of their arguments. A statement that is
right for the types it infers may be wrong for those that psycopg sends, so both are tried.
"""

from collections.abc import Mapping, Sequence

from platform_infrastructure.postgres.verification.catalog import Catalog

LEFT_OPEN = 0
NAMED: Mapping[str, Sequence[str]] = {
    "bool": ("bool",),
    "bytea": ("bytea",),
    "date": ("date",),
    "float4": ("float8",),
    "float8": ("float8",),
    "int2": ("int2",),
    "int4": ("int2", "int4"),
    "int8": ("int2", "int8"),
    "interval": ("interval",),
    "json": ("jsonb",),
    "jsonb": ("jsonb",),
    "numeric": ("numeric",),
    "oid": ("int2", "int8"),
    "time": ("time",),
    "timestamp": ("timestamp",),
    "timestamptz": ("timestamptz",),
    "timetz": ("timetz",),
    "uuid": ("uuid",),
}
"""By the type that PostgreSQL infers: an `int` is sent as the smallest type that holds it."""


def sendings(catalog: Catalog, parameters: Sequence[int]) -> list[list[int]]:
    """Return the lists of types to try: of the smallest values and of the largest."""
    smallest = [_sent(catalog, oid, 0) for oid in parameters]
    largest = [_sent(catalog, oid, -1) for oid in parameters]
    return [smallest] if smallest == largest else [smallest, largest]


def _sent(catalog: Catalog, oid: int, choice: int) -> int:
    found = catalog.base_type(oid)
    if found.element:
        inner = catalog.base_type(found.element)
        names = NAMED.get(inner.internal)
        return catalog.named(f"_{names[choice]}") if names else LEFT_OPEN
    names = NAMED.get(found.internal)
    return catalog.named(names[choice]) if names else LEFT_OPEN
