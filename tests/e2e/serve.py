"""Starts the real command `serve` in a folder of its own, with nothing of ours in its environment."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platform_config import env_example
from tests.processes import Program

COMMANDS = Path(sys.executable).parent
SETTINGS = {line[1:].partition("=")[0] for line in env_example().splitlines() if "=" in line}


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting, and any free ports."""
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return clean | {"PORT": "0", "ADMIN_PORT": "0", "PYTHONUNBUFFERED": "1"} | dict(settings)


def spawn(command: list[str], folder: Path, settings: Mapping[str, str]) -> Program:
    return Program(
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[Program]:
    """Run `serve`; whatever happens, it is gone afterwards."""
    program = spawn([str(COMMANDS / "serve")], folder, settings)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def listening(folder: Path, **settings: str) -> Iterator[Program]:
    """Run `serve` and wait until it is ready."""
    with started(folder, **settings) as program:
        program.wait_until_listening()
        yield program


def run(command: str, *arguments: str, folder: Path, **settings: str) -> tuple[int, str]:
    """Run one of our commands to its end; return exit code and output."""
    done = subprocess.run(
        [str(COMMANDS / command), *arguments],
        cwd=folder,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
