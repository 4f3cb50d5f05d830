"""`/api/v1/ws`: who may connect, and what happens to their messages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from loguru import logger
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from platform_api.cancellation import is_cancelled
from platform_api.errors import (
    MethodNotAllowed,
    UpgradeRequired,
    ValidationFailed,
    meaning_of,
)
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.contract import Contract, message_id
from platform_api.realtime.encoder import event_message
from platform_api.realtime.messages import (
    ClientMessage,
    ErrorMessage,
    Ping,
    Pong,
    PositionView,
    Reply,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from platform_api.realtime.presence import Rooms
from platform_api.realtime.replies import Replies
from platform_api.realtime.session import GOODBYE_SECONDS, Incoming, Session, WriteFrame
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.subscriptions import Subscriptions
from platform_domain.errors import DomainError, Forbidden, TooManyRequests
from platform_domain.event_bus import Position
from platform_domain.identity import Authenticator, Credentials, Identity

USUAL_PORTS = {"http": ":80", "https": ":443"}


class OriginForbidden(Forbidden):
    code = "origin_forbidden"
    message = (
        "Pages of this origin may not connect. An admin can add the origin to CORS_ORIGINS; for a"
        " page of the API's own address, the proxy must pass on the Host header."
    )


class TooManyMessages(TooManyRequests):
    code = "too_many_messages"
    message = "Messages come faster than they can be handled; this one was left out."


class Realtime:
    """Accepts WebSockets. A plain GET gets the same answer as an upgrade from the same page,
    because a page cannot see why its handshake was refused."""

    def __init__(
        self,
        contract: Contract,
        sockets: Sockets,
        subscriptions: Subscriptions,
        rooms: Rooms,
        authenticator: Authenticator,
        origins: Sequence[str],
    ) -> None:
        self._contract = contract
        self._sockets = sockets
        self._subscriptions = subscriptions
        self._rooms = rooms
        self._authenticator = authenticator
        self._origins = origins
        self._replies = Replies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET", "HEAD"])
        identity = await self._admit(scope)
        self._sockets.check_room(identity.user)
        raise UpgradeRequired

    async def _admit(self, scope: Scope) -> Identity:
        """Return who connects. Raises `OriginForbidden` and what the authenticator raises."""
        headers = Headers(scope=scope)
        origin = _origin(headers, is_upgrade=scope["type"] == "websocket")
        if origin is not None and not self._may_connect(origin, headers.get("host", "")):
            raise OriginForbidden
        query = QueryParams(scope["query_string"])
        identity = await self._authenticator.authenticate(Credentials(headers, query))
        scope["user"] = identity.user
        return identity

    def _may_connect(self, origin: str, host: str) -> bool:
        """CORS does not cover WebSockets: a foreign page could connect with the cookies of our user
        (RFC 6455, 10.2). `http` and `https` are both our own, since TLS ends at the proxy."""
        if "*" in self._origins:
            return True
        scheme, _, authority = origin.lower().partition("://")
        port = USUAL_PORTS.get(scheme, "")
        authority = authority.removesuffix(port)
        if f"{scheme}://{authority}" in self._origins:
            return True
        is_page = scheme in USUAL_PORTS and authority != ""
        return is_page and authority == host.lower().removesuffix(port)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = await self._admit(scope)
        session = self._sockets.join(identity, receive, send)
        try:
            with logger.contextualize(session=session.id):
                await self._serve(session, send, scope["request_id"], _direct(scope))
        finally:
            scope["close_code"] = session.close_code
            self._rooms.leave(session.topics)
            await self._subscriptions.leave(session)

    async def _serve(
        self, session: Session, send: Send, request_id: str, direct: WriteFrame | None
    ) -> None:
        await session.accept(direct)
        logger.info("A socket of {} opened.", session.identity.user)
        session.tell(Welcome(session=session.id, user=session.identity.user))
        try:
            await session.run(partial(self._answer, request_id=request_id), _refuse)
        except BaseException as error:
            if is_cancelled(error):
                raise
            meaning_of(error, request_id)
            session.close_code = CloseCode.INTERNAL_ERROR
            with suppress(TimeoutError):  # A peer that reads nothing would keep the socket.
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await send({"type": "websocket.close", "code": CloseCode.INTERNAL_ERROR})

    async def _answer(self, session: Session, incoming: Incoming, *, request_id: str) -> None:
        id = None
        try:
            message = self._contract.parse(incoming)
            id = message.id
            reply = await self._dispatch(session, message)
        except BaseException as error:
            if is_cancelled(error):
                raise
            if isinstance(error, ValidationFailed):
                id = message_id(incoming)
            reply = _error_message(meaning_of(error, request_id))
        if reply is not None:
            session.tell(reply.model_copy(update={"id": id}))

    async def _dispatch(self, session: Session, message: ClientMessage) -> Reply | None:
        match message:
            case Ping():
                return Pong()
            case Subscribe():
                await self._subscribe(session, message)
                return None
            case Unsubscribe():
                self._rooms.leave([message.topic])
                await self._subscriptions.unsubscribe(session, message.topic)
                return Unsubscribed(topic=message.topic)
            case _:
                return await self._call_feature(session, message)

    async def _subscribe(self, session: Session, message: Subscribe) -> None:
        topics, topic = self._contract.topics, message.topic
        await topics.authorise(topic, session.identity)
        since = Position(message.since.epoch, message.since.offset) if message.since else None
        joined = await self._subscriptions.subscribe(session, topic, topics.slow(topic), since)
        # No await from here on: a live event must not come before what was missed.
        session.tell(
            Subscribed(
                id=message.id,
                topic=topic,
                position=PositionView.of(joined.position),
                recovered=joined.recovered,
            )
        )
        for delivery in joined.missed:
            session.tell_text(event_message(delivery))
        if topics.has_presence(topic):
            self._rooms.enter(session, topic)

    async def _call_feature(self, session: Session, message: ClientMessage) -> Reply | None:
        declared = self._contract.messages[type(message)]
        caller = {"caller": session.identity} if declared.wants_caller else {}
        handle: Callable[[], Awaitable[Reply | None]] = partial(
            declared.handler, message=message, **caller
        )
        if message.id is None:
            return await handle()
        return await self._replies.once(session.identity.user, message, handle)


def _origin(headers: Headers, *, is_upgrade: bool) -> str | None:
    """Return the origin of the requesting page, or None if the client is not a browser.

    Browsers always send Origin with an upgrade, but not with a GET to the page's own origin (Fetch
    standard, "append a request `Origin` header"). For such a GET, the Referer gives the page.
    """
    referer = None if is_upgrade else headers.get("referer")
    page = None if referer is None else "/".join(referer.split("/", 3)[:3])
    return headers.get("origin", page)


def _direct(scope: Scope) -> WriteFrame | None:
    extension: dict[str, WriteFrame] = scope.get("extensions", {}).get("platform.direct_frames", {})
    return extension.get("write")


def _refuse(session: Session, incoming: Incoming) -> None:
    session.tell(_error_message(TooManyMessages(), message_id(incoming)))


def _error_message(error: DomainError, id: str | None = None) -> ErrorMessage:
    details = error.details or None
    return ErrorMessage(id=id, error=error.text, code=error.code, details=details)
