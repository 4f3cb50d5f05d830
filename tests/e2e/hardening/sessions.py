"""The public application on the adapter alone: `python -m tests.e2e.hardening.sessions '{…}'`.

It takes the fields of `Options`, and tells how many sockets its registry has.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

from platform_api.operation import Operation
from platform_api.schema import Output
from platform_api.server.binding import bind
from platform_api.server.hardening.limits import Limits
from platform_api.server.hypercorn import serve
from platform_api.server.loop import new_loop
from platform_config import HttpSettings, SocketsSettings
from tests.api.conftest import World


@dataclass(frozen=True)
class Options:
    host: str = "127.0.0.1"
    sockets: dict[str, Any] = field(default_factory=dict)


class Held(Output):
    sockets: int


async def main(options: Options) -> None:
    world = World()

    async def held() -> Held:
        return Held(sockets=len(world.sockets))

    world.trial.given = [Operation("GET", "/trial/held", held)]
    bound = bind(options.host, 0)
    port = bound.getsockname()[1]
    await serve(
        world.app(),
        [bound],
        stop=asyncio.Event(),
        on_listening=lambda: print(f"Process {os.getpid()} listens on {port}.", flush=True),  # noqa: T201
        drain_timeout=1.0,
        limits=Limits.of(HttpSettings(), SocketsSettings(**options.sockets)),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(Options(**json.loads(sys.argv[1]))))
