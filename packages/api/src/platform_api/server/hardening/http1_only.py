"""HTTP/1.1 and nothing else."""

import h11
from hypercorn.protocol.h11 import H11Protocol


class Http1Only(H11Protocol):
    """Ignores an offer of HTTP/2, which RFC 9110, 7.8 allows.

    Removes: HTTP/2 in clear text, by upgrade and by prior knowledge, could not be switched off. A
    proxy that forwards `Upgrade: h2c` lets requests through that it never sees, and Hypercorn's
    HTTP/2 keeps the streams of clients that left.
    """

    async def _check_protocol(self, event: h11.Request) -> None:
        return
