"""Presence in Valkey, whose client is an extra: not loaded unless events go through it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_infrastructure.events.valkey import ValkeyEventBus
    from platform_infrastructure.presence.valkey import ValkeyPresence


def valkey_presence(bus: "ValkeyEventBus") -> "ValkeyPresence":
    """Return presence on the server that `bus` uses, over the same connections."""
    from platform_infrastructure.presence.valkey import ValkeyPresence

    return ValkeyPresence(bus.client)
