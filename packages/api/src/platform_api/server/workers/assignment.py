"""What a worker and its parent say to each other, over a socket: the worker's standard input.

1. The parent sends an `Assignment` with the admin socket, at once or when a worker is needed.
2. The worker says PREPARED: everything is open, and the start can hardly fail any more.
3. The parent sends the public socket. Not before: connections may be waiting in it.
4. The worker says READY: connections are accepted.
5. The parent says REPLACED: stop, another one accepts them. The end of what it says means stop, too.

Nobody speaks twice in a row before 5, so that no two messages are read as one.
"""

import json
from dataclasses import asdict, dataclass
from typing import Self

PREPARED = b"p"
PUBLIC = b"public"
READY = b"r"
REPLACED = b"replaced"
LONGEST_BYTES = 65_536


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
