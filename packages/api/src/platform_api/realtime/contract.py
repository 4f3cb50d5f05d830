"""All that may be said over a WebSocket, put together from what the features declare."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Discriminator, ValidationError, create_model

from platform_api.declaration import DeclarationInvalid
from platform_api.errors import ValidationFailed
from platform_api.json_reader import JsonReader
from platform_api.realtime.encoder import event_model
from platform_api.realtime.message import Message, type_names
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
from platform_api.realtime.topic import Topics
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

    def __init__(self, topics: Topics, messages: Sequence[Message]) -> None:
        """Raises `DeclarationInvalid` when two handlers take the same type of message."""
        self.topics = topics
        self.messages = {message.model: message for message in messages}
        replies = {
            m.reply: m.place for m in messages if m.reply not in (None, *OWN_SERVER_MESSAGES)
        }
        _require_distinct(OWN_CLIENT_MESSAGES, [(m.model, m.place) for m in messages])
        _require_distinct([*OWN_SERVER_MESSAGES, EventMessage], replies.items())
        events = [event_model(event) for event in topics.events]
        self.client_message = _union([*OWN_CLIENT_MESSAGES, *self.messages])
        self.server_message = _union([*OWN_SERVER_MESSAGES, *replies, *_event_message(events)])
        self._client: JsonReader[ClientMessage] = JsonReader(self.client_message, "message")

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
            return self._client.read(text)
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


def _require_distinct(
    own: Sequence[type[BaseModel]], declared: Iterable[tuple[type[BaseModel], str]]
) -> None:
    """Raises `DeclarationInvalid` when two models have the same `type`, and names both places."""
    places = {name: "the platform" for model in own for name in type_names(model)}
    for model, place in declared:
        for name in type_names(model):
            if name in places:
                raise DeclarationInvalid(
                    f"message type {name!r} is declared twice: {places[name]}; {place}"
                )
            places[name] = place


def _event_message(events: Sequence[type[BaseModel]]) -> list[type[BaseModel]]:
    if not events:
        return []
    return [create_model("EventMessage", __base__=EventMessage, data=(_union(events), ...))]


def _union(models: Sequence[type[BaseModel]]) -> Any:
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, models), Discriminator("type")]
