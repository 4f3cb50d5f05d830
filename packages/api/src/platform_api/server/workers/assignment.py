"""What a worker and its parent say to each other, over a socket: the worker's standard input.

1. The parent sends an `Assignment` with the admin socket, at once or when a worker is needed.
2. The worker says PREPARED: everything is open, and the start can hardly fail any more.
3. The parent sends the public socket. Not before: connections may be waiting in it.
4. The worker says READY: connections are accepted.
5. From now on the worker says ALIVE whenever its event loop turns. A signal, STACKS, makes it send
   where its threads are.
6. The parent sends lines: how the last reload went, or REPLACED: stop, another one accepts the
   connections. The end of what it says means stop, too.

Up to 4 nobody speaks twice in a row, so that no two messages are read as one.
"""

import json
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Self

PREPARED = b"p"
PUBLIC = b"public"
READY = b"r"
ALIVE = b"\0"  # A byte that no stack has.
REPLACED = b"replaced\n"
LONGEST_BYTES = 65_536

if sys.platform != "win32":
    STACKS = signal.SIGURG  # Ignored until a process listens to it, and used by nothing else here.


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The worker's number, and the URL of the database that it is lent, or an empty string.

    `public_stays` is as in `Inherited`.
    """

    worker: int
    public_stays: bool
    lent: str

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, message: bytes) -> Self:
        return cls(**json.loads(message))
