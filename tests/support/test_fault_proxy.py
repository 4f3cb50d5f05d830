import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from tests.support.fault_proxy import FaultProxy

pytestmark = pytest.mark.anyio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def target() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(target: int) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(target) as proxy:
        yield proxy


@pytest.fixture
async def streams(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.close()


async def said(streams: Streams, text: bytes, *, within: float = 5) -> bytes:
    reader, writer = streams
    writer.write(text)
    return await asyncio.wait_for(reader.read(65536), within)


async def test_without_a_fault_everything_arrives(streams: Streams) -> None:
    assert await said(streams, b"hello") == b"hello"


async def test_latency_delays_both_directions(proxy: FaultProxy, streams: Streams) -> None:
    proxy.latency = 0.05
    began = time.monotonic()

    assert await said(streams, b"hello") == b"hello"
    assert time.monotonic() - began >= 0.1


async def test_a_reset_is_a_reset(proxy: FaultProxy, streams: Streams) -> None:
    await said(streams, b"hello")

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        await said(streams, b"again")


async def test_who_is_refused_is_taken_again_after_the_end(
    proxy: FaultProxy, streams: Streams
) -> None:
    await said(streams, b"hello")

    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.restore()

    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said((reader, writer), b"hello") == b"hello"
    writer.close()


async def test_what_was_stalled_arrives_later(proxy: FaultProxy, streams: Streams) -> None:
    proxy.stall()
    with pytest.raises(TimeoutError):
        await said(streams, b"hello", within=0.1)

    await proxy.restore()

    assert await said(streams, b"") == b"hello"


async def test_what_was_swallowed_never_arrives(proxy: FaultProxy, streams: Streams) -> None:
    proxy.blackhole()
    with pytest.raises(TimeoutError):
        await said(streams, b"hello", within=0.1)

    await proxy.restore()

    with pytest.raises(TimeoutError):
        await said(streams, b"again", within=0.1)


@pytest.mark.parametrize("before", [True, False])
async def test_one_connection_is_cut_where_it_was_asked_for(
    proxy: FaultProxy, streams: Streams, before: bool
) -> None:
    proxy.cut(b"COMMIT", before=before)
    assert await said(streams, b"BEGIN") == b"BEGIN"

    with pytest.raises(ConnectionResetError):
        await said(streams, b"COMMIT")

    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said((reader, writer), b"COMMIT") == b"COMMIT", "only the first is cut"
    writer.close()


@pytest.mark.parametrize("fault", [FaultProxy.stall, FaultProxy.blackhole])
async def test_it_ends_whatever_goes_on(target: int, fault: Callable[[FaultProxy], None]) -> None:
    async with FaultProxy(target) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        fault(proxy)
        writer.write(b"hello")
        await asyncio.sleep(0.05)
    writer.close()
