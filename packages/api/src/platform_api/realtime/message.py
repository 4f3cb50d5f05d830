"""What a feature declares of the messages it takes from clients."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from platform_api.declaration import DeclarationInvalid, is_class, place_of, types_of
from platform_api.realtime.messages import ClientMessage, Reply
from platform_domain.identity import Identity

Handler = Callable[..., Awaitable[Any]]

PARAMETERS = {"message": ClientMessage, "caller": Identity}


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its handler: a bound `async def` method with the keyword-only parameters
    `message` and, optionally, `caller`, that returns a `Reply` or None.

    Raises `DeclarationInvalid` for any other handler.
    """

    handler: Handler
    model: type[ClientMessage] = field(init=False)
    """The type of `message`."""
    reply: type[Reply] | None = field(init=False)
    wants_caller: bool = field(init=False)

    def __post_init__(self) -> None:
        where = f"message ({self.place})"
        types = types_of(self.handler, where, PARAMETERS)
        if "message" not in types:
            raise DeclarationInvalid(f"{where}: the handler has no parameter 'message'")
        reply = None if types["return"] is type(None) else types["return"]
        if not (reply is None or is_class(reply, Reply)):
            raise DeclarationInvalid(f"{where}: the handler must return a Reply or None")
        for model in (types["message"], *([reply] if reply else [])):
            if not has_type(model):
                raise DeclarationInvalid(
                    f'{where}: {model.__name__} needs a field `type: Literal["..."]`'
                )
        object.__setattr__(self, "model", types["message"])
        object.__setattr__(self, "reply", reply)
        object.__setattr__(self, "wants_caller", "caller" in types)

    @property
    def place(self) -> str:
        return place_of(self.handler)


def has_type(model: type[BaseModel]) -> bool:
    return "type" in model.model_fields and bool(type_names(model))


def type_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the values of the `Literal` by which messages are discriminated."""
    annotation = model.model_fields["type"].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()
