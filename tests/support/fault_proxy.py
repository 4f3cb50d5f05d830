"""A TCP relay on 127.0.0.1 that behaves as badly as a network can."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

BLOCK = 65536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing sends RST in the place of FIN."""


@dataclass(frozen=True, slots=True)
class Cut:
    statement: bytes
    before: bool


class FaultProxy:
    """Relays from `port` to `target` (another port of this machine) until told otherwise."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.latency = 0.0
        """Seconds by which everything is delayed, in each direction."""
        self._server: asyncio.Server | None = None
        self._relays: set[_Relay] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._swallowing = False
        self._cut: Cut | None = None

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()
        self._flowing.set()
        await asyncio.gather(*(relay.ended.wait() for relay in self._relays))

    def reset(self) -> None:
        """Reset all connections there are."""
        for relay in self._relays:
            relay.reset()

    def refuse(self) -> None:
        """Reset all connections and take no more of them."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def blackhole(self) -> None:
        """Swallow what is sent. A connection that lost a byte stays silent for ever."""
        self._swallowing = True

    def stall(self) -> None:
        """Hold what is sent; it arrives when the fault has ended."""
        self._flowing.clear()

    def cut(self, statement: bytes, *, before: bool) -> None:
        """Reset the connection on which `statement` is sent next: `before` the server gets it, or
        when the server has answered and before the client hears of it."""
        self._cut = Cut(statement, before)

    async def restore(self) -> None:
        """End all faults."""
        self.latency = 0.0
        self._swallowing = False
        self._cut = None
        self._flowing.set()
        if self._server is None:
            await self._listen()

    async def hold(self) -> bool:
        """Wait as long as the present fault asks for; return whether bytes get through then."""
        if self.latency:
            await asyncio.sleep(self.latency)
        await self._flowing.wait()
        return not self._swallowing

    def take_cut(self, sent: bytes) -> "Cut | None":
        """Return what is to happen to the connection that `sent` this, if anything."""
        if self._cut is None or self._cut.statement not in sent:
            return None
        cut, self._cut = self._cut, None
        return cut

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = _Relay(self, reader, writer)
        self._relays.add(relay)
        try:
            await relay.run()
        finally:
            self._relays.discard(relay)


class _Relay:
    """One connection of a client, and the one to the target that belongs to it."""

    def __init__(
        self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.ended = asyncio.Event()
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]
        self._is_silent = False
        self._drops_answer = False

    async def run(self) -> None:
        try:
            with suppress(OSError):
                await self._run()
        finally:
            for writer in self._writers:
                writer.close()
            self.ended.set()

    def reset(self) -> None:
        for writer in self._writers:
            accepted: socket.socket | None = writer.get_extra_info("socket")
            if accepted is not None and not writer.transport.is_closing():
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _run(self) -> None:
        client = self._writers[0]
        reader, target = await asyncio.open_connection("127.0.0.1", self._proxy.target)
        self._writers.append(target)
        pumps = {
            asyncio.create_task(self._send(self._reader, target)),
            asyncio.create_task(self._answer(reader, client)),
        }
        _, unfinished = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in unfinished:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _send(self, reader: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            cut = self._proxy.take_cut(data)
            if cut is not None and cut.before:
                return self.reset()
            self._drops_answer = self._drops_answer or cut is not None
            await self._pass(data, target)

    async def _answer(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            if self._drops_answer:
                return self.reset()
            await self._pass(data, client)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not await self._proxy.hold() or self._is_silent:
            self._is_silent = True
            return
        writer.write(data)
        await writer.drain()
