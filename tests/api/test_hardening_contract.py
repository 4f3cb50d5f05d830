"""What the hardening takes for granted about Hypercorn, h11 and wsproto.

When this fails, a version or something we override has changed: docs/hypercorn.md says what to do.
"""

import asyncio
import inspect
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from types import ModuleType

import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypercorn.asyncio import task_group, tcp_server
from hypercorn.protocol import h11 as http1
from hypercorn.protocol import ws_stream

from platform_api.server.hardening import install
from platform_api.server.hardening.app_queue import UnblockedTaskGroup
from platform_api.server.hardening.message_limit import MessageBuffer
from platform_api.server.hardening.refused_upgrade import StrictHandshake
from platform_api.server.hardening.strict_http import StrictChunkedReader, StrictConnection

OURS = (
    install.HardenedConnection,
    install.HardenedFrames,
    install.HardenedHttp,
    install.HardenedWebSocket,
    MessageBuffer,
    StrictChunkedReader,
    StrictConnection,
    StrictHandshake,
    UnblockedTaskGroup,
)
STREAM = "context task_group ssl client server send"

# What we override, and with which parameters it is called.
OVERRIDDEN = {
    "h11._connection.Connection.__init__": "our_role max_incomplete_event_size",
    "h11._connection.Connection._extract_next_receive_event": "",
    "h11._connection.Connection._get_io_object": "role event io_dict",
    "h11._connection.Connection.next_event": "",
    "h11._readers.ChunkedReader.__call__": "buf",
    "h11._readers.ChunkedReader.__init__": "",
    "hypercorn.asyncio.task_group.TaskGroup.spawn_app": "app config scope send",
    "hypercorn.asyncio.tcp_server.TCPServer.__init__": (
        "app loop config context state reader writer"
    ),
    "hypercorn.asyncio.tcp_server.TCPServer._close": "",
    "hypercorn.asyncio.tcp_server.TCPServer._idle_timeout": "",
    "hypercorn.asyncio.tcp_server.TCPServer._read_data": "",
    "hypercorn.asyncio.tcp_server.TCPServer.protocol_send": "event",
    "hypercorn.asyncio.tcp_server.TCPServer.run": "",
    "hypercorn.protocol.h11.H11Protocol.__init__": (
        "app config context task_group connection_state ssl client server send"
    ),
    "hypercorn.protocol.h11.H11Protocol._create_stream": "request",
    "hypercorn.protocol.h11.H11Protocol._check_protocol": "event",
    "hypercorn.protocol.h11.H11Protocol.handle": "event",
    "hypercorn.protocol.h11.H11Protocol.stream_send": "event",
    "hypercorn.protocol.ws_stream.Handshake.__init__": "headers http_version",
    "hypercorn.protocol.ws_stream.Handshake.is_valid": "",
    "hypercorn.protocol.ws_stream.WSStream.__init__": f"app config {STREAM} stream_id",
    "hypercorn.protocol.ws_stream.WSStream._accept": "message",
    "hypercorn.protocol.ws_stream.WSStream._handle_events": "",
    "hypercorn.protocol.ws_stream.WSStream._send_error_response": "status_code",
    "hypercorn.protocol.ws_stream.WSStream._send_pings": "",
    "hypercorn.protocol.ws_stream.WSStream.app_send": "message",
    "hypercorn.protocol.ws_stream.WSStream.handle": "event",
    "hypercorn.protocol.ws_stream.WebsocketBuffer.clear": "",
    "hypercorn.protocol.ws_stream.WebsocketBuffer.extend": "event",
    "wsproto.connection.Connection.events": "",
    "wsproto.connection.Connection.send": "event",
}

# The regular expressions that we replace.
PATTERNS = {
    "header_field_re": (
        rb"(?P<field_name>[-!#$%&'*+.^_`|~0-9a-zA-Z]+):[ \t]*"
        rb"(?P<field_value>([^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?)[ \t]*"
    ),
}

# What we call or set without overriding it.
USED = (
    (asyncio.StreamReader, "feed_data"),
    (ReceiveBuffer, "maybe_extract_at_most"),
    (http1.H11Protocol, "_close_stream"),
    (http1.H11Protocol, "_handle_events"),
    (http1.H11Protocol, "_send_h11_event"),
    (task_group, "_handle"),
    (task_group.TaskGroup, "spawn"),
    (tcp_server.TCPServer, "_initiate_server_close"),
    (ws_stream.WSStream, "_send_wsproto_event"),
)


@pytest.mark.parametrize(
    ("package", "known"), [("hypercorn", "0.18.0"), ("h11", "0.16.0"), ("wsproto", "1.3.2")]
)
def test_the_versions_are_those_that_were_measured(package: str, known: str) -> None:
    assert version(package) == known


def test_what_we_override_is_called_as_before() -> None:
    assert dict(overridden()) == OVERRIDDEN


def overridden() -> Iterator[tuple[str, str]]:
    for ours in OURS:
        for base in ours.__mro__:
            if not base.__module__.startswith("platform_api"):
                yield from (found for name in own_names(ours) if (found := called(base, name)))


def own_names(ours: type) -> set[str]:
    """Return the names of the functions that we define in the class and our own bases of it."""
    bases = [base for base in ours.__mro__ if base.__module__.startswith("platform_api")]
    return {name for base in bases for name, value in vars(base).items() if is_function(value)}


def is_function(value: object) -> bool:
    return inspect.isfunction(value)


def called(base: type, name: str) -> tuple[str, str] | None:
    if base is object or not is_function(vars(base).get(name)):
        return None
    _, *parameters = inspect.signature(vars(base)[name]).parameters
    return f"{base.__module__}.{base.__qualname__}.{name}", " ".join(parameters)


@pytest.mark.parametrize(("owner", "name"), USED)
def test_what_we_use_is_there(owner: object, name: str) -> None:
    assert callable(getattr(owner, name))


def test_the_parser_says_that_a_client_waits_for_a_100_and_hypercorn_asks_it() -> None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
    parser.next_event()

    assert parser.client_is_waiting_for_100_continue
    assert "they_are_waiting_for_100_continue" in inspect.getsource(http1.H11Protocol)


def test_bytes_come_in_where_they_may_be_answered_at_once() -> None:
    assert "reader.feed_data(data)" in inspect.getsource(asyncio.StreamReaderProtocol.data_received)
    assert "self._buffer" in inspect.getsource(asyncio.StreamReader.feed_data)


@pytest.mark.parametrize(("module", "name", "ours"), install.REPLACED)
def test_what_we_replace_is_what_the_module_looks_up(
    module: ModuleType, name: str, ours: object
) -> None:
    original = getattr(fresh(module), name)

    if isinstance(ours, type):
        assert original.__qualname__ in {base.__qualname__ for base in ours.__mro__}
    elif isinstance(ours, ModuleType):
        assert original.__name__ == ours.__name__
        assert "asyncio.start_server(_server_callback, backlog=" in inspect.getsource(module)
    else:
        assert original.pattern == PATTERNS[name]


def fresh(module: ModuleType) -> ModuleType:
    """Return the module as it is imported, before anything is replaced in it."""
    spec = find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    again = module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


def test_installing_replaces_every_name_and_a_second_time_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name, _ in install.REPLACED:
        monkeypatch.setattr(module, name, getattr(fresh(module), name))

    for _ in range(2):
        install.install()

        for module, name, ours in install.REPLACED:
            assert getattr(module, name) is ours
