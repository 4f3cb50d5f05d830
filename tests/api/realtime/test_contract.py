import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from platform_api.declaration import DeclarationInvalid
from platform_api.errors import ValidationFailed
from platform_api.realtime.contract import Contract, message_id
from platform_api.realtime.encoder import encoded, event_message
from platform_api.realtime.message import Message
from platform_api.realtime.messages import ClientMessage, Reply, Subscribe
from platform_api.realtime.topic import Topics, own_topic
from platform_domain.event_bus import Delivery, Position
from platform_domain.events import Event, TopicName
from platform_domain.identity import Identity, UserId
from tests.api.shapes import assert_names_the_place


@dataclass(frozen=True, slots=True)
class Moved(Event):
    type = "moved"
    id: UUID
    by: int


@dataclass(frozen=True, slots=True)
class Gone(Event):
    type = "gone"
    id: UUID


class Move(ClientMessage):
    type: Literal["move"]
    by: int


class Brood(ClientMessage):
    type: Literal["brood"]


class MoveDone(Reply):
    type: Literal["move_done"] = "move_done"
    by: int


async def move(*, message: Move, caller: Identity) -> MoveDone:
    return MoveDone(by=message.by)


def contract() -> Contract:
    return Contract(Topics([own_topic(Moved, Gone)]), [Message(move)])


def test_a_message_is_what_its_type_says() -> None:
    assert contract().parse('{"type":"move","by":3}') == Move(type="move", by=3)
    assert contract().parse('{"type":"subscribe","topic":"a","id":"1"}') == Subscribe(
        type="subscribe", topic="a", id="1"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"type":"hunter2"}',
        '{"type":"move","by":"3"}',
        '{"type":"move"}',
        '{"type":"move","by":3,"more":1}',
        '{"type":"subscribe","topic":""}',
        '{"type":"ping","id":7}',
        '{"type":"ping","id":"' + "x" * 65 + '"}',
        "[" * 1000,
        b'{"type":"ping"}',
    ],
)
def test_what_is_no_message_is_refused_without_repeating_it(text: str | bytes) -> None:
    with pytest.raises(ValidationFailed) as caught:
        contract().parse(text)

    errors: Any = caught.value.details["errors"]
    assert all(set(error) == {"path", "message", "code"} for error in errors)
    assert "hunter2" not in str(errors)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"type":"move","by":"3"}', "/message/by"),
        ('{"type":"subscribe","topic":"t","since":{}}', "/message/since/epoch"),
        ("nonsense", "/message"),
        (b"{}", "/message"),
    ],
)
def test_a_fault_is_pointed_at_where_the_client_wrote_it(text: str | bytes, path: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        contract().parse(text)

    errors: Any = caught.value.details["errors"]
    assert errors[0]["path"] == path


@pytest.mark.parametrize(
    ("text", "id"),
    [('{"id":"7"}', "7"), ('{"id":7}', None), ("[]", None), ("x", None), (b"\xff", None)],
)
def test_the_id_of_a_wrong_message_is_found_where_there_is_one(
    text: str | bytes, id: str | None
) -> None:
    assert message_id(text) == id


def test_an_event_with_a_float_that_json_cannot_write_is_not_published() -> None:
    @dataclass(frozen=True, slots=True)
    class Scaled(Event):
        type = "scaled"
        factor: float

    assert json.loads(encoded(Scaled(0.5)))["factor"] == 0.5
    with pytest.raises(ValueError, match="finite"):
        encoded(Scaled(float("inf")))


def test_an_event_is_written_as_the_published_union_reads_it() -> None:
    declared = contract()
    data = encoded(Moved(UUID(int=7), 3))
    text = event_message(Delivery(TopicName("user:alice"), Position("e", 1), data)).json

    message = TypeAdapter(declared.server_message).validate_json(text)

    assert json.loads(text)["data"] == {"type": "moved", "id": str(UUID(int=7)), "by": 3}
    assert message.data.by == 3
    with pytest.raises(ValueError, match="type"):
        TypeAdapter(declared.server_message).validate_json(text.replace('"moved"', '"other"'))


async def untyped(*, message) -> None: ...  # type: ignore[no-untyped-def]


async def no_message(*, caller: Identity) -> None: ...


async def odd_message(*, message: int) -> None: ...


async def odd_parameter(*, message: Move, request: int) -> None: ...


async def positional(message: Move) -> None: ...


async def optional(*, message: Move, caller: Identity = Identity(UserId("a"))) -> None: ...  # noqa: B008


async def odd_caller(*, message: Move, caller: str) -> None: ...


async def odd_reply(*, message: Move) -> int:
    return 1


async def silent(*, message: Move):  # type: ignore[no-untyped-def]
    ...


def sync(*, message: Move) -> None: ...


class Untold(ClientMessage):
    by: int


async def without_type(*, message: Untold) -> None: ...


class Nameless(Reply):
    by: int


async def nameless_reply(*, message: Move) -> Nameless:
    return Nameless(by=1)


BAD: list[tuple[Any, str]] = [
    (untyped, "'message' has no type"),
    (no_message, "no parameter 'message'"),
    (odd_message, "'message' must be of type ClientMessage"),
    (odd_parameter, "'request' must be one of"),
    (positional, "keyword-only"),
    (optional, "'caller' must have no default"),
    (odd_caller, "'caller' must be of type Identity"),
    (odd_reply, "must return a Reply or None"),
    (silent, "must say what it returns"),
    (sync, "must be `async def`"),
    (without_type, "Untold needs a field `type"),
    (nameless_reply, "Nameless needs a field `type"),
]


@pytest.mark.parametrize(("handler", "complaint"), BAD)
def test_a_handler_that_cannot_be_served_fails_at_start_up(handler: Any, complaint: str) -> None:
    with pytest.raises(DeclarationInvalid) as caught:
        Message(handler)

    assert complaint in str(caught.value)
    assert_names_the_place(caught.value, handler)


class Step(ClientMessage):
    type: Literal["move"]


class Beat(ClientMessage):
    type: Literal["ping"]


class StepDone(Reply):
    type: Literal["move_done"] = "move_done"


async def step(*, message: Step) -> None: ...


async def beat(*, message: Beat) -> None: ...


async def brood(*, message: Brood) -> StepDone:
    return StepDone()


@pytest.mark.parametrize(
    ("handlers", "complaint"),
    [
        ([move, move], "'move' is declared twice"),
        ([move, step], "'move' is declared twice"),
        ([beat], "'ping' is declared twice: the platform"),
        ([move, brood], "'move_done' is declared twice"),
    ],
)
def test_two_messages_of_one_type_fail_at_start_up(handlers: list[Any], complaint: str) -> None:
    with pytest.raises(DeclarationInvalid) as caught:
        Contract(Topics([]), [Message(handler) for handler in handlers])

    assert complaint in str(caught.value)
    assert_names_the_place(caught.value, *handlers)
