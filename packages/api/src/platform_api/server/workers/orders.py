"""The worker's end of the conversation with its parent."""

import asyncio
import faulthandler
import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from socket import MSG_DONTWAIT, recv_fds, socket

from platform_api.server.inherited import Inherited
from platform_api.server.parent import ask_ourselves_to_stop
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
from platform_api.server.workers.last_reload import LastReload


class Orders:
    """Takes what the parent sends. Once there is work, the parent's end is a SIGTERM to us."""

    def __init__(self, channel: socket) -> None:
        channel.set_inheritable(False)  # A child that held it would hide our end from the parent.
        self._channel = channel
        self._public: Future[socket] = Future()
        self._is_replaced = False
        self._last_reload = LastReload()

    def work(self) -> tuple[Assignment, Inherited] | None:
        """Wait for work, and return it, or None when the parent ends without any."""
        message, admin = self._next()
        if admin is None:
            return None
        threading.Thread(target=self._follow, name="follow parent", daemon=True).start()
        # It is in C, so it works even while other code holds the GIL.
        faulthandler.register(STACKS, self._channel.fileno(), all_threads=True)
        assignment = Assignment.from_json(message)
        return assignment, Inherited(
            worker=assignment.worker,
            public_stays=assignment.public_stays,
            admin=admin,
            public=self._hand_over,
            on_ready=self._tell_ready,
            on_turn=self._tell_alive,
            on_second_signal=leave_it_to_the_parent,
            is_replaced=lambda: self._is_replaced,
            checks=[self._last_reload],
        )

    async def _hand_over(self) -> socket:
        self._tell(PREPARED)
        return await asyncio.wrap_future(self._public)

    def _tell_ready(self) -> None:
        self._tell(READY)

    def _tell_alive(self) -> None:
        self._tell(ALIVE, MSG_DONTWAIT)  # A suspended parent does not read.

    def _tell(self, word: bytes, flags: int = 0) -> None:
        with suppress(OSError):  # The parent is gone; end of file shows that too.
            self._channel.send(word, flags)

    def _follow(self) -> None:
        message, public = self._next()
        if message == PUBLIC and public is not None and self._public.set_running_or_notify_cancel():
            self._public.set_result(public)
            self._listen()
        ask_ourselves_to_stop()

    def _listen(self) -> None:
        with suppress(ConnectionError), self._channel.makefile("rb") as lines:
            for line in lines:
                if line == REPLACED:
                    self._is_replaced = True
                    return
                self._last_reload.take(line)

    def _next(self) -> tuple[bytes, socket | None]:
        try:
            message, descriptors, *_ = recv_fds(self._channel, LONGEST_BYTES, 1)
        except ConnectionError:  # It ended without having read what we told.
            return b"", None
        if not descriptors:
            return message, None
        os.set_inheritable(descriptors[0], False)
        return message, socket(fileno=descriptors[0])


def leave_it_to_the_parent() -> None:
    """A service manager may signal the whole group while the parent passes its signal on.

    Whoever insists is heard by the parent, which then kills its workers.
    """
