"""What WebSockets may be like, and how many there may be."""

from collections.abc import Iterator

from pydantic import Field

from platform_config.problems import Violation
from platform_config.section import Count, Seconds, Section, Timeout


class SocketsSettings(Section):
    """What WebSockets may be like, and how many there may be in each process."""

    prefix = "SOCKETS_"

    max: Count = Field(10_000, description="Maximum number of WebSockets.")
    max_per_user: Count = Field(50, description="Maximum number of WebSockets of one user.")
    max_topics: Count = Field(200, description="Topics that one WebSocket may subscribe to.")
    messages_per_second: Count = Field(
        50,
        description="Messages per second that one WebSocket may send; twice as many in a burst."
        " Pings and pongs count too. A message may have 16 fragments; a large one may"
        " occasionally have more.",
    )
    max_message_bytes: int = Field(
        65_536, ge=1024, le=16_777_216, description="Largest message of a client in bytes."
    )
    ping_interval: Timeout = Field(20, description="Seconds between two pings to a client.")
    pong_timeout: Timeout = Field(
        40, description="Seconds without any byte from a client after which it counts as gone."
    )
    drain_window: Seconds = Field(
        0, description="Seconds over which a stop spreads the closing of WebSockets."
    )

    def violations(self) -> Iterator[Violation]:
        # Else one that lives and has nothing to say is gone before it was asked.
        if self.pong_timeout <= self.ping_interval:
            yield Violation(
                names=("SOCKETS_PONG_TIMEOUT", "SOCKETS_PING_INTERVAL"),
                expected="more time for a sign of life than between two pings",
                fix="raise SOCKETS_PONG_TIMEOUT, best to twice SOCKETS_PING_INTERVAL",
            )
