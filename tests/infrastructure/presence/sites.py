"""Where nodes of each engine of presence meet."""

from typing import Protocol

from platform_domain.presence import LEASE_SECONDS, Presence
from platform_infrastructure.events.valkey.client import ValkeyClient
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.presence.memory import MemoryPresence
from platform_infrastructure.presence.postgres import PostgresPresence
from platform_infrastructure.presence.valkey import ValkeyPresence
from tests.infrastructure.events.valkeys import TestValkey
from tests.infrastructure.postgres.connections import ask


class Site(Protocol):
    def node(self, lease_seconds: float = LEASE_SECONDS) -> Presence: ...

    def kept(self) -> int:
        """Return how many lines the engine keeps about users, dead nodes' included."""
        ...

    def forget(self) -> None:
        """Lose everything."""
        ...


class MemorySite:
    """There is one process, so all nodes are the same."""

    def __init__(self) -> None:
        self._presence = MemoryPresence()

    def node(self, lease_seconds: float = LEASE_SECONDS) -> Presence:
        return self._presence

    def kept(self) -> int:
        return sum(map(len, self._presence._users.values()))

    def forget(self) -> None:
        self._presence._users.clear()


class PostgresSite:
    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database

    def node(self, lease_seconds: float = LEASE_SECONDS) -> Presence:
        return PostgresPresence(self._database, lease_seconds)

    def kept(self) -> int:
        ((rows,),) = ask(self._url, "SELECT count(*) FROM presence")
        return int(rows)

    def forget(self) -> None:
        ask(self._url, "TRUNCATE presence_leases CASCADE")


class ValkeySite:
    def __init__(self, server: TestValkey, client: ValkeyClient) -> None:
        self._server = server
        self._client = client

    def node(self, lease_seconds: float = LEASE_SECONDS) -> Presence:
        return ValkeyPresence(self._client, lease_seconds)

    def kept(self) -> int:
        topics = self._server.ask("KEYS", "*{presence}:topic:*")
        return sum(self._server.ask("SCARD", topic) for topic in topics)

    def forget(self) -> None:
        self._server.ask("FLUSHALL")
