import subprocess
import sys
from typing import cast

import pytest
from pydantic import SecretStr

from platform_config import EventsSettings
from platform_domain.startup import StartupError
from platform_infrastructure.events.valkey import valkey_event_bus
from platform_infrastructure.postgres.database import Database

NO_DATABASE = cast(Database, None)
SETTINGS = EventsSettings(valkey_url=SecretStr("valkey://localhost"))


def test_without_the_client_the_choice_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [
        name for name in sys.modules if name.startswith("platform_infrastructure.events.")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "valkey", None)

    with pytest.raises(StartupError, match="uv sync --extra valkey"):
        valkey_event_bus(SETTINGS, NO_DATABASE)


def test_with_the_client_nothing_is_connected_yet() -> None:
    bus = valkey_event_bus(SETTINGS, NO_DATABASE)

    assert [check.name for check in bus.checks] == ["events"]


@pytest.mark.parametrize("parameter", ["colour=hunter2", "socket_timeout=hunter2", "db=hunter2"])
def test_a_parameter_that_the_client_does_not_take_is_refused_at_once(parameter: str) -> None:
    settings = EventsSettings(valkey_url=SecretStr(f"valkey://localhost?{parameter}"))

    with pytest.raises(StartupError, match="VALKEY_URL") as caught:
        valkey_event_bus(settings, NO_DATABASE)

    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_the_client_is_not_loaded_unless_it_is_chosen() -> None:
    program = "import platform_api.container, sys; sys.exit('valkey' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
