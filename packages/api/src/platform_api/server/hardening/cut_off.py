"""A drain that ends, whatever the peers and the handlers do."""

import asyncio

from hypercorn.asyncio.tcp_server import TCPServer

from platform_api.server.hardening.limits import HardenedConfig


class CutOffConnection(TCPServer):
    """A connection that the drain can end, and whose failure stays its own.

    Removes: with asyncio's loop on Python >= 3.12.1 `graceful_timeout` is ignored and a stop waits
    for every peer (pgjones/hypercorn#308); an error in one connection ends the whole drain, and
    elsewhere is a traceback of "Unhandled exception in client_connected_cb" (pgjones/hypercorn#361).
    """

    config: HardenedConfig

    async def run(self) -> None:
        connections = self.config.connections
        with connections.joined(self.writer.transport):
            try:
                await super().run()
            except asyncio.CancelledError:
                # A cancelled task would make asyncio.streams log a traceback.
                if not connections.are_cut_off:
                    raise
            except Exception:  # noqa: BLE001 - whatever it is, the others go on
                await self.config.log.exception("A connection failed")
