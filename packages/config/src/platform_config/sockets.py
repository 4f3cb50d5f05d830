"""How many WebSockets there may be."""

from pydantic import Field, PositiveInt

from platform_config.section import Seconds, Section


class SocketsSettings(Section):
    """How many WebSockets there may be, in each process."""

    prefix = "SOCKETS_"

    max: PositiveInt = Field(10_000, description="WebSockets at most.")
    max_per_user: PositiveInt = Field(50, description="WebSockets of one user at most.")
    messages_per_second: PositiveInt = Field(
        50, description="Messages a second that one WebSocket may send; twice as many in a burst."
    )
    drain_window: Seconds = Field(
        0, description="Seconds over which a stop spreads the closing of WebSockets."
    )
