"""HTTP clients that read and write under a fault, and what the database must show afterwards."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self

from tests.drill.findings import Finding, none


class Background:
    """While entered, runs each piece of work in a thread; the work ends when `stopping` is set."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))

    async def __aenter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


CLIENTS = 8
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 15.0
PROJECTS = "/api/v1/projects"
OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 when there was none. Times are those of `time.monotonic`."""

    method: str
    path: str
    status: int
    retry_after: str | None
    body: bytes
    began: float
    ended: float

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error's code; what went wrong when there was no answer."""
        return str(self.json()["code"]) if self.status else self.body.decode()

    @property
    def is_open(self) -> bool:
        """Whether the change may or may not have been saved, as far as the client can tell."""
        return not self.good and (self.status == 0 or self.code == "outcome_unknown")

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """One keep-alive connection, made again when it was lost."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"} if content else {}
        began = time.monotonic()
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            read, retry_after = response.read(), response.getheader("retry-after")
        except (OSError, HTTPException) as error:
            self._connection.close()
            said = type(error).__name__.encode()
            return Answer(method, path, 0, None, said, began, time.monotonic())
        return Answer(method, path, response.status, retry_after, read, began, time.monotonic())

    def close(self) -> None:
        self._connection.close()


def failures(answers: Iterable[Answer]) -> list[Answer]:
    """Return what failed, but for requests that were turned away because the machine is busy: of
    the database those say nothing."""
    return [answer for answer in answers if not answer.good and answer.code != OVERLOADED]


@dataclass(slots=True)
class Ledger:
    """What one client was told: of each project it created, and of the one that it renames.

    A rename makes the version one more, so the version tells how often renames happened.
    """

    created: set[str] = field(default_factory=set)
    created_perhaps: int = 0
    project: str = ""
    renamed: int = 0
    renamed_perhaps: int = 0


class Traffic(Background):
    """`CLIENTS` threads that read, rename and create projects without a rest."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.ledgers = [Ledger() for _ in range(CLIENTS)]
        self._port = port
        self._name = name
        for number, ledger in enumerate(self.ledgers):
            self.add(partial(self._run, number, ledger))

    def _run(self, number: int, ledger: Ledger) -> None:
        http = Http(self._port)
        prefix, turn = f"{self._name} {number}", 0
        while not self.stopping.is_set():
            turn += 1
            self._create(http, ledger, f"{prefix} new {turn}")
            if ledger.project:
                self._ask(http, "GET", f"{PROJECTS}/{ledger.project}")
                self._rename(http, ledger, f"{prefix} {turn}")
            self.stopping.wait(PAUSE_SECONDS)
        http.close()

    def _create(self, http: Http, ledger: Ledger, name: str) -> None:
        answer = self._ask(http, "POST", PROJECTS, {"name": name})
        if answer.good:
            ledger.created.add(answer.json()["id"])
            ledger.project = ledger.project or answer.json()["id"]
        ledger.created_perhaps += answer.is_open

    def _rename(self, http: Http, ledger: Ledger, name: str) -> None:
        answer = self._ask(http, "PATCH", f"{PROJECTS}/{ledger.project}", {"name": name})
        ledger.renamed += answer.good
        ledger.renamed_perhaps += answer.is_open

    def _ask(self, http: Http, method: str, path: str, body: object = None) -> Answer:
        answer = http.ask(method, path, body)
        self.answers.append(answer)
        return answer


class Probes(Background):
    """Asks for liveness and readiness ten times a second."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.live: list[Answer] = []
        self.ready: list[Answer] = []
        self._http = Http(port)
        self.add(self._run)

    def _run(self) -> None:
        while not self.stopping.wait(0.1):
            self.live.append(self._http.ask("GET", "/health/live"))
            self.ready.append(self._http.ask("GET", "/health/ready"))
        self._http.close()


def compared(port: int, ledgers: Sequence[Ledger], name: str) -> list[Finding]:
    """Look up every project whose name begins with `name`, the traffic's."""
    versions = {
        project["id"]: project["version"]
        for project in _projects(port)
        if project["name"].startswith(name)
    }
    lost, too_many = differences(ledgers, versions)
    acknowledged = sum(len(ledger.created) + ledger.renamed for ledger in ledgers)
    return [
        none("acknowledged writes lost", lost, of=acknowledged),
        none("writes saved twice, or although they failed", too_many),
    ]


def differences(ledgers: Sequence[Ledger], versions: Mapping[str, int]) -> tuple[int, int]:
    """Return how many writes are missing, and how many exist without an acknowledgement.

    `versions` are those of all projects that are there, by id.
    """
    told = {id for ledger in ledgers for id in ledger.created}
    perhaps = sum(ledger.created_perhaps for ledger in ledgers)
    lost = len(told - versions.keys())
    too_many = max(0, len(versions.keys() - told) - perhaps)
    for ledger in ledgers:
        renames = versions.get(ledger.project, 1) - 1
        lost += max(0, ledger.renamed - renames)
        too_many += max(0, renames - ledger.renamed - ledger.renamed_perhaps)
    return lost, too_many


def _projects(port: int) -> Iterator[dict[str, Any]]:
    http = Http(port)
    path = f"{PROJECTS}?limit=100"
    cursor = ""
    while True:
        answer = http.ask("GET", path + cursor)
        if not answer.good:
            raise RuntimeError(f"The projects cannot be listed: {answer.body!r}")
        page = answer.json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return http.close()
        cursor = f"&cursor={page['next_cursor']}"


def answered(answers: Sequence[Answer], wrong: Sequence[Answer], how: str) -> Finding:
    """Say how many answers are `wrong`, and what the failures were that are not."""
    codes = Counter(answer.code for answer in answers if not answer.good)
    summary = ", ".join(f"{count} {code}" for code, count in codes.most_common()) or "none failed"
    return Finding(f"{len(wrong)} of {len(answers)} answers {how} ({summary})", not wrong)
