"""What a process writes to stdout and stderr, whatever becomes of the reader.

Each story is a process of its own, whose streams are real pipes and files.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Looks at POSIX pipes.")

PATIENCE_SECONDS = 30.0
BEGIN = """
import os, sys
from platform_api.server.standard_streams import install
install()
def write(first, last, stream=sys.stderr):
    for number in range(first, last):
        print(f"{number:04}", "x" * 994, file=stream)
"""
LOG = """
from platform_api.server.standard_streams import drain_before_the_log_ends
from platform_infrastructure.logging import configure
configure("INFO", "json")
drain_before_the_log_ends()
"""
LINES = 3000  # Three times what waits in memory, and 46 times what a pipe takes.


def started(story: str, stdout: int, stderr: int, *passed: int) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + story],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=passed,
    )


def told(story: str) -> tuple[int, str]:
    """Return the exit code and all of stderr, which is read the whole time."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + story],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr


def numbers(lines: list[str]) -> list[int]:
    return [int(line[:4]) for line in lines if re.fullmatch(r"\d{4} x{994}", line)]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_writing_to_a_full_pipe_does_not_wait_and_what_was_dropped_is_counted(
    stream: str,
) -> None:
    ours, theirs = os.pipe()
    story = f"write(0, {LINES}, sys.{stream})\nos.close({theirs})\nsys.stdin.read()"
    with started(LOG + story, subprocess.PIPE, subprocess.PIPE, theirs) as process:
        os.close(theirs)
        with open(ours, "rb") as written:
            written.read()
        lines = b"".join(process.communicate(timeout=PATIENCE_SECONDS)).decode().splitlines()

    kept = numbers(lines)
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    assert kept == sorted(set(kept))
    assert 1000 < len(kept) < LINES
    assert len(kept) + sum(report["lines"] for report in reports) == LINES
    assert len(kept) + len(reports) == len(lines)
    for report in reports:
        assert (report["message"], report["stream"]) == ("Output dropped", stream)
        assert report["level"] == "ERROR"


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("end_at_once()", 130)])
def test_a_process_ends_in_time_although_nothing_reads_what_it_wrote(end: str, code: int) -> None:
    story = f"from platform_api.server.signals import end_at_once\nwrite(0, {LINES})\n{end}"
    with started(story, subprocess.DEVNULL, subprocess.PIPE) as process:
        assert process.wait(PATIENCE_SECONDS) == code


@pytest.mark.parametrize(
    ("end", "code"), [("sys.exit(3)", 3), ("1 / 0", 1), ("end_at_once()", 130)]
)
def test_no_line_is_lost_at_the_end_when_the_reader_reads(end: str, code: int) -> None:
    story = f"from platform_api.server.signals import end_at_once\nwrite(0, 1000)\n{end}"
    found, text = told(story)

    assert found == code
    assert numbers(text.splitlines()) == [*range(1000)]
    assert text.splitlines()[1000:] == [] or text.endswith("ZeroDivisionError: division by zero\n")


def test_a_line_can_be_written_in_pieces() -> None:
    story = "print('a', end='', file=sys.stderr, flush=True); print('b', 'c', file=sys.stderr)"

    assert told(story) == (0, "ab c\n")


def test_a_reader_that_is_gone_changes_nothing() -> None:
    with started(
        "write(0, 100)\nos.write(1, b'lives')\nsys.stdin.read()",
        subprocess.PIPE,
        subprocess.PIPE,
    ) as process:
        process.stderr.close()
        assert os.read(process.stdout.fileno(), 5) == b"lives"
        process.stdin.close()

        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_disk_that_was_full_gets_whole_lines_again(tmp_path: Path) -> None:
    story = """
import resource
from platform_api.server.standard_streams import drain
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
write(0, 10)
drain()
write(10, 11)
drain()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
write(11, 12)
"""
    path = tmp_path / "log"
    with (
        path.open("wb") as file,
        started(LOG + story, subprocess.DEVNULL, file.fileno()) as process,
    ):
        assert process.wait(PATIENCE_SECONDS) == 0

    lines = path.read_text().splitlines()
    assert len(lines) == 5
    assert numbers(lines) == [0, 1, 11]
    assert lines[2] == "0002 " + "x" * 495
    assert json.loads(lines[-1])["lines"] == 9


def test_a_pipe_that_another_process_made_non_blocking_loses_nothing() -> None:
    code, text = told("os.set_blocking(2, False)\nwrite(0, 800)")

    assert code == 0
    assert numbers(text.splitlines()) == [*range(800)]


def test_lines_of_several_processes_do_not_mix() -> None:
    ours, theirs = os.pipe()
    story = "for number in range(4): write(100 * number, 100 * number + 100); time.sleep(0.02)"
    processes = [started("import time\n" + story, subprocess.DEVNULL, theirs) for _ in range(3)]
    os.close(theirs)
    with open(ours, "rb", buffering=0) as reading:
        text = b""
        while piece := reading.read(10_000):
            text += piece
            time.sleep(0.001)  # The pipe is full most of the time.
    for process in processes:
        with process:
            assert process.wait(PATIENCE_SECONDS) == 0

    lines = text.decode().splitlines()
    assert len(lines) == len(numbers(lines)) > 600  # What a busy machine takes over 1 s is lost.


def test_a_forked_process_writes_as_well() -> None:
    story = """
import warnings
warnings.simplefilter("ignore")  # Newer Pythons advise against it.
print("parent", file=sys.stderr)
if child := os.fork():
    os.waitpid(child, 0)
else:
    print("child", file=sys.stderr)
"""
    assert sorted(told(story)[1].splitlines()) == ["child", "parent"]


def test_missing_descriptors_are_opened_before_anything_takes_their_place() -> None:
    story = """
import socket
print("nobody reads this"); print("nor this", file=sys.stderr)
assert not sys.stdout.isatty() and not sys.stderr.isatty()
inherited = all(map(os.get_inheritable, range(3)))
sys.exit(5 if inherited and socket.socket().fileno() > 2 and sys.stdin.read() == "" else 6)
"""
    shell = 'exec "$0" -c "$1" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", shell, sys.executable, BEGIN + story], check=False)

    assert done.returncode == 5
