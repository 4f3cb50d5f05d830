"""Every regular expression of ours takes time in proportion to its text."""

import ast
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from platform_api.realtime.topic import Topic, only_oneself
from platform_api.server.hardening import strict_http
from platform_infrastructure import redaction

PACKAGES = Path(__file__).parent.parent / "packages"
METHODS = {"finditer", "findall", "fullmatch", "match", "search", "split", "sub"}
SHORT, LONG = 16 * 1024, 64 * 1024
GROWTH = 8.0  # Between the 4 of linear and the 16 of quadratic time.
FLOOR = 0.004  # Seconds of processor time for the long text, too few to compare.


@dataclass(frozen=True)
class Nasty:
    """`head`, then `pump` again and again, then `tail`: what makes a bad expression go back."""

    head: str = ""
    pump: str = " "
    tail: str = "\0"

    def text(self, length: int) -> str:
        times = length // len(self.pump)
        return self.head + self.pump * times + self.tail


# By module and name, or function where it has none. Add the worst texts for yours.
NASTIEST: dict[str, Sequence[Nasty]] = {
    "platform_api.authenticators:USER": [Nasty(pump="a")],
    "platform_api.feature:WORD": [Nasty(pump="a"), Nasty(pump="A")],
    "platform_api.load_shedding:_FIELD": [
        Nasty(pump="\nhost:"),
        Nasty(pump="\ncontent-lengt"),
        Nasty(head="\nhost:"),
    ],
    "platform_api.load_shedding:_HEAD": [
        Nasty(head="GET /", pump="a"),
        Nasty(head="GET / HTTP/1.1\r\n", pump="a:\r\n"),
        Nasty(head="GET / HTTP/1.1\r\na:"),
        Nasty(head="GET / HTTP/1.1\r\n", pump="a"),
    ],
    "platform_api.load_shedding:_LENGTH": [Nasty(pump="1")],
    "platform_api.media_type:ESCAPED": [Nasty(pump="\\", tail="")],
    "platform_api.media_type:MEDIA_TYPE": [
        Nasty(),
        Nasty(pump="a"),
        Nasty("a/b;"),
        Nasty("a/b", "; "),
        Nasty("a/b;c=", "d"),
        Nasty('a/b;c="', "d"),
        Nasty('a/b;c="', "\\"),
        Nasty("a/b", ";c=d"),
    ],
    "platform_api.media_type:PARAMETER": [
        Nasty(pump=";"),
        Nasty(pump="; "),
        Nasty(pump=";a"),
        Nasty(';a="', ";"),
    ],
    "platform_api.operation:PATH": [
        Nasty("/", "a"),
        Nasty(pump="/a"),
        Nasty(pump="/{a}"),
        Nasty("/a/{", "a"),
        Nasty("/a/", "{a}"),
    ],
    "platform_api.realtime.topic:PARAMETER": [Nasty(pump="{"), Nasty(pump="{a"), Nasty("{", "a")],
    "platform_api.realtime.topic:Topic.__post_init__": [Nasty(pump="-", tail=":")],
    "platform_api.realtime.topic:PATTERN": [
        Nasty(pump="a", tail=" "),
        Nasty(pump="a:", tail=" "),
        Nasty(pump="{a}-", tail=" "),
        Nasty("{", "a"),
    ],
    "platform_api.router:PARAMETER": [Nasty(pump="{"), Nasty(pump="{a"), Nasty("{", "a")],
    "platform_api.server.hardening.refused_upgrade:_KEY": [Nasty(pump="A")],
    "platform_api.server.hardening.request_head:_ABSOLUTE": [
        Nasty("http://", "a", "#"),
        Nasty("http://a/", "a", "#"),
        Nasty("http://a?", "?", "\n"),
    ],
    "platform_api.server.hardening.request_head:_HOST": [
        Nasty(pump="a"),
        Nasty(pump="%41"),
        Nasty("[", ":"),
        Nasty("a:", "1"),
    ],
    "platform_api.server.hardening.strict_http:BLANK_LINES": [Nasty(pump="\r\n")],
    "platform_api.server.hardening.strict_http:END_OF_HEAD": [
        Nasty(pump="\n\r"),
        Nasty(pump="\n:"),
    ],
    "platform_api.server.hardening.strict_http:FIRST_CHUNK": [
        Nasty("1;"),
        Nasty("1"),
        Nasty("1;", ";", "\r"),
        Nasty(pump="1"),
    ],
    "platform_api.server.hardening.strict_http:FOLD": [Nasty(pump="\n"), Nasty(pump="\n:")],
    "platform_api.server.hardening.strict_http:LINEAR_FIELD": [
        Nasty("a:"),
        Nasty("a:", " a"),
        Nasty("a:", "a"),
        Nasty("a:a"),
        Nasty(pump="a"),
    ],
    "platform_api.server.hardening.strict_http:NEXT_CHUNK": [Nasty("\r\n1;"), Nasty("\r\n1")],
    "platform_api.server.hardening.strict_http:TRAILERS": [
        Nasty(pump="a:\r\n"),
        Nasty("a:"),
        Nasty(pump="a"),
    ],
    "platform_api.trace:REQUEST_ID": [Nasty(pump="a")],
    "platform_api.trace:TRACEPARENT": [
        Nasty(f"00-{'a' * 32}-{'b' * 16}-00-", "-", "\n"),
        Nasty(pump="0"),
    ],
    "platform_config.addresses:NOT_ENCODED": [Nasty(pump="%4"), Nasty(pump="%41")],
    "platform_config.cors:FIELD_NAME": [Nasty(pump="a", tail=" ")],
    "platform_config.cors:ORIGIN": [
        Nasty("http://", ":80"),
        Nasty("http://", "a"),
        Nasty(pump="a"),
        Nasty("a://[", ":"),
    ],
    "platform_config.database:HOSTS": [
        Nasty(pump="a,"),
        Nasty(pump="[::]:1,"),
        Nasty("a:", "1"),
        Nasty("[", ":"),
    ],
    "platform_config.events:DATABASE": [Nasty("/", "1"), Nasty(pump="/")],
    "platform_config.from_text:INTEGER": [Nasty("1", "0"), Nasty(pump="1", tail=".")],
    "platform_config.from_text:NUMBER": [
        Nasty(pump="1"),
        Nasty("1.", "1"),
        Nasty("1e", "1"),
        Nasty("1.1", "e1"),
    ],
    "platform_config.http:HOST": [Nasty(pump="a"), Nasty(pump=":"), Nasty(pump="1:", tail="g")],
    "platform_domain.names:_ALLOWED": [Nasty(pump="a")],
    "platform_domain.names:_VISIBLE": [Nasty(tail=" "), Nasty(pump="\u200b", tail=" ")],
    "platform_infrastructure.postgres.migration_files:HIDDEN_MARKER": [
        Nasty(pump="--"),
        Nasty("--"),
        Nasty(pump="-- migrate:\n"),
    ],
    "platform_infrastructure.postgres.migration_files:LOOKALIKE": [
        Nasty(),
        Nasty("migrate", tail="x"),
        Nasty("migrate up", tail="x"),
        Nasty("migrate", ":"),
    ],
    "platform_infrastructure.postgres.migration_files:MARKER": [
        Nasty("--"),
        Nasty("-- migrate:up", tail="\n"),
    ],
    "platform_infrastructure.postgres.migration_files:NAME": [
        Nasty(pump="1"),
        Nasty("1", ".sql"),
    ],
    "platform_infrastructure.postgres.migrations:_Run._left": [Nasty(pump="CONCURRENTL ")],
    "platform_infrastructure.postgres.migrations:_Run._outside_of_transactions": [
        Nasty(pump="CONCURRENTL ")
    ],
    "platform_infrastructure.postgres.sql_tokens:COMMENT_EDGE": [Nasty(pump="/"), Nasty(pump="/*")],
    "platform_infrastructure.postgres.sql_tokens:TOKEN": [
        Nasty(),
        Nasty("--", "a", "\n"),
        Nasty("'", "a"),
        Nasty("e'", "''", "a"),
        Nasty("e'", "'\n'", "a"),
        Nasty("e''", " ", "a"),
        Nasty("$", "a"),
        Nasty(pump="a"),
    ],
    "platform_infrastructure.postgres.statement:CHANGES": [Nasty(pump="INSER "), Nasty(pump="a")],
    "platform_infrastructure.postgres.statement:DELETES": [Nasty(), Nasty(pump=" DELET")],
    "platform_infrastructure.postgres.statement:QUOTED": [
        Nasty(pump="/* "),
        Nasty(pump="'"),
        Nasty("'", "''", "a"),
        Nasty(pump="--"),
        Nasty(pump="/"),
    ],
    "platform_infrastructure.postgres.statement:READS": [Nasty(), Nasty(pump=" SELEC")],
    "platform_queries.verify.prepare:NUMBERED": [
        Nasty(pump="$"),
        Nasty("$", "1"),
    ],
    "platform_queries.verify.tree:ESCAPED": [Nasty(pump="\\")],
    "platform_queries.verify.tree:TOKEN": [
        Nasty(pump="\\", tail=""),
        Nasty(pump="a"),
        Nasty(pump="("),
    ],
    "platform_queries.verify.prepare:PLACEHOLDER": [
        Nasty(pump="%("),
        Nasty("%(", "a"),
        Nasty(pump="%"),
    ],
    "platform_infrastructure.redaction:_BEARER": [Nasty("bearer"), Nasty(pump="bearer ")],
    "platform_infrastructure.redaction:_CONTROL": [Nasty(pump="\0"), Nasty(pump="a")],
    "platform_infrastructure.redaction:_SECRET_NAME": [Nasty(pump="token_"), Nasty(pump="pass")],
    "platform_infrastructure.redaction:_URL_PASSWORD": [
        Nasty(pump="://"),
        Nasty("://", "a"),
        Nasty(pump="://a:"),
    ],
    "platform_infrastructure.redaction:_pair": [
        Nasty("token=", "\\"),
        Nasty(pump="token="),
        Nasty("token"),
        Nasty("token="),
        Nasty(pump="cookie:\t"),
        Nasty("token=" + "\\" * 20_000 + '"', "\\"),
        Nasty('token="', "\\"),
        Nasty('token="', "a"),
        Nasty(pump="token\\"),
    ],
}
CONCURRENTLY = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
# How those are used that are handed on before, or have no name.
USED_OTHERWISE: dict[str, tuple[str, Sequence[re.Pattern[str] | re.Pattern[bytes]]]] = {
    "platform_api.realtime.topic:Topic.__post_init__": (
        "fullmatch",
        [Topic("{a}-{b}-{c}", (), only_oneself)._regex],
    ),
    "platform_api.server.hardening.strict_http:FIRST_CHUNK": ("match", [strict_http.FIRST_CHUNK]),
    "platform_api.server.hardening.strict_http:LINEAR_FIELD": (
        "fullmatch",
        [strict_http.LINEAR_FIELD],
    ),
    "platform_api.server.hardening.strict_http:NEXT_CHUNK": ("match", [strict_http.NEXT_CHUNK]),
    "platform_infrastructure.postgres.migrations:_Run._left": ("search", [CONCURRENTLY]),
    "platform_infrastructure.postgres.migrations:_Run._outside_of_transactions": (
        "search",
        [CONCURRENTLY],
    ),
    "platform_infrastructure.redaction:_pair": (
        "sub",
        [redaction._SECRET_PAIR, redaction._HEADER_PAIR],
    ),
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGES.glob("*/src/**/*.py")):
        parts = path.with_suffix("").parts
        module = ".".join(parts[parts.index("src") + 1 :]).removesuffix(".__init__")
        yield module, ast.parse(path.read_text())


