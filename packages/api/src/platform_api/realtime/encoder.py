"""Events as bytes: encoded once at publish, the same for every socket."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, create_model

from platform_api.realtime.outbox import Text
from platform_domain.event_bus import Delivery, EventBus
from platform_domain.events import Event, Events, TopicName


class EventUndeclared(TypeError):
    """A feature published an event that no `topics()` declares: the contract would not know it."""


class EventEncoder:
    """Knows the events that features declared, and how each is written."""

    def __init__(self) -> None:
        self._models: dict[type[Event], type[BaseModel]] = {}

    def declare(self, events: Iterable[type[Event]]) -> None:
        """Learn the types of events. Features are built before anybody can ask them for theirs."""
        for event in events:
            if event not in self._models:
                self._models[event] = event_model(event)

    @property
    def models(self) -> list[type[BaseModel]]:
        return list(self._models.values())

    def encode(self, event: Event) -> bytes:
        """Return the event's JSON. Raises `EventUndeclared`."""
        model = self._models.get(type(event))
        if model is None:
            raise EventUndeclared(f"Declare {type(event).__name__} in a feature's topics().")
        return model.model_validate(event).model_dump_json().encode()


def event_model(event: type[Event]) -> type[BaseModel]:
    """Return a model of the event's fields with its `type` in front."""
    types = get_type_hints(event)
    members: dict[str, Any] = {"type": (Literal[event.type], event.type)}
    members |= {
        field.name: (types[field.name], ...)
        for field in fields(event)  # type: ignore[arg-type]  # Events are dataclasses.
    }
    return create_model(
        event.__name__,
        __config__=ConfigDict(from_attributes=True),
        __doc__=event.__doc__ if event.__doc__ and "(" not in event.__doc__ else None,
        **members,
    )


class EncodedEvents(Events):
    """Publishes on an engine, which carries bytes."""

    def __init__(self, bus: EventBus, encoder: EventEncoder) -> None:
        self._bus = bus
        self._encoder = encoder

    async def publish(self, topic: TopicName, event: Event) -> None:
        await self._bus.publish(topic, self._encoder.encode(event))


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
