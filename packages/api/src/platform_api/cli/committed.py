"""Files that are committed although they follow from the code: written and compared here."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from platform_api.cli.unconnected import unconnected_container
from platform_api.contract.openapi import as_text
from platform_config import env_example
from platform_domain.startup import StartupError


def openapi_document() -> str:
    return as_text(unconnected_container().document())


class NotTheRoot(StartupError):
    """The command was run where there is nothing to compare with."""


COMMITTED: Mapping[str, Callable[[], str]] = {
    ".env.example": env_example,
    "docs/openapi.json": openapi_document,
}
"""Path from the root of the project, and what must stand there."""


def differences() -> list[str]:
    """Return a unified diff for each file that is not as the code says.

    Raises `NotTheRoot` outside the root of the project.
    """
    require_root()
    return [
        difference
        for path, expected in COMMITTED.items()
        if (difference := difference_in(path, read(Path(path)), expected()))
    ]


def write_all() -> list[str]:
    """Write every file that differs and return their paths. Raises `NotTheRoot`."""
    require_root()
    changed = {path: new for path, text in COMMITTED.items() if read(Path(path)) != (new := text())}
    for path, text in changed.items():
        write(Path(path), text)
    return list(changed)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def require_root() -> None:
    """Raise `NotTheRoot` unless this is the root of the project."""
    if not Path("packages").is_dir():
        raise NotTheRoot("Run this in the root of the project: there is no folder packages here.")


def read(path: Path) -> str:
    """Return what stands at `path`, nothing where there is no such file."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def difference_in(path: str, committed: str, expected: str) -> str:
    """Return a unified diff, nothing when both texts are the same."""
    lines = difflib.unified_diff(
        committed.splitlines(), expected.splitlines(), f"{path} (committed)", path, lineterm=""
    )
    return "\n".join(lines)
