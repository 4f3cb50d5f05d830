"""How PostgreSQL is reached, and how long anyone waits for it."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qs

from pydantic import AfterValidator, Field, SecretStr

from platform_config.addresses import HINT, divided
from platform_config.problems import Violation
from platform_config.section import (
    COUNT_MAX,
    REQUIRED_IN_PRODUCTION,
    Choice,
    Count,
    Section,
    Timeout,
)

SCHEMES = ("postgresql", "postgres")
SHAPE = (
    "postgresql://user:password@host:port/database, or for a socket"
    f" postgresql://user@/database?host=/folder{HINT}"
)
HOST = r"(?:\[[0-9a-fA-F:.%]+\]|[^\[\]:,\s]+)(?::[0-9]*)?"
HOSTS = re.compile(rf"{HOST}(?:,{HOST})*")

# PostgreSQL stores milliseconds in 32 bits; the idle timeout is twice this value.
Bound = Annotated[float, Field(ge=0.001, le=1_000_000)]


def postgres_url(url: SecretStr | None) -> SecretStr | None:
    """Refuse what libpq would not take for a URL with a host (PostgreSQL manual, 32.1.1.2)."""
    if url and not names_a_server(url.get_secret_value()):
        raise ValueError(SHAPE)
    return url


def names_a_server(url: str) -> bool:
    if (parts := divided(url, SCHEMES)) is None:
        return False
    hosts = parts.netloc.rpartition("@")[2]
    return bool(HOSTS.fullmatch(hosts) if hosts else parse_qs(parts.query).get("host"))


class PreparedStatements(Choice):
    AUTO = "auto"
    OFF = "off"


class DatabaseSettings(Section):
    """How PostgreSQL is reached, and how long anyone waits for it."""

    prefix = "DATABASE_"

    url: Annotated[SecretStr | None, AfterValidator(postgres_url), REQUIRED_IN_PRODUCTION] = Field(
        None,
        description="Address of the database. Unset in development: one is started for you.",
        examples=["postgresql://app:password@localhost:5432/app"],
    )
    pool_min_size: int = Field(2, ge=0, le=COUNT_MAX, description="Connections kept open.")
    pool_max_size: Count = Field(10, description="Maximum number of connections in each process.")
    pool_timeout: Timeout = Field(1.5, description="Seconds to wait for a free connection.")
    connect_timeout: Timeout = Field(3, description="Seconds for one attempt to connect.")
    connect_deadline: Timeout = Field(
        30, description="Seconds that start-up keeps trying to connect."
    )
    statement_timeout: Bound = Field(5, description="Seconds one statement may run.")
    lock_timeout: Bound = Field(2, description="Seconds to wait for one lock.")
    direct_url: Annotated[SecretStr, AfterValidator(postgres_url)] | None = Field(
        None,
        description="Address past a pooler such as PgBouncer: for migrations and what needs a"
        " session. Unset: DATABASE_URL.",
        examples=["postgresql://app:password@localhost:5432/app"],
    )
    prepared_statements: PreparedStatements = Field(
        PreparedStatements.AUTO,
        description="auto, or off behind a pooler that cannot keep prepared statements.",
    )
    health_interval: Timeout = Field(10, description="Seconds between two health checks.")

    def violations(self) -> Iterator[Violation]:
        if self.pool_min_size > self.pool_max_size:
            yield Violation(
                names=("DATABASE_POOL_MIN_SIZE", "DATABASE_POOL_MAX_SIZE"),
                expected="a smallest size that is not above the largest",
                fix="lower DATABASE_POOL_MIN_SIZE or raise DATABASE_POOL_MAX_SIZE",
            )
