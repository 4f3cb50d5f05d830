"""Starts the application on a real server, and says how it fares."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests import processes
from tests.e2e.hardening import server
from tests.processes import Program


class Server(server.Server):
    """The application's process. It has no `state`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pid = int(program.wait_for(r"Process (\d+)")[1])
        program.wait_until_listening()
        self.port = program.port


@contextmanager
def serving(**options: object) -> Iterator[Server]:
    """Run the program with these `Options`; whatever happens, it is gone afterwards."""
    with processes.started("tests.e2e.limits.program", **options) as program:
        yield Server(program)
