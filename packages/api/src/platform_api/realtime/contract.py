"""All that may be said over a WebSocket, put together from what the features declare."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Discriminator, TypeAdapter, ValidationError, create_model

from platform_api.errors import ValidationFailed
from platform_api.operation import OperationInvalid
from platform_api.realtime.encoder import EventEncoder
from platform_api.realtime.message import Message
from platform_api.realtime.messages import (
    ClientMessage,
    Done,
    Dropped,
    ErrorMessage,
    EventMessage,
    Goodbye,
    Ping,
    Pong,
    PresenceChanged,
    PresenceSnapshot,
    Reset,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from platform_api.realtime.topic import Topic, Topics
from platform_api.schema import faults

OWN_CLIENT_MESSAGES = (Ping, Subscribe, Unsubscribe)
OWN_SERVER_MESSAGES = (
    Welcome,
    Pong,
    Subscribed,
    Unsubscribed,
    Reset,
    Dropped,
    PresenceSnapshot,
    PresenceChanged,
    Done,
    ErrorMessage,
    Goodbye,
)


class Contract:
    """What clients may send, what the server sends, and who handles what."""

    def __init__(
        self, topics: Sequence[Topic], messages: Sequence[Message], encoder: EventEncoder
    ) -> None:
        """Raises `OperationInvalid` when two handlers take messages of one type."""
        encoder.declare(event for topic in topics for event in topic.events)
        self.topics = Topics(topics)
        self.messages = _by_model(messages)
        replies = {m.reply: None for m in self.messages.values() if m.reply is not None}
        self.client_message = _union([*OWN_CLIENT_MESSAGES, *self.messages])
        self.server_message = _union(
            [*OWN_SERVER_MESSAGES, *replies, *_event_message(encoder.models)]
        )
        self._client: TypeAdapter[ClientMessage] = TypeAdapter(self.client_message)

    def parse(self, text: str | bytes) -> ClientMessage:
        """Return the message in `text`. Raises `ValidationFailed`."""
        if isinstance(text, bytes):
            fault = {
                "path": "/message",
                "message": "Send JSON as text, not bytes",
                "code": "text_expected",
            }
            raise ValidationFailed(errors=[fault])
        try:
            return self._client.validate_json(text)
        except ValidationError as error:
            raise ValidationFailed(errors=faults(error, "message", below=1)) from None


def message_id(text: str | bytes) -> str | None:
    """Return the `id` in a message that could not be parsed, for the error to repeat it."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    id = message.get("id") if isinstance(message, dict) else None
    return id if isinstance(id, str) and len(id) <= 64 else None


def _by_model(messages: Sequence[Message]) -> dict[type[ClientMessage], Message]:
    found: dict[type[ClientMessage], Message] = {}
    for message in messages:
        if message.model in found:
            raise OperationInvalid(f"{message.model.__name__} is handled twice")
        _ = message.wants_caller
        found[message.model] = message
    return found


def _event_message(events: Sequence[type[BaseModel]]) -> list[type[BaseModel]]:
    if not events:
        return []
    return [create_model("EventMessage", __base__=EventMessage, data=(_union(events), ...))]


def _union(models: Sequence[type[BaseModel]]) -> Any:
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, models), Discriminator("type")]
