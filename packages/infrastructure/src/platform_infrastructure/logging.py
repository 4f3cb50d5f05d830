"""The log: one line per event on stderr, as JSON for machines or in colour for people.

The rest of the code says `from loguru import logger`, gives constant messages and puts the values
into keywords or `logger.contextualize(request_id=…)`. Never build a message from values and give
keywords with it: loguru would take the braces in those values for its own.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeAlias

import orjson
from loguru import logger

from platform_infrastructure.redaction import Json, cleaned_fields, cleaned_lines, is_harmless

if TYPE_CHECKING:
    from loguru import Message, Record

Fields: TypeAlias = dict[str, object]
Render: TypeAlias = Callable[[Fields, str | None], bytes]

NEVER_AWAITED = "was never awaited"

_RESERVED = frozenset({"time", "level", "logger", "message", "trace"})
# A dataclass is shown by its repr, which leaves out what its author told it to.
_JSON_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATACLASS

_DIM = "\x1b[2m"
_PLAIN = "\x1b[0m"
_COLOURS = {
    "DEBUG": "\x1b[34m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}


def configure(level: str, format: str) -> None:
    """Send everything that is logged, by whatever means, to today's stderr in one format.

    `level` is a loguru level's name in any case, `format` is `json` or `pretty`. A second call replaces the first. Raises
    ValueError when there is no such level.
    """
    level = level.upper()
    threshold = logger.level(level).no
    render = _json_line if format == "json" else partial(_pretty_line, colour=_is_colourful())

    logger.remove()
    logger.add(
        partial(_write, _raw(sys.stderr), render),
        level=level,
        format=lambda _: "{exception}",
        # Both would show the values of variables in a trace, secrets among them.
        diagnose=False,
        backtrace=False,
    )
    logging.basicConfig(handlers=[_Intercept()], level=threshold, force=True)
    # The pool announces every loan at INFO; only its troubles are news.
    logging.getLogger("psycopg.pool").setLevel(logging.WARNING)
    warnings.showwarning = _show_warning
    # By default, Python shows the warning only once per place.
    warnings.filterwarnings("always", f".*{NEVER_AWAITED}$", RuntimeWarning)


def _is_colourful() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and "NO_COLOR" not in os.environ


def _raw(stream: TextIO | None) -> BinaryIO | None:
    """Return what is under the stream's buffers.

    A line that could not be written must not wait in a buffer: Python would try again at its end
    and turn exit code 0 into 120.
    """
    if stream is None:
        return None
    buffer: BinaryIO = stream.buffer
    return getattr(buffer, "raw", buffer)


def _write(stream: BinaryIO | None, render: Render, message: "Message") -> None:
    trace = _trace(message)
    line = memoryview(render(_fields(message.record), trace))
    # A log that cannot be written has nobody to complain to, least of all its caller.
    with suppress(OSError, ValueError):
        while stream is not None and line:
            line = line[stream.write(line) or len(line) :]


def _fields(record: "Record") -> Fields:
    extra = record["extra"]
    if not _RESERVED.isdisjoint(extra):
        extra = {f"{name}_" if name in _RESERVED else name: extra[name] for name in extra}
    time = record["time"].astimezone(UTC).isoformat(timespec="milliseconds")
    return {
        "time": time.replace("+00:00", "Z"),
        "level": record["level"].name,
        "logger": record["name"],
        "message": record["message"],
        **extra,
    }


def _trace(message: "Message") -> str | None:
    """Return the only multi-line field: the exception's traceback, or the caller's `stack`."""
    stack = message.record["extra"].pop("stack", None)
    text = message if message.record["exception"] else stack
    return cleaned_lines(text.rstrip()) if text else None


def _json_line(fields: Fields, trace: str | None) -> bytes:
    line = _encoded(fields)
    if trace is None and is_harmless(line):
        return line
    clean = _clean(line)
    if trace is not None:
        clean["trace"] = trace
    return orjson.dumps(clean, option=_JSON_OPTIONS)


def _pretty_line(fields: Fields, trace: str | None, *, colour: bool) -> bytes:
    clean = _clean(_encoded(fields))
    time, level, name, message = (str(clean.pop(key)) for key in fields if key in _RESERVED)
    words = [time[11:], f"{level:<8}", f"{name}: {message}"]
    words += [f"{key}={_shown(value)}" for key, value in clean.items()]
    if colour:
        words = _painted(words, [_DIM, _COLOURS.get(level, ""), "", *[_DIM] * len(clean)])
    # The margin tells a trace from the lines that somebody may have put into an error's text.
    below = "" if trace is None else indent(trace, "    | ", lambda _: True) + "\n"
    return f"{' '.join(words)}\n{below}".encode()


def _painted(words: list[str], colours: list[str]) -> list[str]:
    pairs = zip(words, colours, strict=True)
    return [f"{colour}{word}{_PLAIN}" if colour else word for word, colour in pairs]


def _clean(line: bytes) -> dict[str, Json]:
    return cleaned_fields(orjson.loads(line))


def _shown(value: Json) -> str:
    if isinstance(value, str) and value and value.isascii() and not set(value) & set(" \"'="):
        return value
    return orjson.dumps(value).decode()


def _encoded(fields: Fields) -> bytes:
    try:
        return orjson.dumps(fields, default=_text, option=_JSON_OPTIONS)
    except orjson.JSONEncodeError:
        return orjson.dumps(
            {_text(name): _encodable(value) for name, value in fields.items()},
            default=_text,
            option=_JSON_OPTIONS,
        )


def _encodable(value: object) -> object:
    try:
        orjson.dumps(value, default=_text, option=_JSON_OPTIONS)
    except orjson.JSONEncodeError:
        return _text(value)
    return value


def _text(value: object) -> str:
    """Return the value in words that UTF-8 can hold, whatever it is."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001 - other people's __str__ may do anything.
        text = f"<{type(value).__name__}: str() raised {type(error).__name__}>"
    return text.encode(errors="backslashreplace").decode()


class _Intercept(logging.Handler):
    """Leads the standard library's log records into loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # Without arguments loguru takes the message as it is, braces and all.
        origin = partial(_set_origin, record)
        logger.opt(exception=error).patch(origin).log(_level(record), _message(record))


def _set_origin(origin: logging.LogRecord, record: "Record") -> None:
    record["name"] = origin.name
    record["function"] = origin.funcName or ""
    record["line"] = origin.lineno


def _level(record: logging.LogRecord) -> str | int:
    try:
        return logger.level(record.levelname).name
    except ValueError:
        return record.levelno


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit must not cost the line.
        return f"{_text(record.msg)} {_text(record.args)}"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    origin = logging.getLogger("py.warnings")
    level = logging.ERROR if _is_forgotten_await(message) else logging.WARNING
    origin.log(level, "%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def _is_forgotten_await(message: Warning | str) -> bool:
    """The work of the coroutine was not done, so this is an error like an exception."""
    return isinstance(message, RuntimeWarning) and str(message).endswith(NEVER_AWAITED)
