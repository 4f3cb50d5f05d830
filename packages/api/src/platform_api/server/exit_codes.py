"""What the process says when it ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """70 is EX_SOFTWARE of sysexits.h, 130 is 128 + SIGINT as shells report it."""

    CLEAN = 0
    START_UP_FAILED = 1
    NOT_CLEAN = 70
    FORCED = 130
