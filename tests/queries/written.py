"""Modules with queries, written for one test."""

import importlib.util
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from platform_queries import QUERIES, Query

HEADER = """\
from platform_queries import Exec, Many, Maybe, One
"""


def written_queries(folder: Path, text: str, name: str = "written") -> dict[str, type[Query[Any]]]:
    """Write `text` below a line of imports, import it and return the queries in it."""
    path = folder / f"{name}.py"
    path.write_text(HEADER + dedent(text), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Where `inspect` looks for the file of a class.
    spec.loader.exec_module(module)
    names = [full for full in QUERIES if full.startswith(f"{name}.")]
    return {full: QUERIES.pop(full) for full in names}
