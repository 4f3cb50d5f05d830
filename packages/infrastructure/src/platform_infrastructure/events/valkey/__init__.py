"""Events through Valkey. The client is an extra, and it is imported only if it is used."""

from typing import TYPE_CHECKING

from platform_config import EventsSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.database import Database

if TYPE_CHECKING:
    from platform_infrastructure.events.valkey.bus import ValkeyEventBus


def valkey_event_bus(settings: EventsSettings, database: Database) -> "ValkeyEventBus":
    """Raises `StartupError` where the extra `valkey` is not installed."""
    if settings.valkey_url is None:
        raise ValueError("VALKEY_URL is not set")
    try:
        from platform_infrastructure.events.valkey.bus import ValkeyEventBus
    except ModuleNotFoundError as error:
        raise StartupError(
            "Valkey was chosen for events, but its client is not installed: run"
            " `uv sync --extra valkey`, or choose another EVENTS_ENGINE."
        ) from error
    return ValkeyEventBus(settings.valkey_url.get_secret_value(), database)
