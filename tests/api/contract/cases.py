"""What a feature's tests give to the tests of the contract: `CASES` in its test module."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from tests.api import features
from tests.api.conftest import World

Request = tuple[str, str, dict[str, Any]]
"""Method, path and what else the client is given."""


@dataclass(frozen=True)
class Cases:
    """The requests of one feature.

    `right` has one for each operation, by its id, in an order in which all succeed; `{id}` in a path
    stands for the `id` in the answer before. `wrong` has requests that are refused for reasons of
    this feature; those that any operation refuses are tested without it. `narrow` changes a contract
    so that it says what no schema can: for requests that are made of it at random.
    """

    port: Callable[[World], object]
    right: Mapping[str, Request]
    wrong: Sequence[tuple[str, Request]] = ()
    narrow: Callable[[dict[str, Any]], None] = lambda document: None


def all_cases() -> list[Cases]:
    modules = iter_modules(features.__path__, f"{features.__name__}.")
    tests = [import_module(module.name) for module in modules]
    return [test.CASES for test in tests if hasattr(test, "CASES")]
