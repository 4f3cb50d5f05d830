"""Valkey as we use it: short waits, no second tries in silence, errors of the domain.

Only modules that are loaded when Valkey is chosen may import this one: it needs the extra `valkey`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from valkey import exceptions
from valkey.asyncio import BlockingConnectionPool, Connection, Valkey
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff

from platform_domain.errors import Unavailable
from platform_domain.startup import StartupError

TIMEOUT_SECONDS = 1.0
MAX_CONNECTIONS = 10
LOSSES = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
REFUSALS = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError)
"""A server that is full, or that became a replica."""


class ValkeyClient:
    """Connections to one server. A lost one is replaced when it is asked for the next time.

    The bounds are ours: the client's own uses `asyncio.wait_for`, which loses cancellations in
    Python 3.11 (python/cpython#86296), and bounds each step instead of the whole.
    """

    def __init__(self, url: str) -> None:
        """Raises `StartupError` for a URL with parameters that the client does not accept."""
        try:
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=None,
                socket_timeout=None,
                retry=Retry(NoBackoff(), 0),
            )
            self._pool.connection_class(**self._pool.connection_kwargs)  # Checks their names.
        except (TypeError, ValueError, exceptions.ValkeyError):
            raise StartupError(
                "VALKEY_URL cannot be read by Valkey's client: look for a misspelt or wrong"
                " parameter behind the question mark."
            ) from None
        self._client = Valkey(connection_pool=self._pool)

    @property
    def prefix(self) -> str:
        """What our names begin with; published channels are not kept apart by database number."""
        return f"platform:{self._pool.connection_kwargs.get('db', 0)}:"

    def script(self, lua: str) -> "Script":
        return Script(self._client.register_script(lua))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Open a connection outside the pool."""
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        await self._pool.aclose()


class Script:
    """A piece of Lua that the server runs whole, with nobody else in between."""

    def __init__(self, script: Any) -> None:
        self._script = script

    async def run(self, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        """Return what the script returns, texts as bytes. Raises `Unavailable`."""
        with reached():
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._script(keys=keys, args=arguments)


@contextmanager
def reached() -> Iterator[None]:
    """Turn the failure to reach the server into `Unavailable`."""
    try:
        yield
    except (*LOSSES, *REFUSALS) as error:
        raise Unavailable from error
