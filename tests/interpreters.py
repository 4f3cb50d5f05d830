"""Other Pythons on this machine: `python -m tests.interpreters 3.13` prints the path of one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def find(version: str) -> Path | None:
    """Return a Python of this version, such as `3.13`, on the PATH or among pyenv's."""
    name = f"python{version}"
    on_path = shutil.which(name)
    of_pyenv = sorted(PYENV.glob(f"versions/{version}.*/bin/{name}"))
    return next(filter(_runs, [*([Path(on_path)] if on_path else []), *of_pyenv]), None)


def _runs(python: Path) -> bool:
    # A shim of pyenv's is found also where that version is not chosen, and then does not run.
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    found = find(sys.argv[1])
    sys.exit(f"no Python {sys.argv[1]} on this machine" if found is None else print(found))  # noqa: T201
