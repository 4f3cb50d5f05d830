"""One app on one port, from the bound socket to the last connection."""

import asyncio
import socket
from collections.abc import Callable

from loguru import logger
from starlette.types import ASGIApp

from platform_api.server.binding import address_of, refusal
from platform_api.server.hardening.limits import Limits, Shed, nothing_shed
from platform_api.server.hypercorn import serve
from platform_api.server.last_connections import let_nobody_else_in
from platform_domain.startup import StartupError

CLOSING_SECONDS = 1.0
LATE_SECONDS = 0.1


class Listener:
    """Serves `app` on `bound`. `drain_timeout` is in seconds; `shed` is for the adapter.

    `setting` is the name of the setting for the port.
    """

    def __init__(
        self,
        app: ASGIApp,
        bound: socket.socket,
        *,
        drain_timeout: float,
        limits: Limits,
        shed: Shed = nothing_shed,
        setting: str = "PORT",
    ) -> None:
        self._app = app
        self._bound = bound
        self._drain_timeout = drain_timeout
        self._limits = limits
        self._shed = shed
        self._setting = setting
        self._stop = asyncio.Event()
        self.address = address_of(bound)

    async def open(self, *, on_end: Callable[[], None]) -> None:
        """Return when connections are accepted; call `on_end` when serving has ended.

        Raises `StartupError` when the port was taken after it was bound.
        """
        opened = asyncio.Event()
        self._twin = self._bound.dup()  # The server takes the other one over.
        self._serving = asyncio.create_task(self._serve(opened), name=f"http {self.address}")
        self._serving.add_done_callback(lambda _: opened.set())
        self._serving.add_done_callback(lambda _: on_end())
        await opened.wait()
        if self._serving.done():
            await self._serving

    async def _serve(self, opened: asyncio.Event) -> None:
        try:
            await serve(
                self._app,
                [self._bound],
                stop=self._stop,
                on_listening=opened.set,
                drain_timeout=self._drain_timeout,
                limits=self._limits,
                shed=self._shed,
            )
        except OSError as error:
            raise StartupError(refusal(self.address, error, self._setting)) from error
        finally:
            self._twin.close()

    async def stop(self, *, handed_on: bool) -> None:
        """Answer what is on its way, then refuse new connections and close the idle ones.

        With `handed_on` somebody else accepts what waits in the socket; else we do so first.
        """
        try:
            if not (handed_on or self._serving.done()):
                let_nobody_else_in(self._twin)
                await asyncio.sleep(LATE_SECONDS)
        finally:
            self._refuse()
        # What was on its way has begun by then, and counts as in flight.
        await asyncio.wait({self._serving}, timeout=LATE_SECONDS)

    def _refuse(self) -> None:
        self._twin.close()  # Only the last copy's end is the socket's.
        self._stop.set()

    async def close(self) -> None:
        """Wait a moment for the last connections to close, then cut them off.

        Raises what made the serving end, if it was not us.
        """
        self._refuse()
        if await _ended(self._serving):
            return await self._serving
        logger.warning("Connections to {} do not close; they are cut off.", self.address)
        self._serving.cancel()
        await _ended(self._serving)


async def _ended(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=CLOSING_SECONDS)
    return bool(done)
