"""A second machine, as far as the network can tell, behind a link that can be cut without a word."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SYSTEM_FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class NoLink(Exception):
    """This machine has no network namespaces for us; the text says why."""


@dataclass(frozen=True)
class Link:
    """Between this machine, which is `host` there, and the namespace `name`."""

    name: str
    host: str

    def over_there(self, *command: str) -> list[str]:
        """Return the command that runs `command` at the other end."""
        return [_ip(), "netns", "exec", self.name, *command]

    def cut(self) -> None:
        """Lose all that is sent from now on, in either direction, and tell nobody."""
        _do("-n", self.name, "link", "set", "there", "down")


@contextmanager
def linked() -> Iterator[Link]:
    """Raises `NoLink`."""
    pid = os.getpid()
    # Addresses for tests of networks (RFC 2544), four for each process that runs this at once.
    network = f"198.{18 + (pid >> 14 & 1)}.{pid >> 6 & 255}"
    here, there = (f"{network}.{(pid & 63) * 4 + last}" for last in (1, 2))
    name = f"test{pid}"
    _do("netns", "add", name)
    try:
        _do("link", "add", name, "type", "veth", "peer", "name", "there", "netns", name)
        _do("address", "add", f"{here}/30", "dev", name)
        _do("link", "set", name, "up")
        _do("-n", name, "address", "add", f"{there}/30", "dev", "there")
        _do("-n", name, "link", "set", "there", "up")
        yield Link(name, here)
    finally:
        _do("netns", "delete", name)  # The link goes with it.


def _do(*arguments: str) -> None:
    done = subprocess.run([_ip(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoLink(done.stderr.strip())


def _ip() -> str:
    found = shutil.which("ip", path=SYSTEM_FOLDERS)
    if found is None:
        raise NoLink("the program ip is not installed")
    return found
