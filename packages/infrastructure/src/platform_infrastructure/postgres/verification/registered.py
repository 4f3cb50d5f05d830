"""Which queries there are."""

import importlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.query import QUERIES, Query

PACKAGE = "platform_infrastructure"


def all_queries() -> dict[str, type[Query[Any]]]:
    """Import every module that defines queries, and return them by name, in order of names.

    A module that nobody imports yet is verified too.
    """
    for module in _modules(files(PACKAGE), PACKAGE):
        importlib.import_module(module)
    return ours()


def ours() -> dict[str, type[Query[Any]]]:
    """Return the queries of this package that were imported so far."""
    return {name: QUERIES[name] for name in sorted(QUERIES) if name.startswith(f"{PACKAGE}.")}


def named(name: str) -> type[Query[Any]]:
    """Return the query of that name, with or without its module. Raises `StartupError`."""
    found = [q for full, q in all_queries().items() if full == name or full.endswith(f".{name}")]
    if len(found) != 1:
        raise StartupError(f"There are {len(found)} queries with the name {name}.")
    return found[0]


def _modules(folder: Traversable, package: str) -> list[str]:
    found: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir() and (entry / "__init__.py").is_file():
            found += _modules(entry, f"{package}.{entry.name}")
        elif entry.name.endswith(".py") and _defines_queries(entry):
            found.append(f"{package}.{entry.name.removesuffix('.py')}")
    return found


def _defines_queries(file: Traversable) -> bool:
    text = file.read_text(encoding="utf-8")
    return f"from {PACKAGE}.postgres.query import" in text
