"""What goes over a WebSocket: JSON objects told apart by `type`."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from platform_api.errors import ErrorBody
from platform_api.schema import Input, Output
from platform_domain.event_bus import Position

MessageId = Annotated[
    str | None, StringConstraints(max_length=64), Field(description="Repeated in the reply.")
]
Topic = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ClientMessage(Input):
    """Subclass it with a `type` of `Literal["…"]`."""

    id: MessageId = None


class Ping(ClientMessage):
    """Ask for a `pong`."""

    type: Literal["ping"]


class Since(Input):
    """The position of the last event that was heard."""

    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]


class Subscribe(ClientMessage):
    """Hear the events of a topic from now on, or what came after `since` first."""

    type: Literal["subscribe"]
    topic: Topic
    since: Since | None = None


class Unsubscribe(ClientMessage):
    """Hear no more of a topic."""

    type: Literal["unsubscribe"]
    topic: Topic


class ServerMessage(Output):
    """Subclass it with a `type` of `Literal["…"]` that has a default."""


class Reply(ServerMessage):
    """An answer to one message of the client, whose `id` it repeats."""

    id: str | None = None


class PositionView(Output):
    """A place in a topic: events of one `epoch` are numbered 1, 2, 3 … without a hole."""

    epoch: str
    offset: int

    @classmethod
    def of(cls, position: Position) -> "PositionView":
        return cls(epoch=position.epoch, offset=position.offset)


class Done(Reply):
    """A message was handled and has nothing more to say. Sent to who gave an `id`."""

    type: Literal["done"] = "done"


class Welcome(ServerMessage):
    """The first message on every socket."""

    type: Literal["welcome"] = "welcome"
    session: str
    user: str


class Pong(Reply):
    type: Literal["pong"] = "pong"


class Subscribed(Reply):
    """Events after `position` will come. Load what you show now, not before.

    After a `since`, `recovered` says whether all that was missed comes next, in order; if it is
    false, load again what you show.
    """

    type: Literal["subscribed"] = "subscribed"
    topic: str
    position: PositionView
    recovered: bool | None = None


class Unsubscribed(Reply):
    type: Literal["unsubscribed"] = "unsubscribed"
    topic: str


class EventMessage(ServerMessage):
    """Something happened. The contract narrows `data` to the events there are."""

    type: Literal["event"] = "event"
    topic: str
    position: PositionView
    data: dict[str, Any]


class Reset(ServerMessage):
    """Events of the topic were lost. Load again what you show; what comes after `position` will
    come."""

    type: Literal["reset"] = "reset"
    topic: str
    position: PositionView


class Dropped(ServerMessage):
    """Events of the topic were left out, because this socket reads too slowly for them."""

    type: Literal["dropped"] = "dropped"
    topic: str
    count: int


class PresenceSnapshot(ServerMessage):
    """Who is present on the topic, each user once. Replaces what you knew.

    `users` are in order, and at most the first 1,000; `count` is how many there are.
    """

    type: Literal["presence"] = "presence"
    topic: str
    users: list[str]
    count: int


class PresenceChanged(ServerMessage):
    """Who came and who went, compared with what this socket was told before."""

    type: Literal["presence_changed"] = "presence_changed"
    topic: str
    joined: list[str]
    left: list[str]
    count: int


class ErrorMessage(Reply, ErrorBody):
    """A message of the client could not be followed. The socket stays."""

    type: Literal["error"] = "error"


class Goodbye(ServerMessage):
    """The server is about to close this socket with 1012."""

    type: Literal["goodbye"] = "goodbye"
    reconnect_after_ms: int
