"""One server process: the real realtime layer over an engine that may fail."""

import asyncio
from functools import partial
from random import Random
from typing import Any

from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.endpoint import Realtime
from platform_api.realtime.presence import Rooms
from platform_api.realtime.session import CANCEL_SECONDS, GOODBYE_SECONDS
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.subscriptions import Subscriptions
from platform_config import SocketsSettings
from platform_domain.errors import DomainError
from platform_domain.event_bus import EventBus
from platform_domain.identity import Authenticator, Credentials, Identity, UserId
from platform_infrastructure.presence.memory import MemoryPresence
from tests.api.realtime.simulation.books import check_books, check_limits
from tests.api.realtime.simulation.journal import Journal, Violation, require
from tests.api.realtime.simulation.speech import SPEAKER, Speaker, contract
from tests.api.realtime.simulation.wire import ABNORMAL, Wire

DOCUMENTED = {*CloseCode, 1000, 1001, ABNORMAL}
SLOW_AUTHENTICATION = 0.2
LIMITS = SocketsSettings(max=5, max_per_user=2, messages_per_second=20)


class PatientAuthenticator(Authenticator):
    """Takes a moment, as one does that asks somebody else."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    async def authenticate(self, credentials: Credentials) -> Identity:
        await asyncio.sleep(self._chance.choice((0.0, 0.01, SLOW_AUTHENTICATION)))
        return Identity(UserId(credentials.headers["x-user-id"]))


class Node:
    """Serves wires until it is drained; `check` says whether its books are right."""

    def __init__(
        self, bus: EventBus, journal: Journal, chance: Random, drain_window: float
    ) -> None:
        self.bus = bus
        self.is_closed = False
        self._journal = journal
        self.sockets = Sockets(LIMITS.model_copy(update={"drain_window": drain_window}))
        self.subscriptions = Subscriptions(bus, self.sockets)
        self.apps: dict[asyncio.Task[None], Wire] = {}
        self._drain_seconds = drain_window + 2 * GOODBYE_SECONDS + 3 * CANCEL_SECONDS
        self._killed: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._catching_up = asyncio.create_task(self.subscriptions.run(self._stopping))
        self._speaker = Speaker(bus, journal, chance)
        self._realtime = Realtime(
            contract(),
            self.sockets,
            self.subscriptions,
            Rooms(MemoryPresence(), bus, self.sockets),
            PatientAuthenticator(chance),
            ["*"],
        )

    def connect(self, user: str, *, direct: bool) -> Wire:
        wire = Wire()
        task = asyncio.create_task(
            self._journal.watched(partial(self._serve, wire, user, direct)), name=f"app of {user}"
        )
        self.apps[task] = wire
        return wire

    def kill(self, task: asyncio.Task[None]) -> None:
        """Cancel one app, as a server does that gives a connection up."""
        self._killed.add(task)
        task.cancel()

    async def drain(self) -> None:
        """Raises `Violation` when it takes too long or leaves somebody."""
        self.connect("latecomer", direct=False)  # Somebody always comes at just that moment.
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self.sockets.drain()
        except TimeoutError:
            raise Violation(f"the drain took more than {self._drain_seconds} s") from None
        self.is_closed = True
        await asyncio.sleep(SLOW_AUTHENTICATION + 0.1)
        require(not len(self.sockets), "sockets are left after the drain")

    async def stop(self) -> None:
        """End what runs besides the sockets. Raises `Violation` when anything is left."""
        if self.apps:
            await asyncio.wait(self.apps)
        self.check_settled()
        self._stopping.set()
        await self._catching_up
        self.check()
        state = self.subscriptions
        left = (self.sockets._by_user, self.sockets._by_topic, self.sockets._slow)
        left += (state._positions, state._ahead, state._catching_up)  # type: ignore[assignment]
        require(not any(left), f"left behind at the end: {left}")

    def check_settled(self) -> None:
        """Raises `Violation` when the engine goes on with what nobody hears."""
        unheard = self.subscriptions._positions.keys() - self.sockets._by_topic.keys()
        require(not unheard, f"nobody hears {unheard}, and the engine goes on with it")

    def check(self) -> None:
        """Raises `Violation` when the books do not agree with each other and with the world."""
        check_limits(self.sockets, LIMITS)
        check_books(self.sockets, self.subscriptions, set(self.apps.values()))

    async def _serve(self, wire: Wire, user: str, direct: bool) -> None:
        extension = {"platform.direct_frames": {"write": wire.write_frame}} if direct else {}
        scope: dict[str, Any] = {
            "type": "websocket",
            "headers": [(b"x-user-id", user.encode())],
            "query_string": b"",
            "request_id": "r",
            "extensions": extension,
        }
        task = asyncio.current_task()
        assert task is not None
        SPEAKER.set(self._speaker)
        try:
            await self._realtime(scope, wire.receive, wire.send)
            code = scope["close_code"]
            require(code in DOCUMENTED, f"closed with {code}, which is not documented")
        except DomainError as refusal:
            require(not wire.accepted, f"refused with {refusal!r} after all")
        except asyncio.CancelledError:
            require(task in self._killed, "an app was cancelled by nobody")
        finally:
            del self.apps[task]
            wire.app_ended()
