"""A deadline that libpq cannot outlast."""

import asyncio
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

T = TypeVar("T")


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection is broken."""


async def bounded(connection: AsyncConnection[Any], work: Awaitable[T], seconds: float) -> T:
    """Await `work` on `connection`; after `seconds` break the connection and raise `NoAnswer`.

    `asyncio.timeout` is no bound here: on a silent server psycopg first asks it to cancel and
    then waits again, ten seconds in all (psycopg/psycopg#1371).
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, break_off, connection)
    try:
        return await work
    except psycopg.OperationalError:
        if loop.time() < timer.when():
            raise
        raise NoAnswer(f"no answer within {seconds:.2g} s") from None
    finally:
        timer.cancel()


def break_off(connection: AsyncConnection[Any]) -> None:
    """End the connection under whoever waits on it; they get an `OperationalError` at once."""
    if connection.closed:
        return
    with suppress(OSError):
        borrowed = socket.socket(fileno=connection.pgconn.socket)
        try:
            borrowed.shutdown(socket.SHUT_RDWR)
        finally:
            borrowed.detach()
