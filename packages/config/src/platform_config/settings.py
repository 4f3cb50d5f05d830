"""All settings: a feature adds one line with its own section."""

from collections.abc import Iterator
from ipaddress import ip_address

from pydantic import BaseModel, Field

from platform_config.auth import AuthenticatorName, AuthSettings
from platform_config.cors import CorsSettings
from platform_config.database import DatabaseSettings
from platform_config.events import EventsEngine, EventsSettings
from platform_config.http import HttpSettings
from platform_config.log import LogSettings
from platform_config.problems import Violation
from platform_config.section import Environment, Section
from platform_config.server import ServerSettings
from platform_config.shutdown import ShutdownSettings
from platform_config.sockets import SocketsSettings


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
    sockets: SocketsSettings = SocketsSettings()
    events: EventsSettings = EventsSettings()
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()

    @property
    def development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def events_engine(self) -> EventsEngine:
        """The engine that is meant; never `AUTO`."""
        return self.events.engine(self.server.workers)

    def violations(self) -> Iterator[Violation]:
        """Yield what the values break together, within a section and across sections."""
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                yield from section.violations()
        yield from self._timeout_violations()
        yield from self._period_violations()
        yield from self._drain_violations()
        yield from self._engine_violations()
        of_environment = (
            self._development_violations if self.development else self._production_violations
        )
        yield from of_environment()

    def warnings(self) -> Iterator[str]:
        """Yield what is allowed and yet should be looked at."""
        if self.development:
            return
        if "*" in self.http.allowed_hosts:
            yield (
                "HTTP_ALLOWED_HOSTS=* answers to every name in a Host header; name your own,"
                " e.g. HTTP_ALLOWED_HOSTS=api.example.com"
            )
        chosen = self.events.events_engine
        if chosen is EventsEngine.AUTO and self.events_engine is EventsEngine.MEMORY:
            yield (
                "EVENTS_ENGINE=auto keeps events in the memory of this process, as WORKERS=1:"
                " servers on other machines do not get them; set EVENTS_ENGINE=postgres or"
                " valkey if there are any, else EVENTS_ENGINE=memory"
            )

    def _period_violations(self) -> Iterator[Violation]:
        shutdown, alone = self.shutdown, self.server.workers == 1
        longest = shutdown.watchdog if alone else shutdown.parent_watchdog
        if shutdown.orchestrator_period is not None and shutdown.orchestrator_period <= longest:
            period = "SHUTDOWN_ORCHESTRATOR_PERIOD"
            yield Violation(
                names=(period,) if alone else (period, "WORKERS"),
                expected=f"more than the {longest:g} seconds that a stop may take: its steps"
                f" ({shutdown.grace:g}) and {longest - shutdown.grace:g} until it counts as stuck",
                fix="let the orchestrator wait longer, or shorten the steps, e.g."
                " SHUTDOWN_REQUESTS_TIMEOUT",
            )

    def _drain_violations(self) -> Iterator[Violation]:
        if self.sockets.drain_window > self.shutdown.sockets_timeout:
            yield Violation(
                names=("SOCKETS_DRAIN_WINDOW", "SHUTDOWN_SOCKETS_TIMEOUT"),
                expected="a window no longer than the time sockets have to say goodbye",
                fix="lower SOCKETS_DRAIN_WINDOW or raise SHUTDOWN_SOCKETS_TIMEOUT",
            )

    def _engine_violations(self) -> Iterator[Violation]:
        if self.events_engine is EventsEngine.MEMORY and self.server.workers > 1:
            yield Violation(
                names=("EVENTS_ENGINE", "WORKERS"),
                expected="an engine that reaches every worker: events in memory stay in their own",
                fix="set EVENTS_ENGINE=auto, postgres or valkey, or WORKERS=1",
            )

    def _timeout_violations(self) -> Iterator[Violation]:
        # Else a request is given up before the database could say what is wrong.
        for name in ("pool_timeout", "statement_timeout", "lock_timeout"):
            if getattr(self.database, name) >= self.http.request_timeout:
                yield Violation(
                    names=(f"DATABASE_{name.upper()}", "HTTP_REQUEST_TIMEOUT"),
                    expected="less time for a step of a request than for the whole of it",
                    fix=f"lower DATABASE_{name.upper()} or raise HTTP_REQUEST_TIMEOUT",
                )

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
