"""The protocol between a worker and its parent, over the worker's standard input (a socket).

1. The parent sends an `Assignment` with the admin socket, at once or when a worker is needed.
2. The worker sends PREPARED: everything is open, and the start is unlikely to fail.
3. The parent sends the public socket. It does not do so earlier, because connections may be queued.
4. The worker sends READY: connections are accepted.
5. From now on the worker sends ALIVE regularly while its event loop runs. On the signal STACKS it
   sends the stacks of its threads.
6. The parent sends the result of the last reload, or REPLACED: stop, because another worker accepts
   the connections. End of file means stop too.

In steps 1 to 4 the sides take turns, so that two messages are never read as one.
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
    STACKS = signal.SIGURG  # Ignored by default, and not used for anything else here.


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
