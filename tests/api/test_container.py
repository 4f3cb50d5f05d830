from pydantic import SecretStr

from platform_api.container import Container
from platform_config import DatabaseSettings, Settings


def test_everything_can_be_built_without_any_io() -> None:
    nowhere = DatabaseSettings(url=SecretStr("postgresql://127.0.0.1:1/nothing"))
    container = Container(settings=Settings(database=nowhere))

    container.check_dependencies()
    built = {name: provider() for name, provider in container.providers.items()}

    assert built["server"] is container.server()
    assert len(built["features"]) == len(container.features())
