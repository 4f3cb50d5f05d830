"""One process that serves, or is ready for work, as its parent sees it."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import send_fds, socket, socketpair
from typing import Self

from loguru import logger

from platform_api.server.exit_codes import ExitCode
from platform_api.server.signals import user_signals_held
from platform_api.server.workers.assignment import (
    ALIVE,
    LONGEST_BYTES,
    PREPARED,
    PUBLIC,
    READY,
    REPLACED,
    STACKS,
    Assignment,
)

PREPARING_SECONDS = 600.0
LISTENING_SECONDS = 5.0
SIGNAL_NAMES = {each.value: each.name for each in signal.Signals}


class Worker:
    """It is told to stop by a signal, and ends by itself when its channel ends.

    `number` is None as long as it has no work.
    """

    def __init__(self, process: Process, channel: socket) -> None:
        self.pid = process.pid
        self.number: int | None = None
        self.serves = False
        self._is_replaced = False
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
            with theirs, user_signals_held():
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
        Raises `OSError` when the system refuses to pass a socket, and what `public` raises.
        """
        self.number = assignment.worker
        self._began = time.monotonic()
        self._send(assignment.to_json(), admin)
        if await self._says(PREPARED, within=PREPARING_SECONDS):
            self._send(PUBLIC, public())
            self.serves = await self._says(READY, within=LISTENING_SECONDS)
        return self.serves

    def _send(self, message: bytes, passed: socket) -> None:
        with suppress(ConnectionError):  # It has ended; that is what counts.
            send_fds(self._channel, [message], [passed.fileno()])

    async def _says(self, word: bytes, *, within: float) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within):
                return await loop.sock_recv(self._channel, len(word)) == word
        except ConnectionError:  # It ended without having read what we sent.
            return False
        except TimeoutError:
            logger.error("Process {} makes no progress in {:g} s; it is ended.", self.pid, within)
            self.kill()
            return False

    async def stalls(self, timeout: float) -> bool:
        """Return True when it has sent nothing for `timeout` seconds, or False when it has ended.

        Only the seconds in which this process itself ran are counted. If both were suspended, or
        the machine slept, this is not a stall.
        """
        silent = 0
        while silent < timeout:
            if await self._ends_within(1.0):
                return False
            silent = 0 if self._said() else silent + 1
        return True

    async def stacks(self) -> tuple[str, bool]:
        """Return the stacks of its threads that arrive within a second, and whether its event loop
        ran in that second."""
        self.send_signal(STACKS)
        text = b""
        for _ in range(20):  # The text has no end marker.
            await asyncio.sleep(0.05)
            text += self._said()
        return text.replace(ALIVE, b"").decode(errors="replace"), ALIVE in text

    def _said(self) -> bytes:
        try:
            return self._channel.recv(LONGEST_BYTES)
        except OSError:  # There is no data, or the worker has ended.
            return b""

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
        return not self.lives

    async def ended(self) -> None:
        await self._process.wait()
        self._channel.close()

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    @property
    def age(self) -> float:
        """Seconds since it was given work, or began to wait for it."""
        return time.monotonic() - self._began

    def ask_to_stop(self) -> None:
        self.send_signal(signal.SIGTERM)

    def say_it_is_replaced(self) -> None:
        """Ask it to stop, and let it know that another one has its sockets."""
        self._is_replaced = True
        self.send(REPLACED)

    def send(self, line: bytes) -> None:
        """Send a line to a worker that serves."""
        with suppress(OSError):  # It has ended or no longer reads.
            self._channel.send(line)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        # Not through the process object: that one may take the exit code from the loop's watcher
        # (python/cpython#87744).
        if self.lives:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended_within(self, timeout: float) -> None:
        """Return when it has ended; kill it when that takes longer than `timeout` seconds."""
        if not await self._ends_within(timeout):
            self.kill()
        await self.ended()

    def exit_code(self) -> ExitCode:
        """Return how an ended worker did its work.

        A signal's end is not clean, except where Python did not listen to it: before the worker
        served, and after it had drained because it was replaced.
        """
        code = self._process.returncode
        if code == -signal.SIGTERM and (self._is_replaced or not self.serves):
            return ExitCode.CLEAN
        return ExitCode(code) if code in set(ExitCode) else ExitCode.NOT_CLEAN

    def end(self) -> str:
        """Return how it ended, in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"signal {SIGNAL_NAMES.get(-code, -code)}"
