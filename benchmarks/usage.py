"""What a process has used, as Linux tells it in /proc (proc(5))."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time since the process began, in seconds, and resident memory, in bytes; and the load
    average of the machine over the last minute, since others may be at work on it."""

    cpu: float
    memory: int
    load: float

    @classmethod
    def of(cls, pid: int) -> Self:
        process = Path("/proc") / str(pid)
        # The second field is the program's name in brackets, which may hold blanks.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]), int(fields[12])
        pages = int((process / "statm").read_text().split()[1])
        return cls(
            cpu=(user + system) / os.sysconf("SC_CLK_TCK"),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
            load=os.getloadavg()[0],
        )

    @property
    def mebibytes(self) -> str:
        return f"{self.memory / 2**20:.0f} MiB"
