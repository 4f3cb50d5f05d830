import socket
import sys

import pytest

from platform_api.server import last_connections
from platform_api.server.last_connections import let_nobody_else_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only.")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_who_waits_is_served_and_nobody_new_gets_in(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.create_server((host, 0), family=family) as listening:
        address = listening.getsockname()[:2]
        with socket.create_connection(address) as early:
            let_nobody_else_in(listening)

            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)
            accepted, _ = listening.accept()
            with accepted:
                early.sendall(b"sent")
                assert accepted.recv(4) == b"sent"
                accepted.sendall(b"answered")
                assert early.recv(8) == b"answered"


def test_a_system_without_filters_does_not_keep_a_server_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(last_connections, "SO_ATTACH_FILTER", 9999)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        let_nobody_else_in(listening)

        with socket.create_connection(listening.getsockname(), timeout=5):
            pass
