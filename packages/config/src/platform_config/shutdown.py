"""How long each step of a stop may take."""

from pydantic import Field

from platform_config.section import Seconds, Section, Timeout

WATCHDOG_MARGIN = 10.0
WORKER_MARGIN = 2.0
PARENT_MARGIN = 3.0


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

    @property
    def worker_timeout(self) -> float:
        """Seconds after which a parent kills a worker whose own watchdog has not ended it."""
        return self.watchdog + WORKER_MARGIN

    @property
    def parent_watchdog(self) -> float:
        """Seconds after which the stop of a parent counts as stuck."""
        return self.worker_timeout + PARENT_MARGIN
