"""What the workers listen on. The parent binds, so that a taken port is told before anything runs.

On Linux each worker has a socket of its own on the public address (SO_REUSEPORT), and the kernel
spreads new connections evenly: with one socket for all, whoever wakes first takes what there is.
"""

import socket
import sys
from contextlib import ExitStack
from typing import Self

from platform_api.server.binding import address_of, bind, refusal
from platform_config import ServerSettings
from platform_domain.startup import StartupError

SPREADS = sys.platform == "linux"
"""Elsewhere SO_REUSEPORT is missing, or all connections go to one of the sockets."""


class Addresses:
    """The public address and the admin address of each worker, bound within a `with` block.

    `activated` is a socket to serve in place of HOST and PORT.
    """

    def __init__(self, settings: ServerSettings, activated: socket.socket | None) -> None:
        self._settings = settings
        self._activated = activated

    def __enter__(self) -> Self:
        """Raises `StartupError` when a port cannot be had."""
        with ExitStack() as stack:
            self._public = stack.enter_context(self._activated or self._bound())
            self._admin = [
                stack.enter_context(self._bound_admin(number))
                for number in range(self._settings.workers)
            ]
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def workers(self) -> int:
        return self._settings.workers

    @property
    def public_stays(self) -> bool:
        """Whether the process that opened the public socket keeps it after this process ends."""
        return self._activated is not None

    @property
    def public_address(self) -> str:
        return address_of(self._public)

    def public(self) -> socket.socket:
        """Return a socket for a worker, to be closed by the caller. Raises `StartupError`."""
        if self._shares_one:
            return _copy(self._public)
        host, port = self._public.getsockname()[:2]
        return bind(host, port, shared=True)

    def admin(self, number: int) -> socket.socket:
        return self._admin[number]

    @property
    def _shares_one(self) -> bool:
        return self.public_stays or not SPREADS

    def _bound(self) -> socket.socket:
        """Bind without sharing first: a stranger's shared socket would take half of our clients."""
        settings = self._settings
        alone = bind(settings.host, settings.port, setting="PORT")
        if self._shares_one:
            return alone
        with alone:
            host, port = alone.getsockname()[:2]
        return bind(host, port, shared=True)

    def _bound_admin(self, number: int) -> socket.socket:
        first = self._settings.admin_port
        setting = f"ADMIN_PORT + {number}" if number else "ADMIN_PORT"
        return bind(self._settings.admin_host, first + number if first else 0, setting=setting)


def _copy(public: socket.socket) -> socket.socket:
    try:
        return public.dup()
    except OSError as error:
        raise StartupError(refusal(address_of(public), error, "PORT")) from error