SOURCES = dict(sources())
COMPILING = {f"re.{name}" for name in (*METHODS, "compile")}


def names_in(node: ast.AST, name: str) -> Iterator[str]:
    """Yield the name of the constant or function that each regular expression stands in."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}".lstrip(".")
        elif isinstance(child, ast.Assign) and not name:
            inner = ast.unparse(child.targets[0])
        elif isinstance(child, ast.Call) and ast.unparse(child.func) in COMPILING:
            yield name
        yield from names_in(child, inner)


def methods_by_name() -> dict[str, set[str]]:
    """Return what is called on each name, wherever that is."""
    found: dict[str, set[str]] = defaultdict(set)
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                found[ast.unparse(node.value).rpartition(".")[2]].add(node.attr)
    return found


CALLED = methods_by_name()


def uses(place: str) -> list[tuple[re.Pattern[Any], str]]:
    if place in USED_OTHERWISE:
        method, patterns = USED_OTHERWISE[place]
        return [(pattern, method) for pattern in patterns]
    module, _, name = place.partition(":")
    pattern = getattr(import_module(module), name)
    return [(pattern, method) for method in sorted(CALLED[name])]


def seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    """Return the processor time that the method takes, the least of three times."""
    subject = text if isinstance(pattern.pattern, str) else text.encode("latin-1")
    arguments = (subject[:0], subject) if method == "sub" else (subject,)
    taken = []
    for _ in range(3):
        began = process_time()
        result = getattr(pattern, method)(*arguments)
        if method == "finditer":
            deque(result, maxlen=0)
        taken.append(process_time() - began)
    return min(taken)


def test_every_regular_expression_has_its_nastiest_texts_above() -> None:
    places = {f"{module}:{name}" for module, tree in SOURCES.items() for name in names_in(tree, "")}

    assert places == set(NASTIEST)


@pytest.mark.parametrize("place", NASTIEST)
def test_a_regular_expression_takes_linear_time(place: str) -> None:
    assert uses(place), "say in USED_OTHERWISE how it is used"
    for pattern, method in uses(place):
        for nasty in NASTIEST[place]:
            long = seconds(pattern, method, nasty.text(LONG))
            if long > FLOOR:
                short = seconds(pattern, method, nasty.text(SHORT))
                assert long < GROWTH * short, f"{method} on {nasty} takes {long:.3f} s"


def test_pydantic_takes_linear_time_for_its_patterns() -> None:
    """It has Rust's engine for them, unless this option asks for Python's."""
    assert not [
        module
        for module, tree in SOURCES.items()
        if any(
            isinstance(node, ast.keyword) and node.arg == "regex_engine" for node in ast.walk(tree)
        )
    ]
