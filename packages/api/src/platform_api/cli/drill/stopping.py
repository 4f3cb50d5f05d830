"""A stop while PostgreSQL hangs."""

import asyncio
import signal
import time

from platform_api.cli.drill.findings import Row, true, within
from platform_api.cli.drill.stage import Stage
from platform_api.cli.drill.traffic import Traffic
from platform_config import ShutdownSettings

SHUTDOWN = ShutdownSettings(requests_timeout=1, sockets_timeout=0.5, stop_timeout=1)
SETTINGS = {
    "SHUTDOWN_REQUESTS_TIMEOUT": str(SHUTDOWN.requests_timeout),
    "SHUTDOWN_SOCKETS_TIMEOUT": str(SHUTDOWN.sockets_timeout),
    "SHUTDOWN_STOP_TIMEOUT": str(SHUTDOWN.stop_timeout),
}
MARGIN_SECONDS = 1.0


async def stopped(stage: Stage) -> Row:
    """The signal comes when requests hang and nobody has noticed yet."""
    async with (
        stage.serving(settings=SETTINGS) as server,
        Traffic(server.port, "stopped") as traffic,
    ):
        await asyncio.sleep(1)
        await stage.halt()
        try:
            await asyncio.sleep(0.2)
            began = time.monotonic()
            server.tell(signal.SIGTERM)
            code = await asyncio.to_thread(server.end)
            seconds = time.monotonic() - began
        finally:
            await stage.go_on()
    stage.answers.extend(answer for answer in traffic.answers if answer.status)
    return Row(
        f"stop while PostgreSQL hangs (grace {SHUTDOWN.grace:g} s)",
        [
            within("exit after", seconds, SHUTDOWN.grace + MARGIN_SECONDS),
            true(f"exit code 0 (it is {code})", code == 0),
        ],
    )
