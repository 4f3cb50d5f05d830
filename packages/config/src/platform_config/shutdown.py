"""How long each step of a stop may take."""

from collections.abc import Iterator

from pydantic import Field

from platform_config.problems import Violation
from platform_config.section import Seconds, Section, Timeout

WATCHDOG_MARGIN = 10.0


class ShutdownSettings(Section):
    """How long each step of a stop may take, in seconds. The steps follow one another."""

    prefix = "SHUTDOWN_"

    delay: Seconds = Field(
        0, description="Readiness says 503 for this many seconds before the listeners close."
    )
    requests_timeout: Seconds = Field(
        20, description="Seconds for requests in flight to end before they get a 503."
    )
    sockets_timeout: Seconds = Field(2, description="Seconds for WebSockets to say goodbye.")
    stop_timeout: Seconds = Field(
        5, description="Seconds for background tasks and the database pool to stop."
    )

    orchestrator_period: Timeout | None = Field(
        None,
        description="Seconds after which whoever runs the server kills it: compared, not used."
        " Kubernetes: terminationGracePeriodSeconds; systemd: TimeoutStopSec.",
        examples=["45"],
    )

    @property
    def grace(self) -> float:
        """Seconds that a stop takes at most. A supervisor must not kill earlier."""
        return self.delay + self.requests_timeout + self.sockets_timeout + self.stop_timeout

    @property
    def watchdog(self) -> float:
        """Seconds after which a stop that still has not ended counts as stuck."""
        return self.grace + WATCHDOG_MARGIN

    def violations(self) -> Iterator[Violation]:
        if self.orchestrator_period is not None and self.orchestrator_period <= self.watchdog:
            yield Violation(
                names=("SHUTDOWN_ORCHESTRATOR_PERIOD",),
                expected=f"more than the {self.watchdog:g} seconds that a stop may take: its steps"
                f" ({self.grace:g}) and {WATCHDOG_MARGIN:g} until it counts as stuck",
                fix="let the orchestrator wait longer, or shorten the steps, e.g."
                " SHUTDOWN_REQUESTS_TIMEOUT",
            )
