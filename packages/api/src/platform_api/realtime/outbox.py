"""What waits to be written to one socket."""

import struct
from collections import Counter

from platform_api.realtime.messages import Dropped
from platform_api.realtime.topic import SlowPolicy

FINAL_TEXT = 0x81
MAX_MESSAGES = 256
MAX_BYTES = 1_048_576


class Text:
    """A message as JSON, and the topic of an event. What is told to many is made only once."""

    __slots__ = ("_frame", "_json", "data", "topic")

    def __init__(self, data: bytes, topic: str | None = None) -> None:
        self.data = data
        self.topic = topic
        self._json: str | None = None
        self._frame: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes on the wire, without the frame's head."""
        return len(self.data)

    @property
    def json(self) -> str:
        if self._json is None:
            self._json = self.data.decode()
        return self._json

    @property
    def frame(self) -> bytes:
        """The message as one WebSocket frame, as servers send it: final, text, unmasked
        (RFC 6455, 5.2)."""
        if self._frame is None:
            self._frame = _head(len(self.data)) + self.data
        return self._frame


def _head(length: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", FINAL_TEXT, length)
    if length < 65_536:
        return struct.pack("!BBH", FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", FINAL_TEXT, 127, length)


class OutboxFull(Exception):
    """The peer reads more slowly than it is told."""


class Outbox:
    """A queue bounded by count and bytes.

    A list, because the little that waits is quickly moved, and an empty deque takes 760 bytes for
    each idle socket.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: list[Text] = []
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._closed = False

    def put(self, text: Text, slow: SlowPolicy = SlowPolicy.DISCONNECT) -> int:
        """Add a message and return how many of its topic had to go for it; ignored once closed.

        Raises `OutboxFull` when it does not fit and nothing may go.
        """
        if self._closed:
            return 0
        dropped = self._make_room(text, slow)
        if not self._fits(text):
            raise OutboxFull
        self._waiting.append(text)
        self._bytes += text.size
        return dropped

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def close(self, *, discard: bool) -> None:
        """Take no more; `discard` what waits, or leave it to be read."""
        self._closed = True
        if discard:
            self._waiting.clear()

    def take(self) -> Text | None:
        """Take out the next message, or None when nothing waits."""
        if not self._waiting:
            return None
        topic = self._waiting[0].topic
        if topic is not None and (count := self._dropped.pop(topic, 0)):
            return Text(Dropped(topic=topic, count=count).model_dump_json().encode())
        text = self._waiting.pop(0)
        self._bytes -= text.size
        return text

    def _fits(self, text: Text) -> bool:
        return (
            len(self._waiting) < self._max_messages and self._bytes + text.size <= self._max_bytes
        )

    def _make_room(self, text: Text, slow: SlowPolicy) -> int:
        """Leave out waiting events of the topic as its policy says; return how many."""
        dropped = 0
        if slow is SlowPolicy.LATEST_ONLY:
            while self._drop_oldest(text.topic):
                dropped += 1
        if slow is SlowPolicy.DROP_OLDEST:
            while not self._fits(text) and self._drop_oldest(text.topic):
                dropped += 1
        return dropped

    def _drop_oldest(self, topic: str | None) -> bool:
        oldest = next((waiting for waiting in self._waiting if waiting.topic == topic), None)
        if oldest is None or topic is None:
            return False
        self._waiting.remove(oldest)
        self._bytes -= oldest.size
        self._dropped[topic] += 1
        return True
