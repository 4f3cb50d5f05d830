"""The container for commands that only read what the code declares."""

from pydantic import SecretStr

from platform_api.container import Container
from platform_config import DatabaseSettings, Settings


def unconnected_container() -> Container:
    """Return a container that needs no settings and whose database is nowhere."""
    nowhere = DatabaseSettings(url=SecretStr("postgresql://localhost/nothing"))
    return Container(settings=Settings(database=nowhere))
