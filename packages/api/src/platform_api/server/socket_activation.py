"""A listening socket that systemd, or whoever speaks its protocol, opened before we started.

https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

import os
import socket
from collections.abc import MutableMapping

from platform_api.server.binding import notice_dead_peers
from platform_domain.startup import StartupError

FIRST = 3
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def activated_socket(environ: MutableMapping[str, str]) -> socket.socket | None:
    """Return the socket that this very process was given, or None.

    The variables are removed, so that no child takes them for its own. Raises `StartupError` when
    there is anything but one TCP socket.
    """
    process = environ.pop("LISTEN_PID", "")
    number = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()):
        return None
    if number != "1":
        raise StartupError(f"LISTEN_FDS={number}: the server takes one socket, for its clients.")
    return _adopted(FIRST)


def _adopted(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartupError(f"Descriptor {descriptor} is not a socket.") from error
    if given.family not in FAMILIES or given.type != socket.SOCK_STREAM:
        given.detach()
        raise StartupError(f"Descriptor {descriptor} is not a TCP socket.")
    notice_dead_peers(given)
    return given
