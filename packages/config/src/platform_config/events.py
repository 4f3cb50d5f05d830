"""What carries events from whoever publishes to whoever listens."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from platform_config.addresses import HINT, divided
from platform_config.problems import Violation
from platform_config.section import Choice, Section

VALKEY_SCHEMES = ("valkey", "valkeys", "redis", "rediss")
DATABASE = re.compile(r"/?|/[0-9]{1,9}/?")


def reachable(url: SecretStr) -> SecretStr:
    if not names_a_server(url.get_secret_value()):
        raise ValueError(
            "valkey://user:password@host:port/0, valkeys:// for TLS, or redis:// or rediss://"
            + HINT
        )
    return url


def names_a_server(url: str) -> bool:
    if (parts := divided(url, VALKEY_SCHEMES)) is None:
        return False
    try:
        parts.port  # noqa: B018 - raises for what is no number
    except ValueError:
        return False
    return bool(parts.hostname) and bool(DATABASE.fullmatch(parts.path))


class EventsEngine(Choice):
    AUTO = "auto"
    MEMORY = "memory"
    POSTGRES = "postgres"
    VALKEY = "valkey"


class EventsSettings(Section):
    """What carries events to those who listen."""

    prefix = ""

    events_engine: EventsEngine = Field(
        EventsEngine.AUTO,
        description="memory (one process), postgres (several, hundreds of events a second), valkey"
        " (many) or auto: valkey with VALKEY_URL, else memory for one worker, postgres for more."
        " Servers on several machines need postgres or valkey.",
    )
    valkey_url: Annotated[SecretStr, AfterValidator(reachable)] | None = Field(
        None,
        description="Address of a Valkey or Redis. The extra `valkey` has to be installed.",
        examples=["valkey://app:password@localhost:6379/0"],
    )

    def engine(self, workers: int) -> EventsEngine:
        """Return the engine for so many processes; never `AUTO`."""
        if self.events_engine is not EventsEngine.AUTO:
            return self.events_engine
        if self.valkey_url is not None:
            return EventsEngine.VALKEY
        return EventsEngine.MEMORY if workers == 1 else EventsEngine.POSTGRES

    def violations(self) -> Iterator[Violation]:
        if self.events_engine is EventsEngine.VALKEY and self.valkey_url is None:
            yield Violation(
                names=("EVENTS_ENGINE", "VALKEY_URL"),
                expected="the address of the Valkey to use",
                fix="set VALKEY_URL, e.g. VALKEY_URL=valkey://localhost:6379/0",
            )
