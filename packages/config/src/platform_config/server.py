"""Where the server listens."""

from collections.abc import Iterator

from pydantic import Field

from platform_config.problems import Violation
from platform_config.section import Port, Section


class ServerSettings(Section):
    """Where the server listens."""

    prefix = ""

    host: str = Field("127.0.0.1", description="Address for clients. Development: loopback only.")
    port: Port = Field(8000, description="Port for clients; 0 takes any free port.")
    admin_host: str = Field(
        "127.0.0.1", description="Address for metrics and admins. Development: loopback only."
    )
    admin_port: Port = Field(
        9000, description="Port for metrics and admins; 0 takes any free port."
    )

    def violations(self) -> Iterator[Violation]:
        # Listeners that share a port (SO_REUSEPORT) would answer each other's requests.
        if self.port and self.port == self.admin_port:
            yield Violation(
                names=("ADMIN_PORT", "PORT"),
                expected="two different ports",
                fix="change one of them, e.g. ADMIN_PORT=0 for any free port",
            )
