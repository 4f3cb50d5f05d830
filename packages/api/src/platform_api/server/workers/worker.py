"""One process that serves, as its parent sees it."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from socket import socket
from typing import Self

from platform_api.server.exit_codes import ExitCode
from platform_api.server.parent import REPLACED
from platform_api.server.workers.addresses import Public
from platform_api.server.workers.assignment import Assignment

SIGNAL_NAMES = {each.value: each.name for each in signal.Signals}


class Worker:
    """It is told to stop by a signal, and ends by itself when its standard input ends."""

    def __init__(self, number: int, process: Process, ready: int) -> None:
        self.number = number
        self.pid = process.pid
        self.serves = False
        self._process = process
        self._ready = ready
        self._began = time.monotonic()

    @classmethod
    async def start(
        cls, command: Sequence[str], number: int, public: Public, admin: socket, *, lent: str
    ) -> Self:
        """Return when there is a process. Raises `OSError` when the system refuses one.

        It has a session of its own: a terminal's Ctrl-C is for the parent, which passes it on once.
        """
        ready, tell_ready = os.pipe()
        assignment = Assignment(
            worker=number,
            public=public.socket.fileno(),
            public_stays=public.stays,
            admin=admin.fileno(),
            ready=tell_ready,
            lent=lent,
        )
        try:
            process = await _spawned(command, assignment)
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(tell_ready)
        return cls(number, process, ready)

    async def ready(self) -> bool:
        """Return True as soon as it serves, and False when it ended before. To be called once."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._ready, readable.set)
        try:
            await readable.wait()
            self.serves = bool(os.read(self._ready, 1))
        finally:
            loop.remove_reader(self._ready)
            os.close(self._ready)
        return self.serves

    async def ended(self) -> None:
        await self._process.wait()

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    @property
    def age(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._began

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()

    def say_it_is_replaced(self) -> None:
        """Ask it to stop, and let it know that another one has its sockets."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(REPLACED)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def ended_within(self, timeout: float) -> None:
        """Return when it has ended; kill it when that takes longer than `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def exit_code(self) -> ExitCode:
        """Return how an ended worker did its work.

        A signal's end is not clean, except where it came before Python could listen to it.
        """
        code = self._process.returncode
        if code == -signal.SIGTERM and not self.serves:
            return ExitCode.CLEAN
        return ExitCode(code) if code in set(ExitCode) else ExitCode.NOT_CLEAN

    def end(self) -> str:
        """Return how it ended, in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"signal {SIGNAL_NAMES.get(-code, -code)}"


async def _spawned(command: Sequence[str], assignment: Assignment) -> Process:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, pass_fds=assignment.descriptors, start_new_session=True
    )
    assert process.stdin is not None  # noqa: S101
    process.stdin.write(f"{assignment.to_json()}\n".encode())
    return process
