"""The connections that wait to be accepted when a server stops."""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# A classic BPF program, as in socket(7): (code, true, false, k) per instruction. The packet begins
# with the TCP header, whose byte 13 has the flags.
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # then drop the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)


def let_nobody_else_in(listening: socket.socket) -> None:
    """Take no new connection; those that wait already can still be accepted.

    Closing a listening socket resets what waits in its queue, although clients have sent their
    requests there. Linux only; elsewhere, and in a sandbox without such filters, nothing changes. A
    client's next attempt, after a second, finds another listening socket or is refused.
    """
    if sys.platform != "linux":
        return
    instructions = b"".join(struct.pack("=HBBI", *each) for each in DROP_SYN)
    program = ctypes.create_string_buffer(instructions, len(instructions))
    described = struct.pack("@HP", len(DROP_SYN), ctypes.addressof(program))
    with suppress(OSError):  # The stop goes on without it.
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
