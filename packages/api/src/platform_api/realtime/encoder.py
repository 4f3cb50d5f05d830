"""Events as bytes: encoded once at publish, the same for every socket."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, Literal, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, create_model

from platform_api.realtime.outbox import Text
from platform_api.realtime.topic import Topics
from platform_domain.event_bus import Delivery, EventBus
from platform_domain.events import Event, Events, TopicName


def event_model(event: type[Event]) -> type[BaseModel]:
    """Return a model of the event's fields with its `type` in front."""
    known: Any = event  # mypy confuses the hash of the class with that of its instances.
    return _event_model(known)


@cache
def _event_model(event: Any) -> type[BaseModel]:
    types = get_type_hints(event)
    members: dict[str, Any] = {"type": (Literal[event.type], event.type)}
    members |= {field.name: (types[field.name], ...) for field in fields(event)}
    return create_model(
        event.__name__,
        __config__=ConfigDict(from_attributes=True, allow_inf_nan=False),
        __doc__=event.__doc__ if event.__doc__ and "(" not in event.__doc__ else None,
        **members,
    )


def encoded(event: Event) -> bytes:
    """Return the event's JSON."""
    return event_model(type(event)).model_validate(event).model_dump_json().encode()


class EncodedEvents(Events):
    """Encodes events as bytes and publishes them on an engine.

    `topics` is called at each publish, because the features that declare the topics are built
    later than this object.
    """

    def __init__(self, bus: EventBus, topics: Callable[[], Topics]) -> None:
        self._bus = bus
        self._topics = topics

    async def publish(self, topic: TopicName, event: Event) -> None:
        self._topics().require_declared(topic, type(event))
        await self._bus.publish(topic, encoded(event))


def event_message(delivery: Delivery) -> Text:
    """Return the text of an `EventMessage`, around bytes that are already JSON."""
    position = delivery.position
    message = {
        "type": "event",
        "topic": delivery.topic,
        "position": {"epoch": position.epoch, "offset": position.offset},
        "data": orjson.Fragment(delivery.data),
    }
    return Text(orjson.dumps(message), delivery.topic)
