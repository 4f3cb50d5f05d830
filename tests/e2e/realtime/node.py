"""The real server with everything it has, and one feature that has presence.

`python -m tests.e2e.realtime.node '{"database_url": …, "valkey_url": …}'`; without a `valkey_url`
nodes meet in PostgreSQL.
"""

import json
import sys
from collections.abc import Sequence

from dependency_injector.providers import List, Singleton
from pydantic import SecretStr

from platform_api.container import Container
from platform_api.feature import Feature
from platform_api.realtime.topic import Parameters, Topic
from platform_config import (
    DatabaseSettings,
    EventsEngine,
    EventsSettings,
    ServerSettings,
    Settings,
)
from platform_domain.identity import Identity
from platform_infrastructure.logging import configure


class Meeting(Feature):
    def topics(self) -> Sequence[Topic]:
        return [Topic("room:{name}", (), self.may_enter, presence=True)]

    async def may_enter(self, caller: Identity, parameters: Parameters) -> None: ...


def main(database_url: str, valkey_url: str | None) -> None:
    configure("INFO", "pretty")
    events = EventsSettings(events_engine=EventsEngine.POSTGRES)
    if valkey_url is not None:
        events = EventsSettings(events_engine=EventsEngine.VALKEY, valkey_url=SecretStr(valkey_url))
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        events=events,
        server=ServerSettings(port=0, admin_port=0),
    )
    container = Container(settings=settings, features=List(Singleton(Meeting)))
    sys.exit(container.server().run())


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
