"""Idempotency keys and their answers, kept in PostgreSQL."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Annotated

import psycopg
from loguru import logger

from platform_domain.errors import Unavailable
from platform_domain.idempotency import (
    KEPT_FOR,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdempotencyKeys,
    KeptAnswer,
    KeyedRequest,
)
from platform_infrastructure.postgres.database import Database
from platform_queries import Exec, Maybe, NotNull, One

BATCH = 1000
"""How many keys one statement forgets, so that it ends well within its timeout."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    fingerprint: bytes
    status: int
    media_type: str | None
    body: bytes


class TryToLock(One[Annotated[bool, NotNull]]):
    # The lock ends with the transaction, so it is safe behind a pooler. An INSERT under a unique
    # index would be one statement less, but it waits for whoever inserted first.
    sql = "SELECT pg_try_advisory_xact_lock(%(number)s::bigint)"
    number: int


class FindAnswer(Maybe[KeptRow]):
    sql = """
        SELECT fingerprint, status, media_type, body FROM idempotency_keys
        WHERE caller = %(caller)s AND operation = %(operation)s AND key = %(key)s
          AND expires_at > now()
    """
    caller: str
    operation: str
    key: str


class KeepAnswer(Exec):
    # What stands under a key that was claimed and had no answer has expired.
    sql = """
        INSERT INTO idempotency_keys
            (caller, operation, key, fingerprint, status, media_type, body, expires_at)
        VALUES
            (%(caller)s, %(operation)s, %(key)s, %(fingerprint)s, %(status)s, %(media_type)s,
             %(body)s, now() + %(kept_for)s)
        ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET
            fingerprint = excluded.fingerprint, status = excluded.status,
            media_type = excluded.media_type, body = excluded.body,
            expires_at = excluded.expires_at
    """
    caller: str
    operation: str
    key: str
    fingerprint: bytes
    status: int
    media_type: str | None
    body: bytes
    kept_for: timedelta


class ForgetExpired(Exec):
    # Every server does this; none waits for the rows that another is at.
    sql = """
        DELETE FROM idempotency_keys WHERE (caller, operation, key) IN (
            SELECT caller, operation, key FROM idempotency_keys WHERE expires_at <= now()
            LIMIT %(batch)s FOR UPDATE SKIP LOCKED
        )
    """
    batch: int


class PostgresIdempotencyKeys(IdempotencyKeys):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        # Two statements: the second must see what the last holder of the lock has committed.
        if not await self._database.run(TryToLock(number=_lock_number(request))):
            raise IdempotencyKeyInUse
        found = await self._database.run(
            FindAnswer(caller=request.caller, operation=request.operation, key=request.key)
        )
        if found is None:
            return None
        if found.fingerprint != request.fingerprint:
            raise IdempotencyKeyReused
        return KeptAnswer(found.status, found.media_type, found.body)

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        await self._database.run(
            KeepAnswer(
                caller=request.caller,
                operation=request.operation,
                key=request.key,
                fingerprint=request.fingerprint,
                status=answer.status,
                media_type=answer.media_type,
                body=answer.body,
                kept_for=KEPT_FOR,
            )
        )

    async def forget_expired(self, stopping: asyncio.Event) -> None:
        """Delete all keys that have expired; to be run now and then."""
        try:
            while await self._database.run(ForgetExpired(batch=BATCH)) == BATCH:
                if stopping.is_set():
                    return
        except (Unavailable, psycopg.errors.UndefinedTable) as error:
            # No crash: the health check tells of an outage and of a schema that is behind.
            logger.warning("Expired idempotency keys stay until the next round: {}", error)


def _lock_number(request: KeyedRequest) -> int:
    """Return the number of the key's advisory lock: the same in every server and version.

    Two keys that share one of 2**64 numbers would only see each other as in use.
    """
    identity = f"{request.caller}\0{request.operation}\0{request.key}"
    digest = blake2b(identity.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
