"""A body is invited by whoever wants it."""

import asyncio
from functools import partial
from typing import Any

import h11
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import AppWrapper, ASGIReceiveCallable, ASGIReceiveEvent, Scope

from platform_api.server.hardening.strict_http import StrictConnection


class InvitedBody(H11Protocol):
    """Answers `Expect: 100-continue` when the app first waits for the body (RFC 9110, 10.1.1).

    Removes: the 100 was sent before the app had seen the request, so a client that asks first sent
    a body for nothing, to be told 401, 413 or 503.
    """

    async def _create_stream(self, request: h11.Request) -> None:
        app = self.app
        if self._is_to_be_invited():
            self.app = partial(self._run_inviting, app)
        try:
            await super()._create_stream(request)
        finally:
            self.app = app

    async def _run_inviting(
        self, app: AppWrapper, scope: Scope, receive: ASGIReceiveCallable, *others: Any
    ) -> None:
        async def inviting() -> ASGIReceiveEvent:
            if self._is_to_be_invited():
                await self._invite()
            return await receive()

        await app(scope, inviting, *others)

    async def _invite(self) -> None:
        await asyncio.sleep(0)  # Who only looks whether something has come is gone after that.
        if self._is_to_be_invited():
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    def _is_to_be_invited(self) -> bool:
        """Say whether the client waits: until a 100, an answer, or a body that came regardless."""
        parser = self.connection
        return isinstance(parser, StrictConnection) and parser.client_is_waiting_for_100_continue
