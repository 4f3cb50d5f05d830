"""Which names the server answers to."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import HostNotAllowed


class TrustedHost:
    """Raises `HostNotAllowed` for a Host header that names another server, whatever its port.

    `*` among `hosts` lets every name pass. Against a foreign name that somebody points at us (DNS
    rebinding), which makes us a part of their site to the browser.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._any = "*" in hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._any and _name(Headers(scope=scope)) not in self._hosts:
            raise HostNotAllowed
        await self._app(scope, receive, send)


def _name(headers: Headers) -> str:
    """Return the host without its port; an IPv6 address without its brackets."""
    host = headers.get("host", "").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
