"""Files that are committed although they follow from the code: written and compared here."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from platform_config import env_example

COMMITTED: Mapping[str, Callable[[], str]] = {
    ".env.example": env_example,
}
"""Path from the root of the project, and what must stand there."""


def differences() -> list[str]:
    """Return a unified diff for each file that is not as the code says."""
    return [
        difference
        for path, expected in COMMITTED.items()
        if (difference := _difference(path, _read(Path(path)), expected()))
    ]


def write_all() -> list[str]:
    """Write every file that differs and return their paths."""
    changed = [path for path, text in COMMITTED.items() if _read(Path(path)) != text()]
    for path in changed:
        Path(path).write_text(COMMITTED[path](), encoding="utf-8", newline="\n")
    return changed


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _difference(path: str, committed: str, expected: str) -> str:
    lines = difflib.unified_diff(
        committed.splitlines(), expected.splitlines(), f"{path} (committed)", path, lineterm=""
    )
    return "\n".join(lines)
