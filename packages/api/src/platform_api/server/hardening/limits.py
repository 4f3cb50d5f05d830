"""How much one peer may ask of the server, and how Hypercorn's classes get to know it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from hypercorn.config import Config

from platform_api.server.hardening.connections import Connections
from platform_config import HttpSettings, SocketsSettings


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, sizes in bytes.

    `head_*` is the request line with the headers; its time begins with the connection or with the
    first byte after another request. `send_timeout` ends a connection whose peer takes no byte in
    that time. A WebSocket gets a ping every `ping_interval` and is dead after `pong_timeout` without
    any byte from it. `FrameRate` derives the limit of frames from `messages_per_second`.
    """

    head_timeout: float
    head_bytes: int
    head_fields: int
    keep_alive_timeout: float
    send_timeout: float
    message_bytes: int
    messages_per_second: float
    ping_interval: float
    pong_timeout: float

    @classmethod
    def of(cls, http: HttpSettings, sockets: SocketsSettings) -> Self:
        """Take the limits out of the settings, which know what is sensible."""
        return cls(
            head_timeout=http.head_timeout,
            head_bytes=http.max_head_bytes,
            head_fields=http.max_head_fields,
            keep_alive_timeout=http.keep_alive_timeout,
            send_timeout=http.send_timeout,
            message_bytes=sockets.max_message_bytes,
            messages_per_second=sockets.messages_per_second,
            ping_interval=sockets.ping_interval,
            pong_timeout=sockets.pong_timeout,
        )


Shed = Callable[[bytes], bytes | None]
"""Given what a client sent while nothing was read or answered, the answer to it, or None to let it
pass. An answer is to one whole request, and the connection stays as it is."""


def nothing_shed(_: bytes) -> None:
    """Let everything pass."""


@dataclass(eq=False)
class HardenedConfig(Config):
    """Hypercorn hands its config to every object it makes, so this is how ours learn the limits."""

    limits: Limits
    connections: Connections = field(default_factory=Connections)
    shed: Shed = nothing_shed

    def __post_init__(self) -> None:
        self.h11_max_incomplete_size = self.limits.head_bytes
        self.keep_alive_timeout = self.limits.keep_alive_timeout
        self.websocket_max_message_size = self.limits.message_bytes
        self.websocket_ping_interval = self.limits.ping_interval
