"""One process that serves, or is ready for work, as its parent sees it."""

import asyncio
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import send_fds, socket, socketpair
from typing import Self

from platform_api.server.exit_codes import ExitCode
from platform_api.server.workers.assignment import (
    PREPARED,
    PUBLIC,
    READY,
    REPLACED,
    Assignment,
)

SIGNAL_NAMES = {each.value: each.name for each in signal.Signals}


class Worker:
    """It is told to stop by a signal, and ends by itself when its channel ends.

    `number` is the one of its assignment.
    """

    number: int

    def __init__(self, process: Process, channel: socket) -> None:
        self.pid = process.pid
        self.serves = False
        self._process = process
        self._channel = channel
        self._began = time.monotonic()

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Return when there is a process. Raises `OSError` when the system refuses one.

        It has a session of its own: a terminal's Ctrl-C is for the parent, which passes it on once.
        """
        channel, theirs = socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=theirs.fileno(), start_new_session=True
                )
        except BaseException:
            channel.close()
            raise
        channel.setblocking(False)
        return cls(process, channel)

    async def serve(
        self, assignment: Assignment, admin: socket, public: Callable[[], socket]
    ) -> bool:
        """Give it work, and return True as soon as it serves, and False when it ended before.

        `public` is called for the public socket when the worker has made ready. To be called once.
        """
        self.number = assignment.worker
        self._began = time.monotonic()
        self._send(assignment.to_json(), admin)
        if await self._says(PREPARED):
            self._send(PUBLIC, public())
            self.serves = await self._says(READY)
        return self.serves

    def _send(self, message: bytes, passed: socket) -> None:
        with suppress(OSError):  # It has ended; that is what counts.
            send_fds(self._channel, [message], [passed.fileno()])

    async def _says(self, word: bytes) -> bool:
        try:
            return await asyncio.get_running_loop().sock_recv(self._channel, len(word)) == word
        except ConnectionError:  # It ended without having read what we sent.
            return False

    async def ended(self) -> None:
        await self._process.wait()
        self._channel.close()

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    @property
    def age(self) -> float:
        """Seconds since it was given work."""
        return time.monotonic() - self._began

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()

    def say_it_is_replaced(self) -> None:
        """Ask it to stop, and let it know that another one has its sockets."""
        with suppress(OSError):
            self._channel.send(REPLACED)

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
