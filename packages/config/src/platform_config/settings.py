"""All settings: a feature adds one line with its own section."""

from collections.abc import Iterator
from ipaddress import ip_address

from pydantic import BaseModel, Field

from platform_config.auth import AuthenticatorName, AuthSettings
from platform_config.cors import CorsSettings
from platform_config.database import DatabaseSettings
from platform_config.http import HttpSettings
from platform_config.log import LogSettings
from platform_config.problems import Violation
from platform_config.section import Environment, Section
from platform_config.server import ServerSettings
from platform_config.shutdown import ShutdownSettings


class Settings(BaseModel):
    """What the process runs with. `load` checks it as a whole; built by hand, only the fields."""

    model_config = Section.model_config

    environment: Environment = Field(
        Environment.DEVELOPMENT,
        description="development or production. Development serves this machine only.",
    )
    server: ServerSettings = ServerSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    http: HttpSettings = HttpSettings()
    cors: CorsSettings = CorsSettings()
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()

    @property
    def development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    def violations(self) -> Iterator[Violation]:
        """Yield what the values break together, within a section and across sections."""
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                yield from section.violations()
        of_environment = (
            self._development_violations if self.development else self._production_violations
        )
        yield from of_environment()

    def _development_violations(self) -> Iterator[Violation]:
        hosts = {"HOST": self.server.host, "ADMIN_HOST": self.server.admin_host}
        for name, host in hosts.items():
            if not is_loopback(host):
                yield Violation(
                    names=(name, "APP_ENV"),
                    expected="127.0.0.1, ::1 or localhost in development, which trusts everybody",
                    fix=f"set {name}=127.0.0.1, or APP_ENV=production to serve other machines",
                )

    def _production_violations(self) -> Iterator[Violation]:
        if self.auth.authenticator is AuthenticatorName.DEVELOPMENT:
            yield Violation(
                names=("AUTHENTICATOR", "APP_ENV"),
                expected="an authenticator other than development, which believes what it is told",
                fix="name another one, e.g. AUTHENTICATOR=anonymous",
            )


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
