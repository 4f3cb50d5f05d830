"""Who is present on which topic, kept where all nodes of an engine can see it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_infrastructure.events.valkey.bus import ValkeyEventBus
    from platform_infrastructure.presence.valkey import ValkeyPresence


def valkey_presence(bus: "ValkeyEventBus") -> "ValkeyPresence":
    """Return presence on the server of `bus`, over the same connections.

    The client is an extra, and it is imported only if it is used.
    """
    from platform_infrastructure.presence.valkey import ValkeyPresence

    return ValkeyPresence(bus.client)
