"""With STRICT_SKIPS=1 a run fails on every skip that tests/allowed_skips.txt does not list.

A test that quietly stopped running looks like a test that passes. Each line of the list is
`pattern of the test's id | pattern of the reason`, with `*` and `?` as in file names.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


@dataclass(frozen=True)
class Skip:
    """A skip that happened or, its texts being patterns, one that may."""

    test: str
    reason: str

    def allows(self, other: "Skip") -> bool:
        return _matches(self.test, other.test) and _matches(self.reason, other.reason)


def _matches(pattern: str, text: str) -> bool:
    # The brackets of a parametrised id mean themselves.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def read_allowed(path: Path) -> list[Skip]:
    """Read the list. Raises pytest.UsageError for a line without a reason."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [_parsed(line) for line in lines if line and not line.startswith("#")]


def _parsed(line: str) -> Skip:
    test, _, reason = (part.strip() for part in line.partition(" | "))
    if not reason:
        raise pytest.UsageError(f"a skip is allowed without saying for what reason: {line}")
    return Skip(test, reason)


@dataclass(eq=False)  # pytest keeps its plugins in sets.
class StrictSkips:
    allowed: Sequence[Skip]
    unexpected: list[Skip] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._judge(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._judge(report)

    def _judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not (report.skipped and isinstance(report.longrepr, tuple)):
            return
        skip = Skip(report.nodeid, report.longrepr[2].removeprefix("Skipped: "))
        if not any(allowed.allows(skip) for allowed in self.allowed):
            self.unexpected.append(skip)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.unexpected and exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for skip in self.unexpected:
            terminalreporter.write_line(f"SKIP NOT ALLOWED {skip.test} | {skip.reason}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    # The workers of pytest-xdist send their reports to the controller, which judges them.
    if os.environ.get("STRICT_SKIPS") == "1" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(StrictSkips(read_allowed(ALLOWED)), "strict-skips")
