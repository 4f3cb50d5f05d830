"""Why a socket was closed, in numbers (RFC 6455, 7.4), and what a client does about it.

1000-1015 are the protocol's, 4000-4999 are ours.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    NORMAL = 1000
    INTERNAL_ERROR = 1011
    """A bug of ours. Reconnect with a growing pause."""
    SERVICE_RESTART = 1012
    """The server restarts. Reconnect after `reconnect_after_ms` of the `goodbye`."""
    HEARTBEAT_LOST = 4408
    """Nothing was heard of the peer for too long. Reconnect now and resume."""
    SLOW_CONSUMER = 4413
    """What was to be told did not fit: it was read too slowly. Reconnect now and resume."""
    TOO_MANY_MESSAGES = 4429
    """Messages came faster than allowed. Reconnect with a growing pause."""
