"""What is wrong with a configuration, and the report about it that a person reads."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """Values that are fine alone and wrong together. The first of `names` is the one to change."""

    names: tuple[str, ...]
    expected: str
    fix: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `found` never holds a secret; `origin` is None when nothing is set."""

    name: str
    origin: str | None
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        where = f" (from {self.origin})" if self.origin else ""
        return (
            f"{self.name}{where}\n"
            f"  found:    {self.found}\n"
            f"  expected: {self.expected}\n"
            f"  fix:      {self.fix}"
        )


class ConfigurationError(Exception):
    """The configuration cannot be used. `problems` are all there are; `str()` is the report.

    `warnings` may be the reason, e.g. a misspelt name in the environment.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[str] = ()) -> None:
        self.problems = list(problems)
        self.warnings = tuple(warnings)
        super().__init__(self.problems, self.warnings)

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        head = f"The configuration has {count}:"
        hints = [f"Look at this too: {warning}" for warning in self.warnings]
        return "\n\n".join((head, *map(str, self.problems), *hints))
