"""The log as its readers get it: bytes on stderr."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from hypercorn.config import Config
from loguru import logger

from platform_infrastructure.logging import configure

CANARY = "c4n4ry-S3cr3t"


class Stderr:
    """Stands in for stderr while something is logged."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self._bytes = io.BytesIO()
        self.stream = io.TextIOWrapper(self._bytes, encoding="utf-8")
        self.stream.isatty = lambda: is_terminal  # type: ignore[method-assign]

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    root, pool = logging.getLogger(), logging.getLogger("psycopg.pool")
    handlers, levels, show = root.handlers[:], (root.level, pool.level), warnings.showwarning
    yield
    logger.remove()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    pool.setLevel(levels[1])
    warnings.showwarning = show


def configured(
    monkeypatch: pytest.MonkeyPatch,
    format: Literal["json", "pretty"],
    *,
    level: str = "DEBUG",
    is_terminal: bool = False,
) -> Stderr:
    stderr = Stderr(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", stderr.stream)
    configure(level, format)
    return stderr


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Stderr:
    return configured(monkeypatch, "json")


@pytest.fixture
def as_pretty(monkeypatch: pytest.MonkeyPatch) -> Stderr:
    return configured(monkeypatch, "pretty")


@pytest.fixture(params=["json", "pretty"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stderr:
    return configured(monkeypatch, request.param)


def test_an_event_is_one_flat_json_line(as_json: Stderr) -> None:
    logger.info("Request answered", method="GET", status=200, seconds=0.25)

    line = as_json.line
    assert line.pop("time")[10] == "T"
    assert line == {
        "level": "INFO",
        "logger": __name__,
        "message": "Request answered",
        "method": "GET",
        "status": 200,
        "seconds": 0.25,
    }


def test_the_time_is_utc_with_milliseconds(as_json: Stderr) -> None:
    logger.info("now")

    assert len(as_json.line["time"]) == len("2026-01-01T00:00:00.000Z")
    assert as_json.line["time"].endswith("Z")


def test_every_line_of_a_request_carries_its_ids(as_json: Stderr) -> None:
    with logger.contextualize(request_id="r-1", trace_id="t-1"):
        logger.info("from loguru")
        logging.getLogger("library").warning("from the standard library")
    logger.info("afterwards")

    first, second, third = as_json.lines
    assert (first["request_id"], first["trace_id"]) == ("r-1", "t-1")
    assert (second["request_id"], second["trace_id"]) == ("r-1", "t-1")
    assert "request_id" not in third


def test_the_pretty_line_shows_the_ids_too(as_pretty: Stderr) -> None:
    with logger.contextualize(request_id="r-1"):
        logger.warning("Slow query", query="find project")

    [line] = as_pretty.text.splitlines()
    assert f'WARNING  {__name__}: Slow query request_id=r-1 query="find project"' in line


def test_only_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = configured(monkeypatch, "pretty", is_terminal=True)
    logger.info("to a terminal", size=3)
    file = configured(monkeypatch, "pretty")
    logger.info("to a file", size=3)

    assert "\x1b[32mINFO" in terminal.text
    assert "\x1b" not in file.text


def test_a_terminal_without_colours_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stderr = configured(monkeypatch, "pretty", is_terminal=True)
    logger.info("plain")

    assert "\x1b" not in stderr.text


def test_what_is_below_the_level_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = configured(monkeypatch, "json", level="warning")
    logger.info("quiet")
    logging.getLogger("library").info("quiet")
    logger.warning("loud")
    logging.getLogger("library").warning("loud")

    assert [line["message"] for line in stderr.lines] == ["loud", "loud"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="CHATTY"):
        configure("chatty", "json")


def test_configuring_again_replaces_instead_of_doubling(monkeypatch: pytest.MonkeyPatch) -> None:
    before = configured(monkeypatch, "json")
    after = configured(monkeypatch, "json")
    logger.info("once")
    logging.getLogger("library").info("once")

    assert before.text == ""
    assert len(after.lines) == 2


def test_a_field_cannot_take_the_place_of_ours(as_json: Stderr) -> None:
    logger.bind(time="never", logger="me", trace="none").error("true", level="DEBUG")

    line = as_json.line
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", __name__, "true")
    assert (line["level_"], line["logger_"], line["time_"]) == ("DEBUG", "me", "never")
    assert "trace" not in line


FORGERIES = ["\r\n", "\n", "\x1b[2K\r", "\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c"]


@pytest.mark.parametrize("separator", FORGERIES)
def test_nobody_can_forge_a_line(either: Stderr, separator: str) -> None:
    forged = f"x{separator}00:00:00.000Z INFO root: all is well"
    logger.warning(forged)
    logger.warning("path", path=forged, nested={forged: [forged]})
    logging.getLogger("library").warning("%s", forged)

    assert len(either.text.splitlines()) == 3
    assert separator not in either.text[:-1].replace("\n", "", 2)


def test_nobody_can_forge_a_field(as_pretty: Stderr) -> None:
    logger.warning("path", path="/x request_id=forged", other="a=b")

    assert 'path="/x request_id=forged" other="a=b"' in as_pretty.text


def fail_with(text: str) -> None:
    raise ValueError(text)


def log_a_chain_of_errors() -> None:
    try:
        try:
            fail_with(f"cannot reach postgresql://app:{CANARY}@db/app")
        except ValueError as error:
            local_password = CANARY
            raise RuntimeError(f"gave up: token={local_password}\x1b[2J") from error
    except RuntimeError:
        logger.exception("Request failed")


def test_an_exception_is_one_field_with_its_whole_chain(as_json: Stderr) -> None:
    log_a_chain_of_errors()

    trace = as_json.line["trace"]
    assert "ValueError: cannot reach postgresql://app:***@db/app\n" in trace
    assert "The above exception was the direct cause of the following exception:" in trace
    assert trace.endswith("RuntimeError: gave up: token=***")
    assert "in fail_with" in trace


def test_a_trace_shows_neither_secrets_nor_values_nor_escapes(either: Stderr) -> None:
    log_a_chain_of_errors()

    assert CANARY not in either.text
    assert "\x1b" not in either.text
    assert "RuntimeError: gave up" in either.text


def test_a_pretty_trace_stands_apart_from_the_lines(as_pretty: Stderr) -> None:
    try:
        fail_with("x\n00:00:00.000Z INFO root: all is well\n")
    except ValueError:
        logger.exception("Request failed")

    first, *trace = as_pretty.text.splitlines()
    assert first.endswith("Request failed")
    assert all(line.startswith("    | ") for line in trace)


def test_a_stack_stands_where_an_exceptions_does(as_json: Stderr) -> None:
    logger.warning(
        "Stuck", stack=f'  File "a.py", line 1, in f\n    token={CANARY}\n', thread="main"
    )

    line = as_json.line
    assert line["trace"] == '  File "a.py", line 1, in f\n    token=***'
    assert (line["thread"], "stack" in line) == ("main", False)


def test_a_pretty_stack_stands_apart_from_the_lines(as_pretty: Stderr) -> None:
    logger.warning("Stuck", stack="first\nsecond\n")

    assert as_pretty.text.splitlines()[1:] == ["    | first", "    | second"]


def test_an_exception_group_is_told_whole(as_json: Stderr) -> None:
    group = ExceptionGroup("both", [ValueError("first"), KeyError("second")])
    logger.opt(exception=group).error("Tasks failed")

    assert "ValueError: first" in as_json.line["trace"]
    assert "KeyError: 'second'" in as_json.line["trace"]


@dataclass
class Login:
    name: str
    password: str = field(repr=False)


def test_a_canary_never_sings(either: Stderr) -> None:
    url = f"postgresql://app:{CANARY}@db/app"
    headers = [(b"authorization", f"Basic {CANARY}".encode()), (b"cookie", CANARY.encode())]
    with logger.contextualize(request_id="r-1", password=CANARY):
        logger.info(f"connecting to {url}")
        logger.info("Connecting", url=url, dsn={"password": CANARY}, login=Login("ada", CANARY))
        logger.info("Headers", headers=headers, as_text=str(headers))
        logging.getLogger("library").warning("%s", {"Authorization": f"Bearer {CANARY}"})
        logging.getLogger("library").warning("retry ?access_token=%s", CANARY)
        log_a_chain_of_errors()

    assert either.text.count("r-1") == 6
    assert CANARY not in either.text


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("ünïcödé 🎨", "ünïcödé 🎨"),
        ("\ud800", "\\ud800"),
        ('"},{"level":"INFO', '"},{"level":"INFO'),
        ("{0} {evil} }{ %s %(x)d", "{0} {evil} }{ %s %(x)d"),
        ("back\\slash", "back\\slash"),
        ("<red>markup</red>", "<red>markup</red>"),
        (b"\xff\x00 bytes", "\\xff\\x00 bytes"),
        (float("nan"), None),
        (2**70, str(2**70)),
        (Decimal("1.10"), "1.10"),
        (UUID(int=5), str(UUID(int=5))),
        ({1: "one"}, "{1: 'one'}"),
        ({"a"}, "{'a'}"),
        (CYCLE, "[[...]]"),
        (ValueError("x"), "x"),
        (Login("ada", CANARY), "Login(name='ada')"),
        (Unprintable(), "<Unprintable: str() raised RuntimeError>"),
        ([1, None, {"deep": [True]}], [1, None, {"deep": [True]}]),
    ],
)
def test_whatever_is_logged_the_line_is_json(as_json: Stderr, value: object, shown: object) -> None:
    logger.info("odd", value=value, other=1)

    assert as_json.line["value"] == shown
    assert as_json.line["other"] == 1


@pytest.mark.parametrize("text", ["\ud800", "{evil}", "{", "%s %d", "<red>", "\x00", "x" * 100_000])
def test_whatever_the_message_is_it_is_logged(either: Stderr, text: str) -> None:
    logger.info(text)
    logging.getLogger("library").info(text)

    assert len(either.text.splitlines()) == 2


def test_a_pretty_line_shows_odd_values_too(as_pretty: Stderr) -> None:
    logger.info("odd", a=Unprintable(), b="\ud800", c=None, d="")

    assert 'a="<Unprintable: str() raised RuntimeError>"' in as_pretty.text
    assert 'c=null d=""' in as_pretty.text


def test_the_standard_library_logs_here_under_its_own_name(as_json: Stderr) -> None:
    logging.getLogger("some.library").error("%d of {evil} failed", 3)

    line = as_json.line
    assert (line["logger"], line["level"]) == ("some.library", "ERROR")
    assert line["message"] == "3 of {evil} failed"


def test_a_level_loguru_does_not_know_is_kept_as_a_number(as_json: Stderr) -> None:
    logging.getLogger("library").log(25, "in between")

    assert as_json.line["level"] == "Level 25"


def test_arguments_that_do_not_fit_do_not_cost_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = configured(monkeypatch, "json")  # Here, for pytest's own handler would raise.
    logging.getLogger("library").error("%d items", "many")

    assert stderr.line["message"] == "%d items ('many',)"


def test_an_exception_of_the_standard_library_keeps_its_trace(as_json: Stderr) -> None:
    try:
        fail_with("broken")
    except ValueError:
        logging.getLogger("library").exception("It failed")

    assert as_json.line["trace"].endswith("ValueError: broken")


def test_a_callback_that_fails_in_asyncio_is_logged_once(as_json: Stderr) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(fail_with, "in a callback")
        await asyncio.sleep(0)

    asyncio.run(main())

    [line] = [line for line in as_json.lines if line["level"] == "ERROR"]
    assert line["logger"] == "asyncio"
    assert line["trace"].endswith("ValueError: in a callback")


def test_what_hypercorn_reports_is_logged_once(as_json: Stderr) -> None:
    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")

    asyncio.run(config.log.error("Error in ASGI Framework"))

    [line] = [line for line in as_json.lines if line["logger"] == "hypercorn.error"]
    assert line["message"] == "Error in ASGI Framework"


def test_of_the_pool_only_troubles_are_logged(as_json: Stderr) -> None:
    pool = logging.getLogger("psycopg.pool")
    pool.info("connection given by 'pool-1'")
    pool.warning("error connecting in 'pool-1'")

    assert as_json.line["message"] == "error connecting in 'pool-1'"


def test_a_warning_is_a_line_of_its_own(as_json: Stderr) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old {ways}", DeprecationWarning, stacklevel=1)

    line = as_json.line
    assert (line["logger"], line["level"]) == ("py.warnings", "WARNING")
    assert line["message"].startswith("DeprecationWarning: old {ways} (")


async def publish() -> None: ...


def test_a_forgotten_await_is_an_error_each_time(as_json: Stderr) -> None:
    for _ in range(2):
        publish()  # type: ignore[unused-coroutine]

    for line in as_json.lines:
        assert (line["logger"], line["level"]) == ("py.warnings", "ERROR")
        assert line["message"].startswith("RuntimeWarning: coroutine 'publish' was never awaited (")
        assert f"{__file__}:" in line["message"]
    assert len(as_json.lines) == 2


def test_lines_of_many_threads_do_not_mix(as_json: Stderr) -> None:
    def chatter() -> None:
        for number in range(50):
            logger.info("chatter", number=number)

    threads = [threading.Thread(target=chatter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(as_json.lines) == 400


LOG_THEN_LIVE_ON = """
import sys
from loguru import logger
from platform_infrastructure.logging import configure

sys.stdin.read()
configure("INFO", "json")
for _ in range(1000):
    logger.info("nobody reads this")
print("still here")
"""


def test_a_broken_stderr_disturbs_nobody() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOG_THEN_LIVE_ON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.close()
        process.stderr = None
        output, _ = process.communicate("", timeout=60)

    assert output == "still here\n"
    assert process.returncode == 0


def test_a_closed_stderr_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = configured(monkeypatch, "json")
    stderr.stream.close()

    logger.info("into the void")


def test_a_process_without_stderr_can_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    configure("INFO", "pretty")

    logger.info("into the void")


def test_a_real_process_writes_its_lines_to_stderr() -> None:
    command = [sys.executable, "-c", LOG_THEN_LIVE_ON]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 1000
    assert {line["logger"] for line in lines} == {"__main__"}
