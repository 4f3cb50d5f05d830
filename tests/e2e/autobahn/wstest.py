"""The Autobahn test suite: a client that tries every corner of RFC 6455, written for Python 2.7."""

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import interpreters

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "platform-backend"
RUN = (
    "import site, sys; site.addsitedir(sys.argv.pop(1));"
    "from autobahntestsuite.wstest import run; run()"
)
INSTALL_SECONDS, RUN_SECONDS = 300, 180


class NotHere(Exception):
    """`wstest` cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """`behavior` judges the messages, `close` how the connection ended: OK, NON-STRICT, FAILED …"""

    behavior: str
    close: str


class Wstest:
    """Found where an earlier run installed it, or installed now. Raises `NotHere`."""

    def __init__(self) -> None:
        python = interpreters.find("2.7")
        if python is None:
            raise NotHere("no Python 2.7 is on this machine")
        self._python = python
        version = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
        self._packages = CACHE / f"wstest-{version}"
        if not self._packages.exists():
            self._install()

    def _install(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        # Half an installation must not be found by the next run.
        with TemporaryDirectory(dir=CACHE) as folder:
            fresh = Path(folder) / "wstest"
            options = ["--no-deps", "--disable-pip-version-check", "--target", str(fresh)]
            done = self._run(
                "-m", "pip", "install", *options, "-r", str(REQUIREMENTS), within=INSTALL_SECONDS
            )
            if done.returncode != 0:
                raise NotHere(f"wstest cannot be installed: {done.stdout[-500:]}")
            fresh.rename(self._packages)

    def judge(self, url: str, cases: Sequence[str], folder: Path) -> dict[str, Verdict]:
        """Play the cases to a server that echoes; the reports stay in the folder."""
        asked = {
            "outdir": str(folder / "reports"),
            "servers": [{"agent": "platform", "url": url}],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        spec = folder / "spec.json"
        spec.write_text(json.dumps(asked))
        options = ["-m", "fuzzingclient", "-s", str(spec)]
        done = self._run("-c", RUN, str(self._packages), *options, within=RUN_SECONDS)
        assert done.returncode == 0, done.stdout
        index = json.loads((folder / "reports" / "index.json").read_text())["platform"]
        return {
            case: Verdict(told["behavior"], told["behaviorClose"]) for case, told in index.items()
        }

    def _run(self, *arguments: str, within: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._python, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
            check=False,
        )
