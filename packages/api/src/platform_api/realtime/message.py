"""What a feature declares of the messages it takes from clients."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from platform_api.operation import OperationInvalid
from platform_api.realtime.messages import ClientMessage, Reply
from platform_domain.identity import Identity

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Message:
    """A message and who handles it: a bound method with the keyword parameters `message` and, if
    it wants to know, `caller`, that returns a `Reply` or None."""

    handler: Handler

    @property
    def model(self) -> type[ClientMessage]:
        """The type of `message`. Raises `OperationInvalid` when the handler cannot be served."""
        model = get_type_hints(self.handler).get("message")
        if not (isinstance(model, type) and issubclass(model, ClientMessage)):
            raise OperationInvalid(f"{self._name}: 'message' must be a ClientMessage")
        return model

    @property
    def reply(self) -> type[Reply] | None:
        """The type of the answer. Raises `OperationInvalid` when it is no `Reply`."""
        reply = get_type_hints(self.handler).get("return", inspect.Parameter.empty)
        if reply is type(None):
            return None
        if not (isinstance(reply, type) and issubclass(reply, Reply)):
            raise OperationInvalid(f"{self._name}: the handler must return a Reply or None")
        return reply

    @property
    def wants_caller(self) -> bool:
        """Raises `OperationInvalid` for parameters that nobody would fill."""
        parameters = inspect.signature(self.handler).parameters
        if parameters.keys() - {"message", "caller"}:
            raise OperationInvalid(f"{self._name}: only 'message' and 'caller' can be given")
        if get_type_hints(self.handler).get("caller", Identity) is not Identity:
            raise OperationInvalid(f"{self._name}: 'caller' must be an Identity")
        return "caller" in parameters

    @property
    def _name(self) -> str:
        return self.handler.__qualname__
