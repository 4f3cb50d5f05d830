"""PgBouncer of the system, in front of one database, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest

from tests.processes import Program

PORT = 6432  # Of a socket in a folder, where nobody else's is.
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))

CONFIGURATION = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {size}
ignore_startup_parameters = {ignored}
"""


@contextmanager
def pooled(url: str, *, size: int = 4, ignored: str = "options") -> Iterator[str]:
    """Run PgBouncer with transaction pooling in front of `url`; return the URL through it."""
    program = _program()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        _configure(folder, url, size=size, ignored=ignored)
        bouncer = _spawn(program, folder)
        try:
            bouncer.wait_for("process up")
            yield _through(url, folder)
        finally:
            bouncer.end()


def _program() -> str:
    program = shutil.which("pgbouncer", path=PLACES)
    if program is None:
        pytest.skip(f"no PgBouncer is installed on this {sys.platform}{_excuse()}")
    return program


def _excuse() -> str:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return "" if is_root else ", and only root can install it"


def _configure(folder: Path, url: str, *, size: int, ignored: str) -> None:
    server = psycopg.conninfo.conninfo_to_dict(url)
    (folder / "users.txt").write_text(f'"{server["user"]}" "{server["password"]}"\n')
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=server["host"],
            port=server.get("port", 5432),
            own_port=PORT,
            folder=folder,
            size=size,
            ignored=ignored,
        )
    )


def _spawn(program: str, folder: Path) -> Program:
    account = _account()
    if account is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, account, account)
    process = subprocess.Popen(
        [program, str(folder / "pgbouncer.ini")],
        cwd=folder,
        user=account,
        group=account,
        extra_groups=None if account is None else [],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Program(process)


def _account() -> int | None:
    """Return whom to run it as: PgBouncer refuses to be root."""
    import pwd  # Windows has none, and no PgBouncer of ours.

    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _through(url: str, folder: Path) -> str:
    server = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(url).items()}
    who = f"{quote(server['user'])}:{quote(server['password'])}"
    where = urlencode({"host": folder, "port": PORT})
    return f"postgresql://{who}@/{quote(server['dbname'])}?{where}"
