"""The container for commands that only read what the code declares."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from platform_config import DatabaseSettings, Settings

if TYPE_CHECKING:
    from platform_api.container import Container


def unconnected_container() -> "Container":
    """Return a container that needs no settings and whose database is nowhere."""
    from platform_api.container import Container  # Takes a second, and most commands need none.

    nowhere = DatabaseSettings(url=SecretStr("postgresql://localhost/nothing"))
    return Container(settings=Settings(database=nowhere))
