"""What a worker is told by its parent: one line of JSON on its standard input."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from socket import socket
from typing import Self

from platform_api.server.inherited import Inherited
from platform_api.server.parent import Parent


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The worker's number, the descriptors it inherits, and the database that it is lent, if any.

    `public_stays` is as in `Inherited`. A byte written to `ready` says that connections are
    accepted.
    """

    worker: int
    public: int
    public_stays: bool
    admin: int
    ready: int
    lent: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        return cls(**json.loads(line))

    @property
    def descriptors(self) -> tuple[int, int, int]:
        return self.public, self.admin, self.ready

    def taken(self, parent: Parent) -> Inherited:
        """Take over what is inherited. In the worker, once."""
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, False)
        return Inherited(
            worker=self.worker,
            public_stays=self.public_stays,
            is_replaced=lambda: parent.has_replaced_us,
            public=socket(fileno=self.public),
            admin=socket(fileno=self.admin),
            on_ready=self._tell_ready,
            on_second_signal=leave_it_to_the_parent,
        )

    def _tell_ready(self) -> None:
        with suppress(OSError):  # Nobody reads any more; the end of the input will tell as well.
            os.write(self.ready, b"\n")
        os.close(self.ready)


def leave_it_to_the_parent() -> None:
    """A service manager may signal the whole group while the parent passes its signal on.

    Whoever insists is heard by the parent, which then kills its workers.
    """
