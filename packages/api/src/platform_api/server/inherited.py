"""What a server has from the process that started it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from socket import socket

from platform_api.server.binding import bind
from platform_api.server.signals import end_at_once
from platform_config import ServerSettings
from platform_domain.health import HealthCheck

LatePublic = Callable[[], Awaitable[socket]]


def early(public: socket) -> LatePublic:
    """Return what a caller gets `public` from at once."""

    async def here() -> socket:
        return public

    return here


def tell_nobody() -> None:
    """Nobody waits for this server to be ready."""


def never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """Sockets, bound at least, in the place of those the settings ask for, and what goes with them.

    `worker` is the number of one of several. `public` is called for the public socket when
    everything else is ready. `public_stays` says that somebody keeps it, with what waits in it,
    after our end.
    `on_ready` is called when connections are accepted, and from then on `on_turn` in the event loop
    every 0.5 s; `on_second_signal` is called when a second signal comes. `checks` belong to what
    /health reports.
    `is_replaced` is asked at a stop: whether another server took over the sockets, so that nobody
    has to be told, and given time, to go elsewhere.
    """

    worker: int | None = None
    public: LatePublic | None = None
    admin: socket | None = None
    public_stays: bool = False
    on_ready: Callable[[], None] = tell_nobody
    on_turn: Callable[[], None] = tell_nobody
    on_second_signal: Callable[[], None] = end_at_once
    is_replaced: Callable[[], bool] = never
    checks: Sequence[HealthCheck] = ()


NOTHING = Inherited()


@contextmanager
def sockets(inherited: Inherited, settings: ServerSettings) -> Iterator[tuple[LatePublic, socket]]:
    """Yield the public and the admin socket; those that were not inherited are bound here.

    They are closed at the end. Raises `StartupError` when a port cannot be had.
    """
    with ExitStack() as bound:
        public = inherited.public or early(
            bound.enter_context(bind(settings.host, settings.port, setting="PORT"))
        )
        admin = inherited.admin or bind(
            settings.admin_host, settings.admin_port, setting="ADMIN_PORT"
        )
        yield public, bound.enter_context(admin)
