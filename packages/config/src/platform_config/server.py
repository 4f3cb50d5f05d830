"""Where the server listens."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from platform_config.problems import Violation
from platform_config.section import Port, Section, Timeout

HIGHEST_PORT = 65535


class ServerSettings(Section):
    """Where the server listens."""

    prefix = ""

    host: str = Field("127.0.0.1", description="Address for clients. Development: loopback only.")
    port: Port = Field(8000, description="Port for clients; 0 takes any free port.")
    admin_host: str = Field(
        "127.0.0.1",
        description="Address of the admin port: health in detail. Development: loopback only."
        " The accepted hosts are localhost, this address and the names in HTTP_ALLOWED_HOSTS; with"
        " 0.0.0.0 or :: also every IP address.",
    )
    admin_port: Port = Field(
        9000, description="Port for admins: health in detail; 0 takes any free port."
    )

    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that serve. Worker k of them, from 0 on, has ADMIN_PORT + k.",
    )
    worker_stall_timeout: Annotated[Timeout, Field(ge=2)] = Field(
        30,
        description="Seconds after which a worker with a blocked event loop is replaced; at least"
        " 2. Only with several workers.",
    )

    @property
    def admin_ports(self) -> range:
        """The admin port of each worker; none where any free ones are taken."""
        return range(self.admin_port, self.admin_port + self.workers * bool(self.admin_port))

    def violations(self) -> Iterator[Violation]:
        names = ("ADMIN_PORT", "PORT") if self.workers == 1 else ("ADMIN_PORT", "PORT", "WORKERS")
        # Listeners that share a port (SO_REUSEPORT) would answer each other's requests.
        if self.port in self.admin_ports:
            yield Violation(
                names=names,
                expected="two different ports",
                fix="change one of them, e.g. ADMIN_PORT=0 for any free port",
            )
        if self.admin_ports and self.admin_ports[-1] > HIGHEST_PORT:
            yield Violation(
                names=("ADMIN_PORT", "WORKERS"),
                expected=f"ADMIN_PORT + WORKERS - 1 at most {HIGHEST_PORT}",
                fix="lower ADMIN_PORT",
            )
