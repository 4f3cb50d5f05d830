"""The real `serve`, started as an admin starts it, with its log in a file."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platform_api.serve import PROGRAM
from platform_config import env_example
from platform_domain.startup import StartupError

START_SECONDS = 30.0
END_SECONDS = 40.0
LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")
ALL_LISTENING = re.compile(r"workers serve http://127\.0\.0\.1:(\d+)")
SETTINGS = {line[1:].partition("=")[0] for line in env_example().splitlines() if "=" in line}
PRODUCTION = {
    "APP_ENV": "production",
    "AUTHENTICATOR": "anonymous",
    "PORT": "0",
    "ADMIN_PORT": "0",
}


class ServerFailed(StartupError):
    """The server did not do what the drill needs. The text ends with its log."""


class Server:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = 0
        self._process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for a line of the log. Raises `ServerFailed`."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self._process.poll() is None:
            if found := pattern.search(self.log()):
                return found
            time.sleep(0.02)
        raise ServerFailed(f"serve never said {pattern.pattern!r}:\n{self.log()}")

    def tell(self, signal: signal.Signals) -> None:
        self._process.send_signal(signal)

    def end(self) -> int:
        """Wait for the end and return the exit code. Raises `ServerFailed`."""
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"serve does not end:\n{self.log()}") from None


def logs(folder: Path) -> list[Path]:
    """Return the logs of all servers that ran in `folder`."""
    return sorted(folder.glob("serve-*.log"))


@contextmanager
def serving(folder: Path, settings: Mapping[str, str], *, workers: int) -> Iterator[Server]:
    """Run `serve` in `folder` until it listens; afterwards it is gone, whatever happened."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = folder / f"serve-{len(logs(folder))}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*PROGRAM, "--workers", str(workers)],
            cwd=folder,
            env=inherited | PRODUCTION | dict(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = Server(process, path)
    try:
        server.port = int(server.wait_for(LISTENING if workers == 1 else ALL_LISTENING)[1])
        yield server
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
