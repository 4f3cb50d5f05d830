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
    """Sockets (at least bound) that replace those in the settings, and what belongs to them.

    `worker` is the worker's number if there are several. `public` is called for the public socket
    when everything else is ready. `public_stays` means that another process keeps this socket and
    its queued connections after this process ends. `on_ready` is called when connections are
    accepted; after that, `on_turn` is called in the event loop every 0.25 s. `on_second_signal` is
    called at a second signal. `checks` are added to the report of /health. `is_replaced` is called
    at a stop. It returns whether another server has taken over the sockets. In that case, clients
    need no time to go elsewhere.
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

    They are closed at the end. Raises `StartupError` when a port cannot be bound.
    """
    with ExitStack() as bound:
        public = inherited.public or early(
            bound.enter_context(bind(settings.host, settings.port, setting="PORT"))
        )
        admin = inherited.admin or bind(
            settings.admin_host, settings.admin_port, setting="ADMIN_PORT"
        )
        yield public, bound.enter_context(admin)
