"""The run that must not pass over a silent skip."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import read_allowed

ROOT = Path(__file__).parents[1]

CONFTEST = """
from pathlib import Path
from tests.skips import StrictSkips, read_allowed

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        allowed = read_allowed(Path(__file__).with_name("allowed.txt"))
        config.pluginmanager.register(StrictSkips(allowed))
"""

TESTS = """
import pytest

def test_runs():
    pass

@pytest.mark.parametrize("engine", ["valkey"])
def test_is_skipped(engine):
    pytest.skip("needs a valkey server")

@pytest.mark.xfail(reason="known")
def test_is_known_to_fail():
    assert False
"""


def run(
    project: Path, allowed: str, *, tests: str = TESTS, options: str = ""
) -> "subprocess.CompletedProcess[str]":
    (project / "conftest.py").write_text(CONFTEST)
    (project / "allowed.txt").write_text(allowed)
    (project / "test_sample.py").write_text(tests)
    program = f"import sys, pytest; sys.path.append({str(ROOT)!r}); sys.exit(pytest.main())"
    return subprocess.run(
        [sys.executable, "-c", program, *options.split(), "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", ["", "-n 1"])
def test_a_skip_that_is_not_listed_fails_the_run(tmp_path: Path, options: str) -> None:
    done = run(tmp_path, "# none\n", options=options)

    reported = "SKIP NOT ALLOWED test_sample.py::test_is_skipped[valkey] | needs a valkey server"
    assert reported in done.stdout
    assert done.returncode == 1


def test_a_skip_that_is_listed_passes(tmp_path: Path) -> None:
    allowed = "test_sample.py::test_is_skipped[valkey] | needs a * server\n"

    assert run(tmp_path, allowed).returncode == 0


def test_a_listed_test_may_not_be_skipped_for_another_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "test_sample.py::* | only on Windows\n")

    assert "SKIP NOT ALLOWED" in done.stdout
    assert done.returncode == 1


def test_a_skipped_module_counts_too(tmp_path: Path) -> None:
    tests = "import pytest\npytest.skip('not here', allow_module_level=True)\n"

    done = run(tmp_path, "", tests=tests)

    assert "SKIP NOT ALLOWED test_sample.py | not here" in done.stdout
    assert done.returncode == 1


def test_an_allowed_skip_needs_a_reason(tmp_path: Path) -> None:
    (tmp_path / "allowed.txt").write_text("test_sample.py::test_is_skipped\n")

    with pytest.raises(pytest.UsageError, match="test_is_skipped"):
        read_allowed(tmp_path / "allowed.txt")
