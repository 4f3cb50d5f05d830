"""`serve` with one more feature, whose handlers keep the event loop to themselves.

`python -m tests.e2e.workers.blocking` takes the arguments of `serve`.
"""

import re
import sys
import time
from collections.abc import Sequence

from dependency_injector.providers import Singleton

from platform_api import serve
from platform_api.container import Container
from platform_api.feature import Feature
from platform_api.operation import Operation
from platform_api.schema import Output

ENDLESS = re.compile(r"(a+)+$")


class Unblocked(Output):
    pass


class Blocking(Feature):
    """Each operation is a way to keep the loop."""

    def operations(self) -> Sequence[Operation]:
        return [
            Operation("GET", "/trial/spin", self.spin),
            Operation("GET", "/trial/compute-in-c", self.compute_in_c),
            Operation("GET", "/trial/sleep", self.sleep),
        ]

    async def spin(self) -> Unblocked:
        while True:
            pass

    async def compute_in_c(self) -> Unblocked:
        """The interpreter's lock is held all the time."""
        ENDLESS.match("a" * 60 + "b")
        return Unblocked()

    async def sleep(self) -> Unblocked:
        time.sleep(2.5)  # noqa: ASYNC251 - a blocked loop is what the test is about
        return Unblocked()


if __name__ == "__main__":
    Container.features.add_args(Singleton(Blocking))
    serve.WORKER = (sys.executable, "-P", "-m", "tests.e2e.workers.blocking", "--worker")
    serve.main()
