"""A deadline that libpq cannot outlast."""

import asyncio
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection

T = TypeVar("T")


async def bounded(connection: AsyncConnection[Any], work: Awaitable[T], seconds: float) -> T:
    """Await `work` on `connection`; after `seconds` break the connection, so that `work` raises.

    `asyncio.timeout` is no bound here: on a silent server psycopg first asks it to cancel and
    then waits again, ten seconds in all (psycopg/psycopg#1371).
    """
    timer = asyncio.get_running_loop().call_later(seconds, _break, connection)
    try:
        return await work
    finally:
        timer.cancel()


def _break(connection: AsyncConnection[Any]) -> None:
    if connection.closed:
        return
    with suppress(OSError):
        borrowed = socket.socket(fileno=connection.pgconn.socket)
        try:
            borrowed.shutdown(socket.SHUT_RDWR)
        finally:
            borrowed.detach()
