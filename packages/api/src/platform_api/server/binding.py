"""Addresses and the sockets that own them."""

import errno
import os
import socket
import sys

from platform_domain.startup import StartupError

KEEP_ALIVE_IDLE_SECONDS = 30
KEEP_ALIVE_INTERVAL_SECONDS = 10
USER_TIMEOUT_MILLISECONDS = 30_000


def bind(host: str, port: int, *, setting: str = "PORT", shared: bool = False) -> socket.socket:
    """Return a socket that owns the port but does not listen. Port 0 takes any free one.

    `setting` says where the port comes from: PORT, ADMIN_PORT or ADMIN_PORT + 1. With `shared`,
    other shared sockets of this user may own the same port (SO_REUSEPORT). Raises `StartupError`
    when the address cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(refusal(f"{host}:{port}", error, setting)) from error
    try:
        _set_exclusion(bound)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        notice_dead_peers(bound)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartupError(refusal(f"{host}:{port}", error, setting)) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address as it stands in a URL, with the real port."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refusal(address: str, error: OSError, setting: str) -> str:
    """Return an error message for the admin about an address from `setting`."""
    name = setting.partition(" ")[0]
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is already in use ({setting}): stop the program that has it, or set {name}"
            " to another port."
        )
    if error.errno == errno.EACCES:
        return f"{address} may not be used by this user ({setting}): set {name} above 1023."
    reason = error.strerror or os.strerror(error.errno or 0)
    host = name.replace("PORT", "HOST")
    return f"{address} cannot be listened on ({host}, {setting}): {reason}."


def _set_exclusion(bound: socket.socket) -> None:
    if sys.platform == "win32":
        # There SO_REUSEADDR would let a second server steal the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def notice_dead_peers(listening: socket.socket) -> None:
    """Set what accepted connections inherit: notice a dead peer, with or without data on the way.

    TCP_USER_TIMEOUT is what ends a connection whose peer stopped to read or to acknowledge;
    keepalive alone is silent while unacknowledged data is waiting. Systems without an option keep
    their default.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEP_ALIVE_INTERVAL_SECONDS),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MILLISECONDS),
    ):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
