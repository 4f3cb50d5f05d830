"""The host names that this server accepts."""

from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import HostNotAllowed, error_response


class TrustedHost:
    """Answers `HostNotAllowed` when the Host header names another server. The port is ignored.

    Otherwise another site could let its name resolve to our address, and browsers would treat this
    server as part of that site (DNS rebinding). `hosts` are names and addresses; `*` allows all.
    `addresses` also allows every IP address. That is safe, because rebinding needs a name.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], addresses: bool = False) -> None:
        self._app = app
        self._hosts = {_address(host) or host.lower() for host in hosts}
        self._any = "*" in hosts
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._any or self._allows(_name(Headers(scope=scope).get("host", ""))):
            await self._app(scope, receive, send)
        else:
            await error_response(HostNotAllowed())(scope, receive, send)

    def _allows(self, name: str) -> bool:
        if name in self._hosts:
            return True
        address = _address(name)
        return address is not None and (self._addresses or address in self._hosts)


def _name(host: str) -> str:
    """Return the host in lower case without its port; an IPv6 address without its brackets."""
    if not host.startswith("["):
        return host.lower().partition(":")[0]
    address, _, rest = host[1:].partition("]")
    return address.lower() if not rest or rest.startswith(":") else ""


def _address(host: str) -> str | None:
    """Return an IP address in its shortest form (RFC 5952), or None for a name."""
    try:
        return ip_address(host).compressed
    except ValueError:
        return None
