"""How much one peer may ask of the server, and how Hypercorn's classes get to know it."""

from dataclasses import dataclass, field
from socket import socket

from hypercorn.config import Config, Sockets

from platform_api.server.hardening.connections import Connections


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, sizes in bytes.

    `head_*` is the request line with the headers; its time begins with the connection or with the
    first byte after another request. `send_timeout` ends a connection whose peer takes no byte for
    so long. A WebSocket gets a ping every `ping_interval` and is dead after `pong_timeout` without
    any byte from it.
    """

    head_timeout: float = 10.0
    head_bytes: int = 16 * 1024
    head_fields: int = 100
    keep_alive_timeout: float = 5.0
    send_timeout: float = 10.0
    message_bytes: int = 64 * 1024
    ping_interval: float = 20.0
    pong_timeout: float = 40.0


@dataclass(eq=False)
class HardenedConfig(Config):
    """Hypercorn hands its config to every object it makes, so this is how ours learn the limits."""

    limits: Limits = field(default_factory=Limits)
    connections: Connections = field(default_factory=Connections)
    listening: list[socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.h11_max_incomplete_size = self.limits.head_bytes
        self.keep_alive_timeout = self.limits.keep_alive_timeout
        self.websocket_max_message_size = self.limits.message_bytes
        self.websocket_ping_interval = self.limits.ping_interval

    def create_sockets(self) -> Sockets:
        sockets = super().create_sockets()
        self.listening = sockets.insecure_sockets
        return sockets
