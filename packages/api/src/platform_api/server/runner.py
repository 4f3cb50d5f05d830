"""The life of the server, in order: bind, open, serve, drain, close."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from socket import socket
from typing import TypeVar

from loguru import logger
from starlette.types import ASGIApp

from platform_api.server.blocked_loop import BlockedLoop
from platform_api.server.exit_codes import ExitCode
from platform_api.server.hangup import on_hangup
from platform_api.server.hardening.limits import Limits, Shed, nothing_shed
from platform_api.server.inherited import NOTHING, Inherited, LatePublic, sockets
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_api.server.listener import CLOSING_SECONDS, Listener
from platform_api.server.loop import LoopFactory, new_loop, run
from platform_api.server.signals import StopSignals
from platform_api.server.stop import Stop
from platform_api.server.watchdog import Watchdog
from platform_config import ServerSettings, ShutdownSettings
from platform_domain.startup import StartupError

T = TypeVar("T")
Closer = Callable[[], Awaitable[None]]


class Server:
    """Serves two apps, each on its port, from one process.

    `resources` is entered before anything is served and left after the last answer; it bounds its
    own stop. Each of `closers` is called, all at once, when no new connection can come any more;
    requests in flight have their time meanwhile. `shed` may answer a request on the public port
    before it is parsed.
    """

    def __init__(
        self,
        *,
        public: ASGIApp,
        admin: ASGIApp,
        settings: ServerSettings,
        shutdown: ShutdownSettings,
        limits: Limits,
        lifecycle: Lifecycle,
        resources: AbstractAsyncContextManager[object],
        closers: Sequence[Closer] = (),
        shed: Shed = nothing_shed,
        inherited: Inherited = NOTHING,
    ) -> None:
        self._public = public
        self._admin = admin
        self._settings = settings
        self._shutdown = shutdown
        self._limits = limits
        self._lifecycle = lifecycle
        self._resources = resources
        self._closers = closers
        self._shed = shed
        self._inherited = inherited

    def run(self, loop_factory: LoopFactory = new_loop) -> ExitCode:
        """Serve until a signal and return the exit code. Blocks; belongs in the main thread."""
        try:
            # Bind the ports first, to report one that is in use before any resource opens.
            with sockets(self._inherited, self._settings) as (public, admin):
                return self._run(public, admin, loop_factory)
        except StartupError as error:
            logger.error("The server cannot start. {}", error)
            return ExitCode.START_UP_FAILED
        except Exception:  # noqa: BLE001 - whatever it is, the log and the exit code tell it
            logger.exception("The server failed while it was {}.", self._lifecycle.phase)
            return self._failure()

    def _failure(self) -> ExitCode:
        starting = self._lifecycle.phase is Phase.STARTING
        return ExitCode.START_UP_FAILED if starting else ExitCode.NOT_CLEAN

    def _run(self, public: LatePublic, admin: socket, loop_factory: LoopFactory) -> ExitCode:
        runner = asyncio.Runner(loop_factory=loop_factory)
        with Watchdog(self._shutdown.watchdog) as watchdog:
            stop = Stop(runner.get_loop(), watchdog)
            # The runner ends first: what it cancels is still under the watchdog's eyes.
            with StopSignals(stop.ask, self._inherited.on_second_signal), runner:
                return run(self._live(public, admin, stop), runner.get_loop())

    async def _live(self, late_public: LatePublic, admin: socket, stop: Stop) -> ExitCode:
        on_hangup(self._stay, gone=stop.ask)
        async with AsyncExitStack() as stack:
            public = await _unless_stopped(self._opened(late_public, stack), stop)
            if public is None:
                logger.info("Stopped before the server was ready.")
                return ExitCode.CLEAN
            await self._serve(
                self._listener(self._public, public, self._shed, "PORT"),
                self._listener(self._admin, admin, nothing_shed, "ADMIN_PORT"),
                stop,
            )
        self._lifecycle.phase = Phase.STOPPED
        return ExitCode.CLEAN

    async def _opened(self, late_public: LatePublic, stack: AsyncExitStack) -> socket:
        await stack.enter_async_context(self._resources)
        return stack.enter_context(await late_public())

    def _stay(self) -> None:
        if self._inherited.worker is None:  # Else it is for the parent.
            logger.warning("SIGHUP replaces workers, and this is one process: restart it instead.")

    def _listener(self, app: ASGIApp, bound: socket, shed: Shed, setting: str) -> Listener:
        shutdown = self._shutdown
        longest = max(shutdown.requests_timeout, shutdown.sockets_timeout)
        return Listener(
            app,
            bound,
            drain_timeout=longest + CLOSING_SECONDS,
            limits=self._limits,
            shed=shed,
            setting=setting,
        )

    async def _serve(self, public: Listener, admin: Listener, stop: Stop) -> None:
        await admin.open(on_end=stop.ask)
        await public.open(on_end=stop.ask)
        _spare_collections_what_stays()
        self._lifecycle.phase = Phase.READY
        logger.info("Listening on http://{} (admin: http://{})", public.address, admin.address)
        self._inherited.on_ready()
        BlockedLoop(self._inherited.on_turn).watch()
        await stop.asked()
        await self._drain(public)
        await admin.close()

    async def _drain(self, public: Listener) -> None:
        began = time.monotonic()
        self._lifecycle.drain()
        logger.info("Draining: {} requests in flight.", len(self._lifecycle.requests))
        if not self._inherited.is_replaced():
            await asyncio.sleep(self._shutdown.delay)
        await asyncio.gather(self._finish_requests(public), *map(self._close, self._closers))
        await public.close()
        logger.info(
            "Drained in {:.2f} s: {} requests finished, {} cancelled.",
            time.monotonic() - began,
            self._lifecycle.finished,
            self._lifecycle.cancelled,
        )

    async def _finish_requests(self, public: Listener) -> None:
        handed_on = self._inherited.public_stays or self._inherited.is_replaced()
        try:
            async with asyncio.timeout(self._shutdown.requests_timeout):
                await public.stop(handed_on=handed_on)
                await self._lifecycle.idle()
        except TimeoutError:
            self._lifecycle.cancel_requests()

    async def _close(self, closer: Closer) -> None:
        try:
            async with asyncio.timeout(self._shutdown.sockets_timeout):
                await closer()
        except TimeoutError:
            logger.warning("Not all sockets said goodbye in time.")
        except Exception:  # noqa: BLE001 - one closer's fault must not keep the rest
            logger.exception("Closing the sockets failed.")


def _spare_collections_what_stays() -> None:
    """Let the garbage collector leave out what the start has made: code, mostly, that lives as long
    as we do. Each full collection would stop everything for some 35 ms to look at it."""
    gc.collect()
    gc.freeze()


async def _unless_stopped(opening: Awaitable[T], stop: Stop) -> T | None:
    """Return what `opening` does, or None when the stop came first."""
    limit = asyncio.timeout(None)
    interrupt = asyncio.create_task(_interrupt(limit, stop))
    try:
        async with limit:
            return await opening
    except TimeoutError:
        if not limit.expired():
            raise
    finally:
        interrupt.cancel()
    return None


async def _interrupt(limit: asyncio.Timeout, stop: Stop) -> None:
    await stop.asked()
    limit.reschedule(0)
