"""Two real servers with the same data, of which a service address leads to one."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.migrations import migrate
from tests.infrastructure.postgres.connections import ask

FAST = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Primaries:
    """They have one password, so a URL differs in nothing but the port."""

    old: EmbeddedPostgres
    new: EmbeddedPostgres
    _old_folder: Path

    def set_read_only(self, *, on: bool = True) -> None:
        """Keep the old one from writes, as a failover does. Its connections live on."""
        setting = "SET default_transaction_read_only = on" if on else "RESET ALL"
        ask(self.old.url, f"ALTER SYSTEM {setting}")
        ask(self.old.url, "SELECT pg_reload_conf()")

    def demote(self) -> None:
        """Make the old one a standby, which ends its connections."""
        self.old.stop()
        data = self._old_folder / "data"
        (data / "standby.signal").touch()
        shutil.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
        self.old.start()


@contextmanager
def migrated() -> Iterator[Path]:
    """Make the folder of a server with every migration. The server is stopped."""
    with tempfile.TemporaryDirectory(prefix="test-primaries-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Under root the server has another account.
        with EmbeddedPostgres(folder / "migrated", settings=FAST) as postgres:
            asyncio.run(migrate(postgres.url))
        yield folder / "migrated"


@contextmanager
def primaries(folder: Path) -> Iterator[Primaries]:
    """Start two copies of `folder`."""
    copies = [folder.with_name(name) for name in ("old", "new")]
    try:
        for copy in copies:
            subprocess.run(["cp", "-a", folder, copy], check=True)
        old, new = (EmbeddedPostgres(copy, settings=FAST) for copy in copies)
        with old, new:
            yield Primaries(old, new, copies[0])
    finally:
        for copy in copies:
            shutil.rmtree(copy)
