"""What is in force, and why."""

from dataclasses import dataclass

from platform_config.load import Loaded
from platform_config.variables import masked, variables


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable as the process sees it. A secret `value` is masked, an unset one empty."""

    name: str
    value: str
    origin: str


def explain(loaded: Loaded) -> list[Setting]:
    """Return every setting, in the order of `.env.example`."""
    return [
        Setting(name, masked(variable.value(loaded.settings)), loaded.origins[name])
        for name, variable in variables().items()
    ]
